//! From the first heartbeat to the question for admission (docs/RECOVERY.md, section 6).

use replog_shared::{
    Epoch, Moment, Order, Outline, Place,
    limits::{ANSWER_TIMEOUT, UNHEALTHY_AFTER_INTERVALS},
    store::{Cut, LogView},
    wire::{Heartbeat, Join},
};

use super::{
    Heard, PUSH_QUIET, SecondaryCore,
    effect::{Effect, Notice},
    mutant::{self, Mutant},
    state::{Attempt, State},
};

/// The reign with which a log begins: nobody promises it.
const FIRST_REIGN: u32 = 1;

impl SecondaryCore {
    /// A master says that it is alive.
    pub fn on_heartbeat(&mut self, now: Moment, heartbeat: &Heartbeat, log: &dyn LogView) {
        if heartbeat.sender.log_id.is_none() {
            // A master always has a log.
            self.counters.stale += 1;
            return;
        }
        if self.is_foreign(heartbeat.sender.log_id) {
            return self.on_foreign_heartbeat(now, heartbeat, log);
        }
        if Some(&heartbeat.epoch) < self.identity.fence.as_ref() {
            self.counters.stale += 1;
            // The ack carries the fence: so the old master learns that it is no longer followed.
            return self.send_ack(heartbeat.sender.v, log);
        }
        if self.prefers_other(now, &heartbeat.epoch) {
            self.counters.stale += 1;
            return;
        }
        if matches!(&self.state, State::Joined(session) if session.epoch != heartbeat.epoch) {
            return self.on_suitor(now, heartbeat, log);
        }
        self.master = Some(Heard::of(now, heartbeat));
        match &self.state {
            State::Joined(_) => self.on_session_heartbeat(now, heartbeat, log),
            State::Joining(attempt) | State::Diverged { attempt, .. } if attempt.epoch == heartbeat.epoch => {
                self.on_awaited_heartbeat();
            }
            _ => self.begin_join(now, heartbeat, log),
        }
    }

    /// Whether a higher epoch is being joined whose master is alive.
    fn prefers_other(&self, now: Moment, epoch: &Epoch) -> bool {
        let (State::Joining(attempt) | State::Diverged { attempt, .. }) = &self.state else { return false };
        *epoch < attempt.epoch && self.hears(now).is_some()
    }

    fn on_session_heartbeat(&mut self, now: Moment, heartbeat: &Heartbeat, log: &dyn LogView) {
        let me = (&self.settings.name, self.settings.incarnation);
        let admitted = heartbeat.admitted.iter().any(|other| (&other.node, other.incarnation) == me);
        let State::Joined(session) = &mut self.state else { return };
        // A heartbeat from just before the admission may come just after it.
        if !admitted && now.since(session.since) >= self.settings.heartbeat_interval {
            self.effects.push(Effect::Notice(Notice::NotAdmitted));
            return self.begin_join(now, heartbeat, log);
        }
        let tip = log.tip();
        if session.streaming && heartbeat.length == tip.place.length && heartbeat.digest != tip.digest {
            self.counters.digest_mismatches += 1;
            return self.rejoin_later(now);
        }
        session.length = session.length.max(heartbeat.length);
        self.faults.on_length(now, heartbeat.length);
        if session.length > log.tip().place.length && session.check_at.is_none() {
            session.check_at = Some(now.plus(PUSH_QUIET));
        }
    }

    /// A master of a higher epoch than the session's: it is asked to admit this node, and of several the
    /// highest.
    fn on_suitor(&mut self, now: Moment, heartbeat: &Heartbeat, log: &dyn LogView) {
        let State::Joined(session) = &mut self.state else { return };
        match &mut session.suitor {
            Some(suitor) if suitor.epoch == heartbeat.epoch => suitor.heard = now,
            Some(suitor) if suitor.epoch > heartbeat.epoch => self.counters.stale += 1,
            suitor => {
                let epoch = heartbeat.epoch.clone();
                *suitor = Some(Attempt::new(epoch.clone(), heartbeat.sender.v, now));
                self.effects.push(Effect::Notice(Notice::Joining { epoch }));
                self.send_join(now, log);
            }
        }
    }

    /// A suitor that fell silent is forgotten.
    fn forget_silent_suitor(&mut self, now: Moment) {
        let silence = self.settings.heartbeat_interval * UNHEALTHY_AFTER_INTERVALS;
        if let State::Joined(session) = &mut self.state {
            session.suitor.take_if(|suitor| now.since(suitor.heard) >= silence);
        }
    }

    fn on_awaited_heartbeat(&mut self) {
        if let State::Joining(attempt) = &mut self.state {
            attempt.backoff.reset();
        }
    }

