//! Log lines, and the last words of a process.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info";

/// The NATS client says the same of each failed attempt, and not of which server: the bus says it once, with all that is known.
const WITHOUT_CLIENT: &str = "async_nats=off";

/// Sends log lines to standard error, as text or as JSON. `RUST_LOG` sets what is logged; info by default.
///
/// Does nothing where a subscriber is set already.
pub fn init(json: bool) {
    let given = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = EnvFilter::try_new(filter_of(&given));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(filter_of(DEFAULT_FILTER)));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    // A second call, as in tests, finds the first one's subscriber in place.
    let _already_set = if json { builder.json().try_init() } else { builder.try_init() };
}

/// The NATS client is heard only by those who ask for it, or for everything.
fn filter_of(given: &str) -> String {
    let given = if given.trim().is_empty() { DEFAULT_FILTER } else { given };
    let is_asked_for = ["async_nats", "debug", "trace"].iter().any(|word| given.contains(word));
    if is_asked_for { given.to_owned() } else { format!("{given},{WITHOUT_CLIENT}") }
}

/// Says why the process ends, and gives its exit code.
pub fn fail(why: &dyn Display, code: u8) -> ExitCode {
    // With standard error closed there is nobody to tell.
    let _nobody_listens = writeln!(io::stderr(), "error: {why}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nats_client_is_heard_by_those_who_ask_for_it() {
        for (given, filter) in [
            ("", "info,async_nats=off"),
            ("warn", "warn,async_nats=off"),
            ("debug", "debug"),
            ("info,async_nats=warn", "info,async_nats=warn"),
        ] {
            assert_eq!(filter_of(given), filter);
        }
    }
}
