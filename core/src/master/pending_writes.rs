//! Who waits for which w.

use std::collections::{BTreeMap, BTreeSet};

use replog_shared::{Moment, Order, WriteConcern};

use super::events::{WaitId, Written};

/// Writes that are appended and whose w is not met yet.
///
/// One queue for each w, sorted by the end of the run: what w nodes hold is a prefix, so one comparison
/// releases everything in it. Costs nothing for a write that is not looked at, however long it waits.
///
/// Invariant: a write is in the queue of its w, in `places`, and, if it has a deadline, either in `deadlines` or in
/// `overdue`; nothing else is.
#[derive(Debug, Default)]
pub(super) struct PendingWrites {
    /// By w - 1.
    queues: Vec<BTreeMap<Key, Waiting>>,
    places: BTreeMap<WaitId, (WriteConcern, Order)>,
    deadlines: BTreeSet<(Moment, WaitId)>,
    /// Those whose caller's time was over before this node held their run itself.
    overdue: BTreeSet<Key>,
}

/// Writes of each queue that are checked after each event: the first ones, which are released next.
const CHECKED: usize = 8;

/// Exclusive end of the run, then who waits.
type Key = (Order, WaitId);

/// One pending write.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    written: Written,
    deadline: Option<Moment>,
}

impl PendingWrites {
    /// No write waits, in a log of this many nodes.
    pub(super) fn new(nodes: usize) -> PendingWrites {
        PendingWrites { queues: vec![BTreeMap::new(); nodes], ..PendingWrites::default() }
    }

    /// A caller begins to wait.
    pub(super) fn insert(&mut self, wait: WaitId, written: Written, deadline: Option<Moment>) {
        let through = written.through;
        self.queues[usize::from(written.w.get()) - 1].insert((through, wait), Waiting { written, deadline });
        self.places.insert(wait, (written.w, through));
        self.deadlines.extend(deadline.map(|deadline| (deadline, wait)));
    }

    /// A caller does not wait any more (it hung up).
    pub(super) fn remove(&mut self, wait: WaitId) -> Option<Written> {
        let (w, through) = self.places.remove(&wait)?;
        let waiting = self.queues[usize::from(w.get()) - 1].remove(&(through, wait))?;
        self.forget_time(through, wait, waiting);
        Some(waiting.written)
    }

    /// Takes a write whose run lies within what its w nodes hold; `held[w - 1]` is how far that is, none
    /// where they do not even hold the epoch's mark.
    pub(super) fn take_met(&mut self, held: &[Option<Order>]) -> Option<(WaitId, Written)> {
        for (queue, held) in self.queues.iter_mut().zip(held) {
            let Some(first) = queue.first_entry() else { continue };
            if Some(first.key().0) <= *held {
                let ((through, wait), waiting) = first.remove_entry();
                self.places.remove(&wait);
                self.forget_time(through, wait, waiting);
                return Some((wait, waiting.written));
            }
        }
        None
    }

