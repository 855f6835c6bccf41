//! The log as JSON arrays, one page at a time.

use bytes::Bytes;
use futures_util::{Stream, stream};
use replog_shared::{
    Mark, OrderRange,
    entry::EntryLine,
    limits::READ_PAGE_BYTES,
    store::{ReadError, Reader},
};
use tokio::sync::watch;

use crate::node::Shown;

/// What is shown of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The message alone.
    Message,
    /// The entry's line as it is stored: order, epoch, id and message.
    Entry,
}

/// Why a page cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the log was cut while it was read")]
    Cut,
}

/// Where a read has come to.
struct Cursor<R> {
    reader: R,
    shown: watch::Receiver<Shown>,
    /// How often the log had been cut when the read began.
    cuts: u64,
    rest: OrderRange,
    shape: Shape,
}

/// The entries of `range`, which was visible when the log had been cut `cuts` times, as array elements.
pub(super) fn pages<R: Reader>(
    reader: R,
    shown: watch::Receiver<Shown>,
    cuts: u64,
    range: OrderRange,
    shape: Shape,
) -> impl Stream<Item = Result<Bytes, PageError>> {
    let cursor = Cursor { reader, shown, cuts, rest: range, shape };
    stream::try_unfold(cursor, |mut cursor| async move { Ok(cursor.next()?.map(|page| (page, cursor))) })
}

impl<R: Reader> Cursor<R> {
    fn next(&mut self) -> Result<Option<Bytes>, PageError> {
        let OrderRange { from, to } = self.rest;
        if self.rest.is_empty() {
            return Ok(None);
        }
        let page = self.reader.read(from, to, READ_PAGE_BYTES)?;
        // Asked after the read: a cut is told before it is made.
        if self.shown.borrow().cuts != self.cuts || page.to <= from {
            return Err(PageError::Cut);
        }
        self.rest.from = page.to;
        Ok(Some(elements(&page.bytes, self.shape)))
    }
}

/// The entries among some lines, with commas between them.
fn elements(lines: &[u8], shape: Shape) -> Bytes {
    let mut out = Vec::with_capacity(lines.len());
    let mut start = 0;
    while let Some(length) = memchr_line(&lines[start..]) {
        let line = &lines[start..start + length];
        start += length;
        if let Some(element) = element(line, shape) {
            if !out.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(element);
        }
    }
    out.into()
}

/// The length of the first line, its line feed included.
fn memchr_line(lines: &[u8]) -> Option<usize> {
    lines.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
}

/// What is shown of a line; nothing of a mark.
fn element(line: &[u8], shape: Shape) -> Option<&[u8]> {
    if Mark::is_mark(line) {
        return None;
    }
    match shape {
        Shape::Entry => line.strip_suffix(b"\n"),
        Shape::Message => EntryLine::parse(line).ok().map(|entry| entry.message_json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_not_shown() {
        let lines = b"{\"mark\":{}}\n{\"order\":0,\"epoch\":\"1.0\",\"id\":\"a\",\"message\":\"x\"}\n\
            {\"order\":1,\"epoch\":\"1.0\",\"id\":\"b\",\"message\":[1, 2]}\n{\"mark\":{}}\n";
        assert_eq!(elements(lines, Shape::Message), "\"x\",[1, 2]");
        let full = elements(lines, Shape::Entry);
        let array: serde_json::Value = serde_json::from_slice(&[b"[", &full[..], b"]"].concat()).unwrap();
        assert_eq!(array[1]["order"], 1);
        assert!(elements(b"", Shape::Message).is_empty());
    }
}
