//! How entries look on their way to those who follow.

use bytes::Bytes;
use http::HeaderValue;
use replog_shared::{Order, entry::EntryLine};

use super::limits::RECONNECT_MS;
use crate::pages::entry_lines;

/// What the answer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Server-sent events.
    Events,
    /// One line of JSON an entry.
    Lines,
}

impl Format {
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Format::Events => "text/event-stream",
            Format::Lines => "application/x-ndjson",
        })
    }

    /// What comes before the first entry. No blank line ends it, which would end an event: some readers give out an
    /// empty one then.
    pub(super) fn greeting(self) -> Bytes {
        match self {
            Format::Events => format!("retry: {}\n", fastrand::u32(RECONNECT_MS)).into(),
            Format::Lines => Bytes::new(),
        }
    }

    /// A sign of life, which means nothing: a comment without a blank line, which would end an event.
    pub(super) fn keep_alive(self) -> Bytes {
        Bytes::from_static(match self {
            Format::Events => b":\n",
            Format::Lines => b"\n",
        })
    }

    /// The word that the log was cut. It takes the client's last id back: a browser that comes back by
    /// itself begins anew and does not go on in another history. None where there is no word for it.
    pub(super) fn cut(self) -> Option<Bytes> {
        let event = "id:\nevent: cut\ndata: {\"code\":\"cut\",\"detail\":\"The log was emptied, or cut by a \
                     promotion: the same orders stand for other entries now. Read it again.\"}\n\n";
        (self == Format::Events).then(|| Bytes::from_static(event.as_bytes()))
    }

    /// The entries of a page that begins with the order `from`; marks are left out.
    pub(super) fn entries(self, from: Order, page: &Bytes) -> Bytes {
        match self {
            Format::Events => events(from, page),
            Format::Lines => lines(page),
        }
    }
}

/// An event an entry. Its line is JSON and has no line break inside, so that it is one line of data. Its id is
/// `epoch/order`: an order alone stands for another entry once the log was cut.
fn events(from: Order, page: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(page.len() + page.len() / 4);
    let mut order = from;
    for line in entry_lines(page) {
        out.extend_from_slice(b"id: ");
        if let Ok(EntryLine { epoch, .. }) = EntryLine::parse(line) {
            replog_shared::json::push_number(&mut out, epoch.reign.into());
            out.push(b'.');
            replog_shared::json::push_number(&mut out, epoch.start.into());
            out.push(b'/');
        }
        replog_shared::json::push_number(&mut out, order.get());
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(line);
        out.push(b'\n');
        order = order.next();
    }
    out.into()
}

fn lines(page: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(page.len());
    entry_lines(page).for_each(|line| out.extend_from_slice(line));
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "{\"order\":9,\"epoch\":\"1.0\",\"id\":\"a\",\"message\":1}\n";
    const SECOND: &str = "{\"order\":10,\"epoch\":\"12.3\",\"id\":\"b\",\"message\":2}\n";

    fn page() -> Bytes {
        format!("{{\"mark\":{{}}}}\n{FIRST}{{\"mark\":{{}}}}\n{SECOND}").into()
    }

    #[test]
    fn an_entry_is_an_event_with_its_epoch_its_order_and_its_line() {
        let events = Format::Events.entries(Order::new(9), &page());
        assert_eq!(events, format!("id: 1.0/9\ndata: {FIRST}\nid: 12.3/10\ndata: {SECOND}\n"));
    }

    #[test]
    fn lines_are_the_logs_own_without_its_marks() {
        let lines = Format::Lines.entries(Order::new(9), &page());
        assert_eq!(lines, format!("{FIRST}{SECOND}"));
    }

    #[test]
    fn only_an_event_ends_with_a_blank_line() {
        let quiet = [Format::Events.greeting(), Format::Events.keep_alive()].concat();
        let quiet = String::from_utf8(quiet).unwrap();
        assert!(quiet.ends_with('\n') && !quiet.contains("\n\n"), "{quiet:?}");
    }
}
