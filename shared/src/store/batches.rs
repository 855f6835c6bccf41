//! Batches of which the log holds only the beginning yet.

use std::collections::VecDeque;

use crate::{Digest, Lines, Order, lines::Tip};

/// The runs after which a batch was not complete, as far as they are not durable or are the log's end: what becomes
/// durable ends where a run ends, so they tell how far the log may be shown.
///
/// Empty but on a node that gets a batch in parts.
#[derive(Debug, Default)]
pub struct UnfinishedBatches {
    runs: VecDeque<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where it ends.
    to: Order,
    /// Where the batch begins that goes on behind it.
    batch: Order,
    /// The digest through the entry before the batch; none where nobody knew.
    before: Option<Digest>,
}

impl UnfinishedBatches {
    /// Of a log that ends here and is durable. `digest_after` knows the digests through entries of it.
    pub fn of(tip: &Tip, digest_after: impl FnOnce(Order) -> Option<Digest>) -> UnfinishedBatches {
        let mut unfinished = UnfinishedBatches::default();
        unfinished.on_end(tip, digest_after);
        unfinished
    }

    /// A run was appended to a log whose digest was `start`; none: a mark stood at its end.
    pub fn on_run(&mut self, lines: &Lines, start: Option<Digest>) {
        self.on_end(lines.tip(), |order| match order.since(lines.from()) {
            0 => start,
            nth => lines.entries().get(nth as usize - 1).map(|entry| entry.digest),
        });
    }

    /// The log is cut, and ends here now.
    pub fn cut(&mut self, tip: &Tip, digest_after: impl FnOnce(Order) -> Option<Digest>) {
        self.runs.retain(|run| run.to < tip.place.length);
        self.on_end(tip, digest_after);
    }

    fn on_end(&mut self, tip: &Tip, digest_after: impl FnOnce(Order) -> Option<Digest>) {
        if let Some(batch) = tip.batch {
            let known = self.runs.back().filter(|run| run.batch == batch).map(|run| run.before);
            let before = known.unwrap_or_else(|| digest_after(batch));
            self.runs.push_back(Run { to: tip.place.length, batch, before });
        }
    }

    /// The digest through the entry before a batch, which readers may be shown: the log may have long forgotten it.
    pub fn digest_before(&self, batch: Order) -> Option<Digest> {
        self.runs.iter().find(|run| run.batch == batch)?.before
    }

    /// The log is durable as far as this.
    pub fn forget_before(&mut self, durable: Order) {
        while self.runs.front().is_some_and(|run| run.to < durable) {
            self.runs.pop_front();
        }
    }

    /// How far a log may be shown that is durable as far as this.
    pub fn visible_through(&self, durable: Order) -> Order {
        self.runs.iter().find(|run| run.to == durable).map_or(durable, |run| run.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;

    fn tip(length: u64, batch: Option<u64>) -> Tip {
        let place = Place::new(Order::new(length), 1);
        Tip { place, batch: batch.map(Order::new), ..Tip::default() }
    }

    /// How far logs are shown that are durable as far as each of these.
    fn visible<const N: usize>(unfinished: &UnfinishedBatches, durable: [u64; N]) -> [u64; N] {
        durable.map(|durable| unfinished.visible_through(Order::new(durable)).get())
    }

    #[test]
    fn a_cut_forgets_no_batch_before_it_that_is_not_durable_to_its_end() {
        let mut unfinished = UnfinishedBatches::default();
        for (length, batch) in [(2, Some(0)), (4, None), (5, Some(4)), (7, Some(4)), (8, None)] {
            unfinished.on_end(&tip(length, batch), |_| Some(Digest::EMPTY));
        }
        assert_eq!(visible(&unfinished, [2, 4, 5, 7, 8]), [0, 4, 4, 4, 8]);
        unfinished.cut(&tip(6, Some(4)), |_| None);
        assert_eq!(visible(&unfinished, [2, 4, 5, 6]), [0, 4, 4, 4]);
        assert_eq!(unfinished.digest_before(Order::new(4)), Some(Digest::EMPTY), "it need not be read again");
        unfinished.cut(&tip(4, None), |_| None);
        assert_eq!(visible(&unfinished, [2, 4]), [0, 4]);
        // Other lines come where the cut ones were.
        unfinished.on_end(&tip(7, None), |_| None);
        assert_eq!(visible(&unfinished, [5, 7]), [5, 7]);
    }
}
