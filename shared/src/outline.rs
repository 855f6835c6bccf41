//! What nodes tell each other of their logs: some marks in a row, and the length.
//!
//! A log may have more marks than an envelope takes: each start of a master that is followed by an append adds
//! one. A few are enough, by log matching: an epoch is unique, and its mark stands behind the whole log that its
//! epoch began with. So two logs that have one mark in common are equal up to it, and two logs that have none in
//! common among the marks that were told part somewhere before those.

use serde::{Deserialize, Serialize};

use crate::{Epoch, MarkKind, Order, Place, PlacedMark};

/// A mark as messages carry it: whom it names as members and as reached matters only in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BriefMark {
    /// The epoch that begins.
    #[serde(flatten)]
    pub epoch: Epoch,
    /// Why.
    pub kind: MarkKind,
    /// The order of the first entry behind it.
    pub at: Order,
}

impl BriefMark {
    fn of(placed: &PlacedMark) -> BriefMark {
        BriefMark { epoch: placed.mark.epoch.clone(), kind: placed.mark.kind, at: placed.at }
    }
}

/// What is told of a log: the marks before its end, or only the newest of them, and its length.
///
/// An older outline of the same log tells of it as if it ended before some mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// How many marks stand before those that are told.
    pub marks_before: u32,
    /// Marks, one behind the other.
    pub marks: Vec<BriefMark>,
    /// How many entries stand before the end.
    pub length: Order,
}

impl Outline {
    /// The outline of a log that has these marks, as far as `end`: at the most the last `most` marks before it.
    pub fn of(marks: &[PlacedMark], end: Place, most: usize) -> Outline {
        let marks = &marks[..marks.len().min(end.marks as usize)];
        let before = marks.len().saturating_sub(most);
        let told = marks[before..].iter().map(BriefMark::of).collect();
        Outline { marks_before: before as u32, marks: told, length: end.length }
    }

    /// The epoch of the last mark; none in a log without marks.
    pub fn epoch(&self) -> Option<&Epoch> {
        self.marks.last().map(|mark| &mark.epoch)
    }

    /// Where the log ends.
    pub fn end(&self) -> Place {
        Place::new(self.length, self.marks_end())
    }

    fn marks_end(&self) -> u32 {
        self.marks_before.saturating_add(self.marks.len() as u32)
    }

    /// The mark behind `nth` others, if it is told.
    fn mark(&self, nth: u32) -> Option<&BriefMark> {
        self.marks.get(nth.checked_sub(self.marks_before)? as usize)
    }

    /// Where the epoch ends that began with the last of the first `marks` marks.
    fn end_behind(&self, marks: u32) -> Order {
        self.mark(marks).map_or(self.length, |next| next.at)
    }

    /// Whether the log holds nothing that anybody could miss: no entry, and no mark of a promotion or a clean.
    pub fn is_bare(&self) -> bool {
        self.marks_before == 0 && self.holds_nothing_behind(Place::START)
    }

    /// Whether the log holds nothing behind `fork`: no entry, and no mark but such of kind start. Whoever gives
    /// that up gives nothing up, so nothing needs to explain it.
    pub fn holds_nothing_behind(&self, fork: Place) -> bool {
        let behind = fork.marks.saturating_sub(self.marks_before) as usize;
        let marks = self.marks.get(behind..).unwrap_or_default();
        self.length == fork.length && marks.iter().all(|mark| mark.kind == MarkKind::Start)
    }
}

