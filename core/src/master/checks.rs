//! What is asserted of a master's core between two events.

use replog_shared::{Epoch, store::LogView};

use super::{MasterCore, Phase, Progress};

impl MasterCore {
    /// Asserts what is stated as invariants here and in the parts of this core, once its effects are done.
    pub(super) fn check_all(&self, log: &dyn LogView) {
        assert!(self.effects.is_empty(), "effects are left when the next event may come");
        assert_eq!(
            self.progress.len(),
            self.settings.secondaries.len(),
            "not each secondary has its progress"
        );
        self.held.check();
        match &self.phase {
            Phase::Recovering(_) => self.check_aside(),
            Phase::Leading(epoch) => self.check_leading(epoch, log),
            Phase::Stopped(_) => {
                self.check_aside();
                assert!(self.held.is_empty(), "appends are held for a master that will not lead");
            }
        }
    }

    /// Who does not lead owes nobody an answer for a write, and counts nobody's acks.
    fn check_aside(&self) {
        assert_eq!(self.pending.len(), 0, "writes wait for a master that does not lead");
        let admits = |progress: &Progress| progress.admitted.is_some() || progress.acked_through().is_some();
        assert!(!self.progress.iter().any(admits), "a secondary is admitted by a master that does not lead");
    }

    fn check_leading(&self, epoch: &Epoch, log: &dyn LogView) {
        assert!(self.identity.log_id.is_some(), "a master leads without a log");
        assert_eq!(
            self.identity.fence.as_ref(),
            Some(epoch),
            "a master leads in another epoch than its fence"
        );
        assert_eq!(
            log.tip().epoch.as_ref(),
            Some(epoch),
            "a master leads in another epoch than its log ends in"
        );
        let is_admitted = self.progress.iter().any(|progress| progress.admitted.is_some());
        assert!(
            !is_admitted || self.mark_is_durable(log),
            "a secondary is admitted before the mark is durable"
        );
        self.pending.check(log.tip().place.length);
        let (durable, limits) = (log.durable().length, self.settings.push);
        self.progress.iter().for_each(|progress| progress.check(durable, &limits));
    }
}
