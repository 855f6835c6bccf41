//! Batches of which the log holds only the beginning yet.

use std::collections::VecDeque;

use crate::{Order, lines::Tip};

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
}

impl UnfinishedBatches {
    /// Of a log that ends here and is durable.
    pub fn of(tip: &Tip) -> UnfinishedBatches {
        let mut unfinished = UnfinishedBatches::default();
        unfinished.on_run(tip);
        unfinished
    }

    /// The log ends here now.
    pub fn on_run(&mut self, tip: &Tip) {
        if let Some(batch) = tip.batch {
            self.runs.push_back(Run { to: tip.place.length, batch });
        }
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
