//! Events by time, then by the order of scheduling.

use std::{cmp::Ordering, cmp::Reverse, collections::BinaryHeap};

use super::{faults::Timed, network::Packet};

/// What happens at a moment.
#[derive(Debug)]
pub(super) enum Event {
    /// A packet arrives.
    Deliver(Packet),
    /// A node takes what has come or does what is due.
    Turn(usize),
    /// A sync of a node's disk ends; `start`: which start of the node began it.
    Synced { node: usize, start: u64 },
    /// A client does something.
    Request,
    /// A fault, or an intervention.
    Fault(Timed),
    /// … is over.
    Mend(Timed),
    /// A node that died between two steps starts again.
    Restart(usize),
    /// An operator, or a timer, looks at the nodes while the faults go on.
    Tend,
    /// All faults are over.
    Heal,
    /// A look at the nodes after that.
    Check,
}

#[derive(Debug)]
struct Scheduled {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What is to happen.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

impl Queue {
    pub(super) fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.heap.push(Reverse(Scheduled { at, number: self.scheduled, event }));
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|Reverse(Scheduled { at, event, .. })| (at, event))
    }
}
