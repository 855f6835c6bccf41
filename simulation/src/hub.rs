//! What every node and client of a simulation shares while an event is handled.

use fastrand::Rng;

use super::{
    Mutant, Options, client::Clients, coverage::Coverage, disk::SimStore, node::Sent, oracle::Oracle,
    plan::Plan, story::Story,
};
use replog_shared::{NodeName, store::LogView};

/// The surroundings of whoever handles an event.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) oracle: Oracle,
    pub(super) clients: Clients,
    pub(super) coverage: Coverage,
    pub(super) story: Story,
    pub(super) mutant: Option<Mutant>,
    /// Packets that the node of the moment sent.
    pub(super) sent: Sent,
    /// Those that the process of the moment had not heard when it began a new log.
    pub(super) not_heard: Vec<NodeName>,
    /// The process of the moment died between two steps of one event.
    pub(super) crashed: bool,
    /// How likely that is after a step that changes the disk.
    pub(super) crash_rate: f64,
    random: Rng,
}

impl Hub {
    pub(super) fn new(plan: &Plan, names: &[NodeName], options: Options, random: Rng) -> Hub {
        Hub {
            oracle: Oracle::new(names.to_vec()),
            clients: Clients::new(names.len() as u16),
            coverage: Coverage::default(),
            story: Story::new(options.story),
            mutant: options.mutant,
            sent: Vec::new(),
            not_heard: Vec::new(),
            crashed: false,
            crash_rate: plan.step_crashes,
            random,
        }
    }

    pub(super) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// What a node shows of its log at the end of a turn.
    pub(super) fn check_shown(&mut self, node: usize, store: &SimStore) {
        let in_part = self.is(Mutant::BatchShownInPart);
        let shown = if in_part { store.durable().length } else { store.visible_through() };
        self.oracle.check_shown(node, shown);
        // A mistake on purpose may have lost the way.
        if let Some(order) = store.take_unread().filter(|_| self.mutant.is_none()) {
            self.oracle.found(|| format!("n{node} looked at the old line at {order} without having it read"));
        }
    }

    /// The disk has changed: the process may die here, before anything that follows.
    pub(super) fn may_crash(&mut self) {
        self.crashed |= self.crash_rate > 0.0 && self.random.f64() < self.crash_rate;
    }
}
