//! Where a command writes: data to standard output, messages to standard error.

use std::{
    fmt,
    io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _},
};

/// Standard output, locked and buffered.
pub(crate) type Data = BufWriter<StdoutLock<'static>>;

/// Opens standard output for data. Flush it before the command ends: what a drop flushes hides its errors.
pub(crate) fn data() -> Data {
    BufWriter::new(io::stdout().lock())
}

/// Writes one line of data at once.
///
/// # Errors
/// Standard output is closed or full.
pub(crate) fn data_line(line: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Writes one JSON value as a line; with `raw`, a string without its quotes and escapes.
///
/// # Errors
/// Standard output is closed or full.
pub(crate) fn write_value(out: &mut Data, raw: bool, json: &[u8]) -> io::Result<()> {
    match raw.then(|| serde_json::from_slice::<String>(json)) {
        Some(Ok(text)) => out.write_all(text.as_bytes())?,
        _ => out.write_all(json)?,
    }
    out.write_all(b"\n")
}

/// Says something to the person who runs the command. Nobody may be there to hear it.
pub(crate) fn say(message: impl fmt::Display) {
    drop(writeln!(io::stderr(), "{message}"));
}

/// Whether standard output is a terminal that wants colour (`NO_COLOR` unset or empty).
pub(crate) fn wants_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
