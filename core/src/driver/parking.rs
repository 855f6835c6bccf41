//! Events that wait for old lines of the log, before they are brought to a core.
//!
//! What is here knows no thread and no clock: a node asks what is to be read, has it read where somebody may wait for a
//! disk, and says when that is done.

use std::collections::VecDeque;

use replog_shared::store::{Lookup, OldLines, OldPages};

use super::limits::{PARKED_BYTES, PARKED_EVENTS, PARKED_READS};
use crate::checks::assert_sum;

/// The least that is read for an event once something was read for it and was not enough; twice as much each time.
const FURTHER_BYTES: usize = 64 * 1024;

/// A read that is under way: no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(u64);

/// An event for which something was read, with all that was read for it.
#[derive(Debug)]
pub(super) struct Parked<E> {
    /// The event.
    pub(super) event: E,
    /// What was read of the log as it is.
    pub(super) pages: OldPages,
    bytes: usize,
    lookup: Lookup,
    /// How often something was read for it.
    rounds: u32,
    /// How often the log had been cut when its pages were read.
    cuts: u64,
}

/// Events that wait, in the order in which they came.
///
/// Invariant: at most `PARKED_EVENTS` besides those that [`Parking::park_surely`] took, of about `PARKED_BYTES`; at most
/// `PARKED_READS` of them are read for or were, only those hold pages, and they go before all others.
#[derive(Debug)]
pub(super) struct Parking<E> {
    waiting: VecDeque<Parked<E>>,
    /// None: nobody wants it any more, and only the read has to end.
    reading: Vec<(Turn, Option<Parked<E>>)>,
    bytes: usize,
    last: u64,
}

impl<E> Default for Parking<E> {
    fn default() -> Parking<E> {
        Parking { waiting: VecDeque::new(), reading: Vec::new(), bytes: 0, last: 0 }
    }
}

impl<E> Parking<E> {
    /// An event of about so many bytes waits for this.
    ///
    /// # Errors
    /// There is no room for it: it is given back.
    pub(super) fn park(&mut self, event: E, bytes: usize, lookup: Lookup) -> Result<(), E> {
        if !self.has_room(bytes) {
            return Err(event);
        }
        self.push(event, bytes, lookup);
        Ok(())
    }

    /// The same for an event for which there is always room: the caller sees to it that there are few.
    pub(super) fn park_surely(&mut self, event: E, lookup: Lookup) {
        self.push(event, 0, lookup);
    }

    fn push(&mut self, event: E, bytes: usize, lookup: Lookup) {
        self.bytes += bytes;
        self.waiting.push_back(Parked {
            event,
            pages: OldPages::default(),
            bytes,
            lookup,
            rounds: 0,
            cuts: 0,
        });
    }

    /// Whether an event of so many bytes can wait.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.len() < PARKED_EVENTS && self.bytes + bytes <= PARKED_BYTES
    }

    /// What is to be read next, of a log that was cut so often; none: nothing waits, or as much is read as may be.
    pub(super) fn next_read(&mut self, cuts: u64) -> Option<(Turn, Lookup)> {
        if self.reading.len() >= PARKED_READS {
            return None;
        }
        let mut parked = self.waiting.pop_front()?;
        parked.renew(cuts);
        let least = FURTHER_BYTES.saturating_mul(1 << parked.rounds.min(16));
        let lookup = if parked.rounds == 0 { parked.lookup } else { parked.lookup.at_least(least) };
        self.last += 1;
        self.reading.push((Turn(self.last), Some(parked)));
        Some((Turn(self.last), lookup))
    }

    /// Something was read. Gives the event to be looked at again, if it is still wanted: lines of a log that was cut since
    /// are thrown away.
    pub(super) fn on_read(&mut self, turn: Turn, lines: OldLines, cuts: u64) -> Option<Parked<E>> {
        let at = self.reading.iter().position(|(reading, _)| *reading == turn)?;
        let mut parked = self.reading.swap_remove(at).1?;
        self.bytes -= parked.bytes;
        parked.rounds += 1;
        if !parked.renew(cuts) {
            parked.pages.push(lines);
        }
        Some(parked)
    }

    /// It was not enough: the event waits on, before all others.
    pub(super) fn go_on(&mut self, parked: Parked<E>, lookup: Lookup) {
        self.bytes += parked.bytes;
        self.waiting.push_front(Parked { lookup, ..parked });
    }

    /// Takes out the events of which `is_over` says so.
    pub(super) fn take_if(&mut self, mut is_over: impl FnMut(&E) -> bool) -> Vec<E> {
        let mut over = Vec::new();
        for at in (0..self.waiting.len()).rev() {
            if is_over(&self.waiting[at].event) {
                over.extend(self.waiting.remove(at));
            }
        }
        over.reverse();
        let reading = self.reading.iter_mut().map(|(_, parked)| parked);
        over.extend(reading.filter_map(|parked| parked.take_if(|parked| is_over(&parked.event))));
        self.bytes -= over.iter().map(|parked| parked.bytes).sum::<usize>();
        over.into_iter().map(|parked| parked.event).collect()
    }

    /// The events that wait.
    pub(super) fn events(&self) -> impl Iterator<Item = &E> {
        let reading = self.reading.iter().filter_map(|(_, parked)| parked.as_ref());
        self.waiting.iter().chain(reading).map(|parked| &parked.event)
    }

    /// How many wait, or are read for.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.reading.len()
    }

    /// Whether none does.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of those that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Asserts the invariant, for a driver that surely parks one event at a time.
    pub(super) fn check(&self) {
        assert!(self.len() <= PARKED_EVENTS + 1, "more events are parked than may be");
        assert!(self.bytes <= PARKED_BYTES, "the parked events hold more bytes than they may");
        let reading = self.reading.iter().filter_map(|(_, parked)| parked.as_ref());
        let parked = self.waiting.iter().chain(reading);
        assert_sum("the parked events", self.bytes, parked.map(|parked| parked.bytes));
        let first = self.waiting.iter().take(PARKED_READS + 1);
        assert!(first.clone().all(Parked::is_sound), "an event holds pages for which nothing was read");
        let were_read_for = first.clone().take_while(|parked| parked.rounds > 0).count();
        let turns = self.reading.len() + were_read_for;
        assert!(turns <= PARKED_READS, "{turns} parked events are read for or were");
        assert!(first.skip(were_read_for).all(Parked::is_new), "an event that was read for is overtaken");
    }
}

