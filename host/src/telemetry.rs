//! Log lines, and the last words of a process.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise. The NATS client says the same of each failed attempt, and not of which
/// server: the bus says it once, with all that is known.
const DEFAULT_FILTER: &str = "info,async_nats=off";

/// Sends log lines to standard error, as text or as JSON. `RUST_LOG` sets what is logged; info by default.
///
/// Does nothing where a subscriber is set already.
pub fn init(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    // A second call, as in tests, finds the first one's subscriber in place.
    let _already_set = if json { builder.json().try_init() } else { builder.try_init() };
}

/// Says why the process ends, and gives its exit code.
pub fn fail(why: &dyn Display, code: u8) -> ExitCode {
    // With standard error closed there is nobody to tell.
    let _nobody_listens = writeln!(io::stderr(), "error: {why}");
    ExitCode::from(code)
}