    /// A master of another log counts only while the own one is silent.
    fn on_foreign_heartbeat(&mut self, now: Moment, heartbeat: &Heartbeat, log: &dyn LogView) {
        self.counters.foreign += 1;
        let theirs = heartbeat.sender.log_id;
        if self.hears(now).is_some() {
            return;
        }
        if heartbeat.length > Order::ZERO && self.gives_way_to(&heartbeat.epoch, log) {
            return self.drop_own_log(now, heartbeat, log);
        }
        match &mut self.state {
            State::Foreign { theirs: known, attempt } if *known == theirs => {
                attempt.epoch = heartbeat.epoch.clone();
                attempt.version = heartbeat.sender.v;
            }
            _ => {
                self.become_foreign(theirs, Attempt::new(heartbeat.epoch.clone(), heartbeat.sender.v, now));
                self.send_join(now, log);
            }
        }
    }

    /// Whether this node's log has nothing in it that anybody could miss: it gives way to a log that has.
    fn gives_way_to(&self, epoch: &Epoch, log: &dyn LogView) -> bool {
        let above_fence = Some(epoch) >= self.identity.fence.as_ref();
        above_fence && Outline::of(log.marks(), log.tip().place, usize::MAX).is_bare()
    }

    /// Drops the log, in which there is nothing, and asks for admission as a blank node, once the log is gone.
    fn drop_own_log(&mut self, now: Moment, heartbeat: &Heartbeat, log: &dyn LogView) {
        self.effects.push(Effect::Notice(Notice::GivesWay { theirs: heartbeat.sender.log_id }));
        let nobody_counts_on_it = self.has_only_followed(log);
        self.remember(|identity| identity.whole = false);
        self.effects.push(Effect::Truncate(Place::START, Cut::Drop));
        self.remember(|identity| {
            identity.log_id = None;
            identity.fence.take_if(|_| nobody_counts_on_it);
        });
        self.leave(State::Joining(Attempt::new(heartbeat.epoch.clone(), heartbeat.sender.v, now)));
    }

    /// Whether the fence says no more than that this node followed its log: it is that log's own epoch, or of the first
    /// reign, which needs no promises. What was promised beyond stays (docs/RECOVERY.md, section 4).
    fn has_only_followed(&self, log: &dyn LogView) -> bool {
        let fence = self.identity.fence.as_ref();
        let is_first_reign = fence.is_some_and(|fence| fence.reign <= FIRST_REIGN);
        let followed = fence == log.tip().epoch.as_ref() || is_first_reign;
        followed || mutant::is(Mutant::PromiseForgotten)
    }

    /// Asks the master of this heartbeat for admission; the session before it, if any, is over.
    fn begin_join(&mut self, now: Moment, heartbeat: &Heartbeat, log: &dyn LogView) {
        let epoch = heartbeat.epoch.clone();
        self.effects.push(Effect::Notice(Notice::Joining { epoch: epoch.clone() }));
        self.leave(State::Joining(Attempt::new(epoch, heartbeat.sender.v, now)));
        self.send_join(now, log);
    }

    /// Ends the session and joins anew, a little later: what this event appended is in the log by then.
    pub(super) fn rejoin_later(&mut self, now: Moment) {
        let State::Joined(session) = &self.state else { return };
        let mut attempt = Attempt::new(session.epoch.clone(), session.version, now);
        attempt.retry_at = now.plus(attempt.backoff.next_delay(&mut self.random));
        self.leave(State::Joining(attempt));
    }

    /// Enters a state outside of a session.
    pub(super) fn leave(&mut self, state: State) {
        self.state = state;
        self.buffer.clear();
        self.fetcher.clear();
    }

    /// Asks again, if it is time.
    pub(super) fn retry_join(&mut self, now: Moment, log: &dyn LogView) {
        self.forget_silent_suitor(now);
        if self.state.attempt().is_some_and(|attempt| attempt.retry_at <= now) {
            self.send_join(now, log);
        }
    }

    pub(super) fn send_join(&mut self, now: Moment, log: &dyn LogView) {
        let Some(version) = self.state.attempt().map(|attempt| attempt.version) else { return };
        let (request, sender) = (self.next_request(), self.sender(version));
        let most = self.outline_marks();
        let Some(attempt) = self.state.attempt_mut() else { return };
        let outline = Outline::of(log.marks(), attempt.told_of(log), most);
        attempt.request = Some(request);
        (attempt.asked_at, attempt.marks_before) = (log.tip().place, outline.marks_before);
        attempt.retry_at = now.plus(ANSWER_TIMEOUT + attempt.backoff.next_delay(&mut self.random));
        self.counters.joins += 1;
        self.effects.push(Effect::Join(Join {
            sender,
            request,
            epoch: attempt.epoch.clone(),
            outline,
            fence: self.identity.fence.clone(),
            whole: self.identity.whole,
        }));
    }
}