impl<E> Parked<E> {
    const fn is_new(&self) -> bool {
        self.rounds == 0
    }

    const fn is_sound(&self) -> bool {
        self.pages.is_empty() || !self.is_new()
    }

    /// Lets go of what was read before the log was cut; whether it was.
    fn renew(&mut self, cuts: u64) -> bool {
        let was_cut = self.cuts != cuts;
        if was_cut {
            self.pages.clear();
            self.cuts = cuts;
        }
        was_cut
    }
}

#[cfg(test)]
mod tests {
    use replog_shared::{Digest, Order};

    use super::*;

    fn lookup(from: u64) -> Lookup {
        Lookup::Lines { from: Order::new(from), to: Order::new(from + 1), bytes: 1 }
    }

    fn lines(from: u64) -> OldLines {
        let mut lines = OldLines::new(Order::new(from));
        lines.push(b"{}\n", Digest::EMPTY);
        lines
    }

    fn has(parked: &Parked<u64>, order: u64) -> bool {
        parked.pages.cover(Order::new(order), Order::new(order + 1))
    }

    #[test]
    fn events_are_read_for_in_their_order_and_few_at_one_time() {
        let mut parking = Parking::default();
        for event in 0..2 * PARKED_READS as u64 {
            parking.park(event, 10, lookup(event)).unwrap();
        }
        let turns: Vec<_> = std::iter::from_fn(|| parking.next_read(0)).collect();
        let expected: Vec<_> = (0..PARKED_READS as u64).map(lookup).collect();
        assert_eq!(turns.iter().map(|(_, lookup)| *lookup).collect::<Vec<_>>(), expected);
        let parked = parking.on_read(turns[1].0, lines(1), 0).unwrap();
        assert!(parked.event == 1 && has(&parked, 1));
        assert_eq!(parking.next_read(0).unwrap().1, lookup(PARKED_READS as u64), "the next one's turn");
        assert!(parking.on_read(turns[1].0, lines(1), 0).is_none(), "its turn is over");
        assert_eq!((parking.len(), parking.bytes()), (2 * PARKED_READS - 1, 10 * (2 * PARKED_READS - 1)));
    }

    #[test]
    fn no_more_waits_than_may_and_what_finds_no_room_is_given_back() {
        let mut parking = Parking::default();
        assert_eq!(parking.park(0, PARKED_BYTES, lookup(0)), Ok(()));
        assert_eq!(parking.park(1, 1, lookup(1)), Err(1));
        let mut parking = Parking::default();
        let taken = (0..2 * PARKED_EVENTS).filter(|event| parking.park(*event, 0, lookup(0)).is_ok());
        assert_eq!(taken.count(), PARKED_EVENTS);
        let (turn, _) = parking.next_read(0).unwrap();
        assert!(!parking.has_room(0), "what is read for counts");
        drop(parking.on_read(turn, lines(0), 0));
        assert!(parking.has_room(0));
    }

