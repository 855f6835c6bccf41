//! What every node and client of a simulation shares while an event is handled.

use replog_host::bus::Outgoing;

use super::{Mutant, Options, client::Clients, coverage::Coverage, oracle::Oracle, plan::Plan, story::Story};

/// The surroundings of whoever handles an event.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) oracle: Oracle,
    pub(super) clients: Clients,
    pub(super) coverage: Coverage,
    pub(super) story: Story,
    pub(super) mutant: Option<Mutant>,
    /// Packets that the node of the moment sent.
    pub(super) sent: Vec<Outgoing>,
}

impl Hub {
    pub(super) fn new(plan: &Plan, options: Options) -> Hub {
        Hub {
            oracle: Oracle::new(plan.secondaries),
            clients: Clients::new(plan.secondaries as u16 + 1),
            coverage: Coverage::default(),
            story: Story::new(options.story),
            mutant: options.mutant,
            sent: Vec::new(),
        }
    }

    pub(super) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}
