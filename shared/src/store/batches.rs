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