    #[test]
    fn what_was_read_before_a_cut_is_thrown_away() {
        let mut parking = Parking::default();
        parking.park(7, 10, lookup(3)).unwrap();
        let (turn, _) = parking.next_read(4).unwrap();
        let parked = parking.on_read(turn, lines(3), 4).unwrap();
        assert!(has(&parked, 3));
        parking.go_on(parked, lookup(5));
        let (turn, _) = parking.next_read(4).unwrap();
        let parked = parking.on_read(turn, lines(5), 5).unwrap();
        assert!(!has(&parked, 3) && !has(&parked, 5), "cut while it was read");
        parking.go_on(parked, lookup(3));
        let (turn, _) = parking.next_read(5).unwrap();
        let parked = parking.on_read(turn, lines(3), 5).unwrap();
        assert!(has(&parked, 3));
        parking.go_on(parked, lookup(5));
        let (turn, _) = parking.next_read(6).unwrap();
        let parked = parking.on_read(turn, lines(5), 6).unwrap();
        assert!(!has(&parked, 3) && has(&parked, 5), "cut while it waited for its turn");
    }

    #[test]
    fn an_event_that_needs_more_goes_before_the_others_and_reads_more_each_time() {
        let mut parking = Parking::default();
        parking.park(0, 1, lookup(0)).unwrap();
        let mut least = 0;
        for _ in 0..5 {
            let (turn, read) = parking.next_read(0).unwrap();
            let Lookup::Lines { bytes, .. } = read else { panic!("{read:?}") };
            assert!(bytes > least);
            least = bytes;
            let parked = parking.on_read(turn, lines(0), 0).unwrap();
            parking.go_on(parked, lookup(1));
            let _has_room = parking.park(9, 1, lookup(9));
        }
        assert!(parking.waiting.front().is_some_and(|parked| parked.event == 0));
    }

    #[test]
    fn who_is_gone_is_taken_out_and_its_read_still_takes_its_turn() {
        let mut parking = Parking::default();
        for event in 0..=PARKED_READS as u64 {
            parking.park(event, 10, lookup(event)).unwrap();
        }
        let turns: Vec<_> = std::iter::from_fn(|| parking.next_read(0)).collect();
        assert_eq!(parking.take_if(|event| *event != 1), [4, 0, 2, 3]);
        assert_eq!((parking.bytes(), parking.events().copied().collect::<Vec<_>>()), (10, vec![1]));
        parking.park(8, 10, lookup(8)).unwrap();
        assert!(parking.next_read(0).is_none(), "all turns are taken");
        assert!(parking.on_read(turns[0].0, lines(0), 0).is_none());
        assert_eq!(parking.next_read(0).unwrap().1, lookup(8));
    }

    /// Events of these bytes, of which the last ones were read for.
    fn holding(bytes: &[usize], were_read_for: usize) -> Parking<usize> {
        let mut parking = Parking::default();
        for (event, bytes) in bytes.iter().enumerate() {
            parking.push(event, *bytes, lookup(0));
        }
        parking.waiting.iter_mut().rev().take(were_read_for).for_each(|parked| parked.rounds = 1);
        parking
    }

    #[test]
    #[should_panic(expected = "more events are parked than may be")]
    fn too_many_events_are_found() {
        holding(&[0; PARKED_EVENTS + 2], 0).check();
    }

    #[test]
    #[should_panic(expected = "the parked events hold more bytes than they may")]
    fn too_many_bytes_are_found() {
        holding(&[PARKED_BYTES, 1], 0).check();
    }

    #[test]
    #[should_panic(expected = "the bytes of the parked events are miscounted")]
    fn bytes_that_are_not_those_of_the_events_are_found() {
        Parking { bytes: 7, ..holding(&[1], 0) }.check();
    }

    #[test]
    #[should_panic(expected = "5 parked events are read for or were")]
    fn too_many_reads_are_found() {
        holding(&[1; PARKED_READS + 1], PARKED_READS + 1).check();
    }

    #[test]
    #[should_panic(expected = "an event that was read for is overtaken")]
    fn a_new_event_before_one_that_was_read_for_is_found() {
        holding(&[1; 3], 1).check();
    }

    #[test]
    #[should_panic(expected = "an event holds pages for which nothing was read")]
    fn pages_of_a_new_event_are_found() {
        let mut parking = holding(&[1], 0);
        parking.waiting[0].pages.push(lines(0));
        parking.check();
    }
}
