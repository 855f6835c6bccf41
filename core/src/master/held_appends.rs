//! Appends that came before this node leads.

use std::collections::VecDeque;

use replog_shared::{
    Moment,
    limits::{MAX_HELD_APPENDS, MAX_HELD_BYTES},
};

use super::events::{Append, WaitId};
use crate::checks::assert_sum;

/// Appends that wait for the start to end, in the order in which they came.
///
/// Invariant: at most `MAX_HELD_APPENDS`, of at most `MAX_HELD_BYTES`.
#[derive(Debug, Default)]
pub(super) struct HeldAppends {
    queue: VecDeque<(WaitId, Append)>,
    bytes: usize,
}

impl HeldAppends {
    /// Takes one more; false if there is no room for it.
    #[must_use = "what finds no room is to be refused"]
    pub(super) fn push(&mut self, wait: WaitId, append: &Append) -> bool {
        let bytes = self.bytes + append.bytes();
        if self.queue.len() >= MAX_HELD_APPENDS || bytes > MAX_HELD_BYTES {
            return false;
        }
        self.bytes = bytes;
        self.queue.push_back((wait, append.clone()));
        true
    }

    /// The oldest.
    pub(super) fn first(&self) -> Option<&Append> {
        self.queue.front().map(|(_, append)| append)
    }

    /// Takes the oldest out.
    pub(super) fn pop(&mut self) -> Option<(WaitId, Append)> {
        let (wait, append) = self.queue.pop_front()?;
        self.bytes -= append.bytes();
        Some((wait, append))
    }

    /// Takes out one whose caller's time is over.
    pub(super) fn pop_expired(&mut self, now: Moment) -> Option<WaitId> {
        let expired = |append: &Append| append.deadline.is_some_and(|deadline| deadline <= now);
        let wait = self.queue.iter().find(|(_, append)| expired(append))?.0;
        self.remove(wait);
        Some(wait)
    }

    /// Forgets one whose caller hung up.
    pub(super) fn remove(&mut self, wait: WaitId) {
        let Some(at) = self.queue.iter().position(|(held, _)| *held == wait) else { return };
        self.bytes -= self.queue.remove(at).map_or(0, |(_, append)| append.bytes());
    }

    /// When the next caller's time is over.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.queue.iter().filter_map(|(_, append)| append.deadline).min()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of their messages and ids.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Asserts the invariant.
    pub(super) fn check(&self) {
        assert!(self.len() <= MAX_HELD_APPENDS, "more appends are held than may be");
        assert!(self.bytes <= MAX_HELD_BYTES, "the held appends have more bytes than they may");
        assert_sum("the held appends", self.bytes, self.queue.iter().map(|(_, append)| append.bytes()));
    }
}

#[cfg(test)]
mod tests {
    use replog_shared::WriteConcern;

    use super::*;

    fn holding(appends: usize) -> HeldAppends {
        let append = Append { messages: vec![], w: WriteConcern::ONE, expect_order: None, deadline: None };
        let mut held = HeldAppends::default();
        held.queue.extend((0..appends).map(|wait| (WaitId(wait), append.clone())));
        held.bytes = appends * append.bytes();
        held
    }

    #[test]
    #[should_panic(expected = "more appends are held than may be")]
    fn too_many_appends_are_found() {
        holding(MAX_HELD_APPENDS + 1).check();
    }

    #[test]
    #[should_panic(expected = "the held appends have more bytes than they may")]
    fn too_many_bytes_are_found() {
        HeldAppends { bytes: MAX_HELD_BYTES + 1, ..holding(1) }.check();
    }

    #[test]
    #[should_panic(expected = "the bytes of the held appends are miscounted")]
    fn bytes_that_are_not_those_of_the_appends_are_found() {
        let held = holding(1);
        HeldAppends { bytes: held.bytes + 1, ..held }.check();
    }
}