/// Where two logs part: behind the last mark that both have, at the smaller of its two ends. None if that cannot
/// be told from these outlines.
///
/// This is the true longest common prefix of two logs that follow the protocol (docs/RECOVERY.md, section 6). Source: Kafka's
/// KIP-101 and KIP-279.
pub fn fork(mine: &Outline, theirs: &Outline) -> Option<Place> {
    let first = mine.marks_before.max(theirs.marks_before);
    let end = mine.marks_end().min(theirs.marks_end());
    let is_common = |nth: &u32| match (mine.mark(*nth), theirs.mark(*nth)) {
        (Some(a), Some(b)) => a.epoch == b.epoch && a.at == b.at,
        _ => false,
    };
    if let Some(last) = (first..end).rev().find(is_common) {
        let marks = last + 1;
        return Some(Place::new(mine.end_behind(marks).min(theirs.end_behind(marks)), marks));
    }
    // Nothing is common: of two logs that are told from the beginning, and with one that has no mark.
    (first == 0 || end == 0).then_some(Place::START)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Digest, Incarnation, Mark};

    fn placed(reign: u32, start: u32, kind: MarkKind, at: u64) -> PlacedMark {
        let epoch =
            Epoch { reign, owner: "m".parse().unwrap(), start, incarnation: Incarnation::from_random(7) };
        let mark = Mark { epoch, kind, reached: vec![], members: vec![], first: Order::ZERO };
        PlacedMark { mark, at: Order::new(at), digest: Digest::EMPTY }
    }

    fn end_of(marks: &[PlacedMark], length: u64) -> Place {
        Place::new(Order::new(length), marks.len() as u32)
    }

    fn whole(marks: &[PlacedMark], length: u64) -> Outline {
        Outline::of(marks, end_of(marks, length), usize::MAX)
    }

    #[test]
    fn the_fork_is_the_smaller_end_of_the_last_common_mark() {
        use MarkKind::{Promotion, Start};
        let old = [placed(1, 0, Start, 0)];
        let new = [placed(1, 0, Start, 0), placed(2, 0, Promotion, 5)];
        let fork_at =
            |a: &[PlacedMark], al, b: &[PlacedMark], bl| fork(&whole(a, al), &whole(b, bl)).unwrap();
        assert_eq!(fork_at(&old, 9, &new, 7), Place::new(Order::new(5), 1));
        assert_eq!(fork_at(&old, 3, &new, 7), Place::new(Order::new(3), 1));
        assert_eq!(fork_at(&new, 9, &new, 7), Place::new(Order::new(7), 2));
        assert_eq!(fork_at(&[], 0, &new, 7), Place::START);
    }

    #[test]
    fn without_a_common_mark_the_fork_is_not_known_but_with_an_empty_log() {
        let marks: Vec<PlacedMark> =
            (0..9).map(|start| placed(1, start, MarkKind::Start, u64::from(start))).collect();
        let newest = Outline::of(&marks, end_of(&marks, 9), 3);
        let behind = Outline::of(&marks[..4], end_of(&marks[..4], 4), 3);
        assert_eq!(fork(&newest, &behind), None);
        assert_eq!(fork(&whole(&marks, 9), &behind), Some(Place::new(Order::new(4), 4)));
        assert_eq!(fork(&newest, &Outline::default()), Some(Place::START));
    }

    #[test]
    fn an_older_outline_tells_of_the_log_as_if_it_ended_there() {
        let marks: Vec<PlacedMark> =
            (0..9).map(|start| placed(1, start, MarkKind::Start, u64::from(start))).collect();
        let older = Outline::of(&marks, Place::new(Order::new(6), 6), 3);
        assert_eq!((older.marks_before, older.marks.len(), older.length), (3, 3, Order::new(6)));
        assert_eq!(fork(&whole(&marks, 9), &older), Some(older.end()));
    }

    #[test]
    fn starts_without_an_entry_are_nothing_and_all_else_is_something() {
        use MarkKind::{Clean, Promotion, Start};
        let fork = Place::new(Order::new(5), 1);
        let behind = |marks: &[PlacedMark], length, most| {
            let own = [&[placed(1, 0, Start, 0)], marks].concat();
            Outline::of(&own, end_of(&own, length), most).holds_nothing_behind(fork)
        };
        assert!(behind(&[], 5, 9));
        assert!(behind(&[placed(1, 1, Start, 5), placed(1, 2, Start, 5)], 5, 9));
        assert!(!behind(&[], 6, 9));
        assert!(!behind(&[placed(1, 1, Start, 5)], 6, 9));
        for kind in [Promotion, Clean] {
            assert!(!behind(&[placed(1, 1, kind, 5), placed(1, 2, Start, 5)], 5, 9), "{kind:?}");
            assert!(!behind(&[placed(1, 1, Start, 5), placed(1, 2, kind, 5)], 5, 2), "{kind:?}");
        }
    }

    /// A log of as many epochs as `entries` has members, each with so many entries, in a branch of its own from
    /// the `forks_at`-th epoch on.
    fn branch(entries: &[u64], forks_at: usize, reign: u32) -> (Vec<PlacedMark>, u64) {
        let (mut marks, mut length) = (Vec::new(), 0);
        for (nth, count) in entries.iter().enumerate() {
            let reign = if nth < forks_at { 1 } else { reign };
            marks.push(placed(reign, nth as u32, MarkKind::Start, length));
            length += count;
        }
        (marks, length)
    }

    /// The first places at which two logs differ, found mark by mark from the beginning.
    fn common_prefix(a: &(Vec<PlacedMark>, u64), b: &(Vec<PlacedMark>, u64)) -> Place {
        let common = a.0.iter().zip(&b.0).take_while(|(a, b)| a.mark.epoch == b.mark.epoch && a.at == b.at);
        let common = common.count();
        let end = |log: &(Vec<PlacedMark>, u64)| log.0.get(common).map_or(log.1, |next| next.at.get());
        let length = if common == 0 { 0 } else { end(a).min(end(b)) };
        Place::new(Order::new(length), common as u32)
    }

    fn log() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(0..3u64, 0..24)
    }

    proptest! {
        #[test]
        fn what_outlines_tell_of_a_fork_is_what_the_whole_logs_tell(
            mut mine in log(), mut theirs in log(), common in 0..24usize, most in (1..9usize, 1..30usize),
        ) {
            let shared = common.min(mine.len()).min(theirs.len());
            mine[..shared].copy_from_slice(&theirs[..shared]);
            // The epoch before the fork may go on in both.
            if let Some(last) = shared.checked_sub(1) {
                theirs[last] = (theirs[last] + most.0 as u64) % 3;
            }
            let (mine, theirs) = (branch(&mine, shared, 2), branch(&theirs, shared, 3));
            let outline = |log: &(Vec<PlacedMark>, u64), most| Outline::of(&log.0, end_of(&log.0, log.1), most);
            let expected = common_prefix(&mine, &theirs);
            prop_assert_eq!(fork(&whole(&mine.0, mine.1), &whole(&theirs.0, theirs.1)), Some(expected));
            let (told, other) = (outline(&mine, most.0), outline(&theirs, most.1));
            if let Some(known) = fork(&told, &other) {
                prop_assert_eq!(known, expected);
            }
            prop_assert_eq!(fork(&told, &other), fork(&other, &told));
        }

        #[test]
        fn older_and_older_outlines_lead_to_the_fork(
            mine in log(), theirs in log(), common in 0..24usize, most in 1..5usize,
        ) {
            let shared = common.min(mine.len()).min(theirs.len());
            let mine = [&theirs[..shared], &mine[shared..]].concat();
            let (mine, theirs) = (branch(&mine, shared, 2), branch(&theirs, shared, 3));
            let (master, mut end) = (whole(&mine.0, mine.1), end_of(&theirs.0, theirs.1));
            let found = loop {
                let told = Outline::of(&theirs.0, end, most);
                if let Some(fork) = fork(&master, &told) {
                    break fork;
                }
                prop_assert!(told.marks_before < end.marks, "each is older than the one before");
                end = Place::new(theirs.0[told.marks_before as usize].at, told.marks_before);
            };
            prop_assert_eq!(found, common_prefix(&mine, &theirs));
        }
    }
}
