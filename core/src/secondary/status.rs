//! What a secondary tells of itself.

use replog_shared::{
    Digest, Epoch, LogId, Moment, NodeName, Order, OrderRange, Place,
    store::LogView,
    wire::{SecondaryState, Verdict},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{SecondaryCore, state::State};

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counters {
    /// Entries appended.
    pub appended: u64,
    /// Envelopes of which everything was there already.
    pub duplicates: u64,
    /// Envelopes that came before something they stand behind.
    pub out_of_order: u64,
    /// Envelopes dropped because the reorder buffer was full.
    pub overflowed: u64,
    /// Envelopes of another epoch, session, request or node.
    pub stale: u64,
    /// Envelopes of another log.
    pub foreign: u64,
    /// Envelopes whose lines do not continue the log.
    pub refused: u64,
    /// … of which the digest was another than the master's.
    pub digest_mismatches: u64,
    /// Joins asked for.
    pub joins: u64,
    /// Ranges asked for.
    pub fetches: u64,
    /// Acks sent.
    pub acks: u64,
    /// Acks with an error sent, by fault injection.
    pub error_acks: u64,
    /// Envelopes dropped by fault injection.
    pub fault_drops: u64,
    /// Entries cut because a promotion or a clean explains it.
    pub cut: u64,
    /// Times the whole log was cut because it differed from the master's before the fork.
    pub damaged: u64,
}

/// A secondary at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is about.
    pub state: SecondaryState,
    /// The log; none while it is blank.
    pub log_id: Option<LogId>,
    /// The epoch of its last mark.
    pub epoch: Option<Epoch>,
    /// The highest epoch it promised or followed.
    pub fence: Option<Epoch>,
    /// Entries it shows.
    pub length: Order,
    /// Its digest there.
    pub digest: Digest,
    /// Whether it counts as reached in a promotion.
    pub whole: bool,
    /// The master it has heard of late.
    pub hears: Option<NodeName>,
    /// Where that master takes appends, if it told.
    pub master_http: Option<String>,
    /// How long the master's log is, as far as it told.
    pub master_length: Option<Order>,
    /// The master's last refusal to admit this node.
    pub join_refused: Option<Verdict>,
    /// The secondaries that the master has, if it told because this node is none of them.
    pub master_secondaries: Vec<NodeName>,
    /// In divergence: the orders in question.
    pub diverged: Option<OrderRange>,
    /// In a foreign log: the log that the master has.
    pub foreign: Option<LogId>,
    /// Bytes that wait for what stands before them.
    pub buffered_bytes: usize,
    /// Envelopes that do.
    pub buffered_envelopes: usize,
    /// Ranges that are missing before the last of them.
    pub gaps: usize,
    /// Ranges asked for and not come yet.
    pub fetches_in_flight: usize,
    /// What has happened.
    pub counters: Counters,
}

impl Status {
    /// Entries of the master that this node does not show yet; none before a master was heard.
    pub fn lag(&self) -> Option<u64> {
        self.master_length.map(|theirs| theirs.since(self.length))
    }
}

impl SecondaryCore {
    /// This node as it is now.
    pub fn status(&self, now: Moment, log: &dyn LogView) -> Status {
        let place = log.durable();
        let shown = Place::new(log.visible_through(), place.marks);
        let epoch = super::acks::epoch_at(place, log);
        let refused = self.state.attempt().and_then(|attempt| attempt.refused.as_ref());
        Status {
            state: self.state.on_wire(epoch.as_ref()),
            log_id: self.identity.log_id,
            epoch,
            fence: self.identity.fence.clone(),
            length: shown.length,
            digest: log.digest_at(shown).unwrap_or_default(),
            whole: self.identity.whole,
            hears: self.hears(now).cloned(),
            master_http: self.master_http().map(str::to_owned),
            master_length: self.master_length(),
            join_refused: refused.map(|refused| refused.verdict),
            master_secondaries: refused.map_or_else(Vec::new, |refused| refused.secondaries.clone()),
            diverged: match &self.state {
                State::Diverged { orders, .. } => Some(*orders),
                _ => None,
            },
            foreign: match &self.state {
                State::Foreign { theirs, .. } => *theirs,
                _ => None,
            },
            buffered_bytes: self.buffer.bytes(),
            buffered_envelopes: self.buffer.len(),
            gaps: self.gaps(log.tip().place.length),
            fetches_in_flight: self.fetcher.in_flight(),
            counters: self.counters,
        }
    }

    fn gaps(&self, length: Order) -> usize {
        let end = self.buffer.last_from().unwrap_or(Order::ZERO);
        self.buffer.missing(length, end).count()
    }

    /// Where the master that was last heard takes appends, if it told.
    pub fn master_http(&self) -> Option<&str> {
        self.master.as_ref().and_then(|master| master.http.as_deref())
    }

    fn master_length(&self) -> Option<Order> {
        match (&self.state, &self.master) {
            (State::Joined(session), _) => Some(session.length),
            (_, master) => master.as_ref().map(|master| master.length),
        }
    }
}
