//! What is asserted of a secondary's core between two events.

use replog_shared::store::LogView;

use super::{
    SecondaryCore,
    state::{Session, State},
};

impl SecondaryCore {
    /// Asserts what is stated as invariants here and in the parts of this core, once its effects are done.
    pub(super) fn check_all(&self, log: &dyn LogView) {
        assert!(self.effects.is_empty(), "effects are left when the next event may come");
        self.fetcher.check();
        self.buffer.check();
        match &self.state {
            State::Joined(session) => self.check_session(session, log),
            _ => {
                assert_eq!(self.buffer.len(), 0, "envelopes are kept outside of a session");
                assert_eq!(self.fetcher.in_flight(), 0, "entries are asked for outside of a session");
            }
        }
    }

    /// Nothing is appended but what a master gave that this node follows, and nothing that could be waits.
    fn check_session(&self, session: &Session, log: &dyn LogView) {
        let (epoch, tip) = (Some(&session.epoch), log.tip());
        assert!(self.identity.log_id.is_some(), "a blank node is in a session");
        assert_eq!(self.identity.fence.as_ref(), epoch, "the session is of another epoch than the fence");
        assert!(tip.epoch.as_ref() <= epoch, "the log ends in a higher epoch than the session's");
        assert!(!session.streaming || tip.epoch.as_ref() == epoch, "a log without the epoch's mark streams");
        let suitor = session.suitor.as_ref();
        assert!(suitor.is_none_or(|suitor| suitor.epoch > session.epoch), "a lower epoch is a suitor");
        assert!(session.goal <= session.length, "more is pulled than the master is known to have");
        let reached = self.buffer.first_from().is_some_and(|from| from <= tip.place.length);
        assert!(!reached || self.waits_for_disk, "what the log has reached waits in the reorder buffer");
    }
}
