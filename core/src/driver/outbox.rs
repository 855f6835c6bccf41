//! What a node says, in order, and never before what it follows from is durable.

use std::collections::VecDeque;

use replog_shared::store::Ticket;

use super::limits::{OUTBOX_BYTES, OUTBOX_ITEMS};
use crate::checks::assert_sum;

/// Items whose order is checked after each event: the last ones, where new ones come.
const CHECKED: usize = 4;

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

    /// Asserts the invariant, now that all is done up to `done`, of tickets up to `last`.
    pub(super) fn check(&self, done: Ticket, last: Ticket) {
        assert!(self.bytes <= OUTBOX_BYTES, "the outbox holds more bytes than it may");
        assert_sum("the outbox", self.bytes, self.held.iter().map(|waiting| waiting.bytes));
        let Some(first) = self.held.front() else { return };
        assert!(done < first.ticket, "what may be said waits in the outbox");
        let tickets = self.held.iter().rev().map(|waiting| waiting.ticket).take(CHECKED);
        assert!(
            tickets.clone().is_sorted_by(|later, earlier| later >= earlier),
            "the outbox is out of order"
        );
        assert!(tickets.max() <= Some(last), "the outbox waits for what nobody was asked to do");
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

    /// One that holds these, for checks that are to fail.
    fn holding(items: &[(Ticket, usize)]) -> Outbox<()> {
        let waiting = |&(ticket, bytes): &(Ticket, usize)| Waiting { ticket, bytes, item: () };
        Outbox {
            held: items.iter().map(waiting).collect(),
            bytes: items.iter().map(|(_, bytes)| bytes).sum(),
        }
    }

    #[test]
    #[should_panic(expected = "the outbox is out of order")]
    fn an_item_that_would_overtake_is_found() {
        holding(&[(SECOND, 1), (FIRST, 1)]).check(Ticket::NONE, SECOND);
    }

    #[test]
    #[should_panic(expected = "the bytes of the outbox are miscounted")]
    fn bytes_that_are_not_those_of_the_items_are_found() {
        Outbox { bytes: 7, ..holding(&[(FIRST, 1)]) }.check(Ticket::NONE, FIRST);
    }

    #[test]
    #[should_panic(expected = "the outbox holds more bytes than it may")]
    fn an_outbox_that_is_too_full_is_found() {
        holding(&[(FIRST, OUTBOX_BYTES + 1)]).check(Ticket::NONE, FIRST);
    }

    #[test]
    #[should_panic(expected = "what may be said waits in the outbox")]
    fn an_item_that_was_forgotten_is_found() {
        holding(&[(FIRST, 1)]).check(FIRST, SECOND);
    }

    #[test]
    #[should_panic(expected = "the outbox waits for what nobody was asked to do")]
    fn an_item_that_would_wait_for_ever_is_found() {
        holding(&[(SECOND, 1)]).check(Ticket::NONE, FIRST);
    }
}
