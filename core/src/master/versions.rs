//! Secondaries of an older version: they are refused, and an operator is told which to upgrade.
//!
//! Secondaries are upgraded before their master: a newer secondary follows an older master, in that one's version. The
//! other way round the secondary would not understand the lines that it gets. A node of an older version passes over
//! envelopes of this one, so it is asked in the oldest version and known by its answer. An ack tells nothing: a node that
//! is up to date goes on for a while in the version of the master that it followed.

use replog_shared::{
    Moment, NodeName,
    limits::UNHEALTHY_AFTER_INTERVALS,
    wire::{self, VERSION},
};

use super::{Effect, MasterCore, Progress, events::Notice};

impl MasterCore {
    /// Whether this is an older node's answer to an ask, or its join: it is not taken then.
    pub(super) fn is_outdated(&mut self, sender: &wire::Sender) -> bool {
        if sender.v >= VERSION {
            self.outdated.remove(&sender.node);
            return false;
        }
        let configured = self.settings.secondaries.contains(&sender.node);
        if configured && self.outdated.insert(sender.node.clone(), sender.v) != Some(sender.v) {
            self.notice(Notice::Outdated { node: sender.node.clone(), version: sender.v });
        }
        true
    }

    /// Which secondaries to upgrade.
    pub fn outdated_nodes(&self) -> Vec<NodeName> {
        self.outdated.keys().cloned().collect()
    }

    /// Asks who is there, now and then, while a node has not joined or is silent: it may be back as one that is too old
    /// to understand anything else. What those say that are up to date is nothing new.
    pub(super) fn call_absent_nodes(&mut self, now: Moment) {
        let is_heard = |progress: &Progress| progress.heard.is_some_and(|heard| self.is_recent(now, heard));
        let is_absent = |progress: &Progress| progress.admitted.is_none() || !is_heard(progress);
        if now < self.call_at || !self.progress.iter().any(is_absent) {
            return;
        }
        self.call_at = now.plus(self.settings.heartbeat_interval * UNHEALTHY_AFTER_INTERVALS);
        let (request, sender) = (self.random.u64(..), self.sender(&self.settings.name));
        self.effect(Effect::Ask(wire::Ask::new(sender, request)));
    }
}