    /// Takes a write whose caller's time is over. `own` is how far this node itself holds the log: a run that goes
    /// further may still get lost, so its caller waits until it cannot, see [`Self::take_overdue`].
    pub(super) fn take_expired(&mut self, now: Moment, own: Option<Order>) -> Option<(WaitId, Written)> {
        while let Some((deadline, wait)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(deadline, wait));
            let through = self.places.get(&wait)?.1;
            if Some(through) <= own {
                return self.remove(wait).map(|written| (wait, written));
            }
            self.overdue.insert((through, wait));
        }
        None
    }

    /// Takes a write that this node holds by now, after its caller's time was over.
    pub(super) fn take_overdue(&mut self, own: Option<Order>) -> Option<(WaitId, Written)> {
        let (_, wait) = self.overdue.first().copied().filter(|(through, _)| Some(*through) <= own)?;
        self.remove(wait).map(|written| (wait, written))
    }

    /// Takes any write.
    pub(super) fn take_any(&mut self) -> Option<(WaitId, Written)> {
        let wait = *self.places.first_key_value()?.0;
        self.remove(wait).map(|written| (wait, written))
    }

    /// Takes all that wait for entries; those that wait for a clean go on.
    pub(super) fn take_entries(&mut self) -> Vec<(WaitId, Written)> {
        let of_entries = |(wait, (_, through)): (&WaitId, &(WriteConcern, Order))| {
            (*through > Order::ZERO).then_some(*wait)
        };
        let waits: Vec<WaitId> = self.places.iter().filter_map(of_entries).collect();
        waits.into_iter().filter_map(|wait| Some((wait, self.remove(wait)?))).collect()
    }

    /// Forgets those whose run this node does not hold.
    pub(super) fn forget_beyond(&mut self, own: Option<Order>) {
        let beyond =
            |(wait, (_, through)): (&WaitId, &(WriteConcern, Order))| (Some(*through) > own).then_some(*wait);
        let waits: Vec<WaitId> = self.places.iter().filter_map(beyond).collect();
        for wait in waits {
            self.remove(wait);
        }
    }

    /// How far callers wait for secondaries: the end of the last run with a w above 1; 0 if there is none.
    pub(super) fn awaited_through(&self) -> Order {
        let ends = self.queues.iter().skip(1).filter_map(|queue| Some(queue.last_key_value()?.0.0));
        ends.max().unwrap_or(Order::ZERO)
    }

    /// When the next caller's time is over.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// What waits, by its place in the log; no more than `most`.
    pub(super) fn first(&self, most: usize) -> Vec<Written> {
        let queued = |queue: &BTreeMap<Key, Waiting>| {
            queue.values().take(most).map(|waiting| waiting.written).collect::<Vec<_>>()
        };
        let mut first: Vec<Written> = self.queues.iter().flat_map(queued).collect();
        first.sort_by_key(|written| (written.first, written.w));
        first.truncate(most);
        first
    }

    /// How many callers wait.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Asserts the invariant, and that nobody waits for more than a log of this length. Looks at the first writes of
    /// each queue, and counts the others.
    pub(super) fn check(&self, length: Order) {
        let queued: usize = self.queues.iter().map(BTreeMap::len).sum();
        assert_eq!(
            queued,
            self.places.len(),
            "a pending write is in a queue or in its place, but not in both"
        );
        for (w, queue) in (1..).zip(&self.queues) {
            queue.iter().take(CHECKED).for_each(|(key, waiting)| self.check_write(w, *key, waiting));
            let beyond = queue.last_key_value().filter(|((through, _), _)| *through > length);
            assert!(beyond.is_none(), "{beyond:?} waits for what is not in the log");
        }
        let timed = self.deadlines.len() + self.overdue.len();
        assert!(timed <= queued, "a time is kept of a pending write that is over");
        let mut waits = self.deadlines.iter().map(|(_, wait)| wait).take(CHECKED);
        assert!(waits.all(|wait| self.places.contains_key(wait)), "a deadline is nobody's");
    }

    fn check_write(&self, w: usize, (through, wait): Key, Waiting { written, deadline }: &Waiting) {
        let is_placed = self.places.get(&wait) == Some(&(written.w, through));
        assert!(
            is_placed && usize::from(written.w.get()) == w,
            "{written:?} waits in another place than its own"
        );
        let ends = written.first.plus(written.count) <= through && written.through == through;
        assert!(ends, "{written:?} waits for less than its run");
        let has_time = deadline.is_none_or(|deadline| {
            self.deadlines.contains(&(deadline, wait)) != self.overdue.contains(&(through, wait))
        });
        assert!(has_time, "{written:?} has a deadline, and no time or two");
    }

    fn forget_time(&mut self, through: Order, wait: WaitId, waiting: Waiting) {
        if let Some(deadline) = waiting.deadline {
            self.deadlines.remove(&(deadline, wait));
            self.overdue.remove(&(through, wait));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(first: u64, w: u64) -> Written {
        let w = WriteConcern::checked(Some(w), 3).unwrap();
        let first = Order::new(first);
        Written { first, count: 1, through: first.next(), duplicate: false, w }
    }

    fn met(pending: &mut PendingWrites, held: [Option<u64>; 3]) -> Vec<usize> {
        let held = held.map(|end| end.map(Order::new));
        std::iter::from_fn(|| pending.take_met(&held)).map(|(wait, _)| wait.0).collect()
    }

    #[test]
    fn a_prefix_that_w_nodes_hold_releases_all_in_it() {
        let mut pending = PendingWrites::new(3);
        for (wait, (first, w)) in [(0, 1), (1, 2), (2, 2), (3, 3)].into_iter().enumerate() {
            pending.insert(WaitId(wait), written(first, w), None);
        }
        assert_eq!(met(&mut pending, [Some(4), Some(2), None]), [0, 1]);
        assert_eq!(met(&mut pending, [Some(4), Some(4), Some(3)]), [2]);
        assert_eq!(met(&mut pending, [Some(4); 3]), [3]);
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn a_clean_waits_for_marks_although_it_has_no_order() {
        let mut pending = PendingWrites::new(3);
        pending.insert(WaitId(0), Written { count: 0, through: Order::ZERO, ..written(0, 2) }, None);
        assert!(met(&mut pending, [Some(0), None, None]).is_empty());
        assert_eq!(met(&mut pending, [Some(0), Some(0), None]), [0]);
    }

    #[test]
    fn time_ends_a_wait_and_hanging_up_leaves_nothing_behind() {
        let at = |millis| Moment::after_start(Duration::from_millis(millis));
        let mut pending = PendingWrites::new(3);
        pending.insert(WaitId(0), written(0, 3), Some(at(10)));
        pending.insert(WaitId(1), written(1, 3), Some(at(5)));
        assert_eq!(pending.next_deadline(), Some(at(5)));
        assert!(pending.remove(WaitId(1)).is_some());
        let own = Some(Order::new(1));
        assert!(pending.take_expired(at(9), own).is_none());
        assert_eq!(pending.take_expired(at(10), own).unwrap().0, WaitId(0));
        assert_eq!((pending.len(), pending.next_deadline()), (0, None));
    }

    #[test]
    fn a_run_that_is_not_held_here_outlasts_its_callers_time() {
        let at = |millis| Moment::after_start(Duration::from_millis(millis));
        let mut pending = PendingWrites::new(3);
        for (wait, first) in [(0, 0), (1, 1), (2, 2)] {
            pending.insert(WaitId(wait), written(first, 3), Some(at(5)));
        }
        let own = |through| Some(Order::new(through));
        assert_eq!(pending.take_expired(at(5), own(1)).unwrap().0, WaitId(0));
        assert!(pending.take_expired(at(5), own(1)).is_none());
        assert_eq!((pending.len(), pending.next_deadline()), (2, None), "no deadline is due for ever");
        assert!(pending.take_overdue(own(1)).is_none());
        assert!(pending.take_overdue(None).is_none());
        assert_eq!(pending.take_overdue(own(2)).unwrap().0, WaitId(1));
        assert_eq!(met(&mut pending, [Some(3); 3]), [2], "its w may be met meanwhile");
        assert!(pending.take_overdue(own(3)).is_none() && pending.overdue.is_empty());
    }

    /// One write at order 4 that waits for two nodes, until a deadline.
    fn one() -> PendingWrites {
        let mut pending = PendingWrites::new(3);
        pending.insert(WaitId(0), written(4, 2), Some(Moment::default()));
        pending.check(Order::new(5));
        pending
    }

    #[test]
    #[should_panic(expected = "a pending write is in a queue or in its place, but not in both")]
    fn a_write_that_only_its_queue_knows_is_found() {
        let mut pending = one();
        pending.places.clear();
        pending.check(Order::new(5));
    }

    #[test]
    #[should_panic(expected = "waits in another place than its own")]
    fn a_write_in_the_queue_of_another_w_is_found() {
        let mut pending = one();
        pending.queues.swap(1, 2);
        pending.check(Order::new(5));
    }

    #[test]
    #[should_panic(expected = "waits for what is not in the log")]
    fn a_write_behind_the_logs_end_is_found() {
        one().check(Order::new(4));
    }

    #[test]
    #[should_panic(expected = "waits for less than its run")]
    fn a_write_that_would_be_released_too_early_is_found() {
        let mut pending = PendingWrites::new(3);
        pending.insert(WaitId(0), Written { count: 2, ..written(4, 2) }, None);
        pending.check(Order::new(9));
    }

    #[test]
    #[should_panic(expected = "has a deadline, and no time or two")]
    fn a_write_whose_time_would_never_be_over_is_found() {
        let mut pending = one();
        pending.deadlines.clear();
        pending.check(Order::new(5));
    }

    #[test]
    #[should_panic(expected = "a time is kept of a pending write that is over")]
    fn a_time_too_many_is_found() {
        let mut pending = one();
        pending.overdue.insert((Order::new(5), WaitId(7)));
        pending.check(Order::new(5));
    }

    #[test]
    #[should_panic(expected = "a deadline is nobody's")]
    fn a_deadline_without_a_write_is_found() {
        let mut pending = PendingWrites::new(3);
        pending.insert(WaitId(0), written(4, 2), None);
        pending.deadlines.insert((Moment::default(), WaitId(7)));
        pending.check(Order::new(5));
    }
}
