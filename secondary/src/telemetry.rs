//! Where log lines go: standard error, in one of two forms.

use std::io::{self, IsTerminal, Write};

use replog_secondary::config::LogFormat;
use tracing_subscriber::EnvFilter;

/// Logs to standard error from now on; `RUST_LOG` says how much, `info` unless given.
pub(crate) fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).init(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
    }
}

/// Says on standard error why the program does not start.
pub(crate) fn complain(error: &dyn std::error::Error) {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "replog-secondary: {error}");
}
