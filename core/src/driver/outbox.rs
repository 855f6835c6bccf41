//! What a node says, in order, and never before what it follows from is durable.

use std::collections::VecDeque;

use replog_shared::store::Ticket;

use super::limits::{OUTBOX_BYTES, OUTBOX_ITEMS};

/// What became of something that was to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Passage<T> {
    /// It may go now.
    Free(T),
    /// It waits for its turn.
    Held,
    /// There is no room for it. It is to be counted as what the bus does not take: it is said again when its time comes.
    Full,
}

/// Holds back packets and answers that were decided after a save or a cut, until that is durable. Who hears of a promise
/// or of a log that is cut may rely on it.
///
/// While nothing waits for the disk, all goes through at once.
///
/// Invariant: what comes out comes in the order in which it went in. What can be dropped is at most
/// `OUTBOX_ITEMS` items and about `OUTBOX_BYTES`.
#[derive(Debug)]
pub(super) struct Outbox<T> {
    held: VecDeque<Waiting<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    ticket: Ticket,
    bytes: usize,
    item: T,
}

impl<T> Default for Outbox<T> {
    fn default() -> Outbox<T> {
        Outbox { held: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Outbox<T> {
    /// Something of so many bytes is to be said once `open` is done; none: nothing waits for the disk.
    pub(super) fn pass(&mut self, open: Option<Ticket>, bytes: usize, item: T) -> Passage<T> {
        if open.is_none() && self.held.is_empty() {
            return Passage::Free(item);
        }
        if self.held.len() >= OUTBOX_ITEMS || self.bytes + bytes > OUTBOX_BYTES {
            return Passage::Full;
        }
        self.hold(open, bytes, item);
        Passage::Held
    }

    /// The same for what must not be dropped, because nobody asks for it again: the caller bounds how many there are.
    pub(super) fn pass_surely(&mut self, open: Option<Ticket>, item: T) -> Option<T> {
        if open.is_none() && self.held.is_empty() {
            return Some(item);
        }
        self.hold(open, 0, item);
        None
    }

    fn hold(&mut self, open: Option<Ticket>, bytes: usize, item: T) {
        // Behind something that waits it waits with that.
        let ticket = open.or_else(|| self.held.back().map(|last| last.ticket)).unwrap_or_default();
        self.bytes += bytes;
        self.held.push_back(Waiting { ticket, bytes, item });
    }

    /// The next that may be said, now that all is done up to `done`.
    pub(super) fn next_due(&mut self, done: Ticket) -> Option<T> {
        let due = self.held.pop_front_if(|first| first.ticket <= done)?;
        self.bytes -= due.bytes;
        Some(due.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Ticket = Ticket::NONE.next();
    const SECOND: Ticket = FIRST.next();

    #[test]
    fn what_follows_from_a_save_waits_for_it_and_what_comes_later_waits_behind() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.pass(None, 10, 0), Passage::Free(0));
        assert_eq!(outbox.pass(Some(FIRST), 10, 1), Passage::Held);
        assert_eq!(outbox.pass(Some(SECOND), 10, 2), Passage::Held);
        assert_eq!(outbox.pass_surely(Some(SECOND), 3), None);
        assert_eq!(outbox.next_due(Ticket::NONE), None);
        assert_eq!(outbox.next_due(FIRST), Some(1));
        assert_eq!(outbox.next_due(FIRST), None);
        assert_eq!(outbox.pass(None, 10, 4), Passage::Held, "nothing overtakes");
        let rest: Vec<i32> = std::iter::from_fn(|| outbox.next_due(SECOND)).collect();
        assert_eq!((rest, outbox.bytes), (vec![2, 3, 4], 0));
        assert_eq!(outbox.pass(None, 10, 5), Passage::Free(5));
    }

    #[test]
    fn what_can_be_said_again_is_bounded_and_answers_are_not_dropped() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.pass(Some(FIRST), OUTBOX_BYTES, 0), Passage::Held);
        assert_eq!(outbox.pass(Some(FIRST), 1, 1), Passage::Full);
        assert_eq!(outbox.pass_surely(Some(FIRST), 2), None);
        let mut outbox = Outbox::default();
        let held = (0..2 * OUTBOX_ITEMS).filter(|nth| outbox.pass(Some(FIRST), 0, *nth) == Passage::Held);
        assert_eq!(held.count(), OUTBOX_ITEMS);
    }
}
