//! From the first heartbeat to the admission.

use replog_shared::{
    Epoch, LogId, Moment, Order, OrderRange, Outline, Place,
    limits::{ANSWER_TIMEOUT, UNHEALTHY_AFTER_INTERVALS},
    lines::Tip,
    mark,
    store::LogView,
    wire::{Heartbeat, Join, JoinAnswer, Verdict},
};

use super::{
    Heard, PUSH_QUIET, SecondaryCore, acks,
    effect::{Effect, Notice},
    mutant::{self, Mutant},
    state::{Attempt, Session, State},
};

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
            return self.send_ack(log);
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
            _ => self.begin_join(now, heartbeat.epoch.clone(), log),
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
            return self.begin_join(now, heartbeat.epoch.clone(), log);
        }
        let tip = log.tip();
        if session.streaming && heartbeat.length == tip.place.length && heartbeat.digest != tip.digest {
            self.counters.digest_mismatches += 1;
            return self.rejoin_later(now);
        }
        session.length = session.length.max(heartbeat.length);
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
                *suitor = Some(Attempt::new(epoch.clone(), now));
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
        match &mut self.state {
            State::Foreign { theirs: known, attempt } if *known == theirs => {
                attempt.epoch = heartbeat.epoch.clone();
            }
            _ => {
                self.become_foreign(theirs, Attempt::new(heartbeat.epoch.clone(), now));
                self.send_join(now, log);
            }
        }
    }

    /// Asks the master of `epoch` for admission; the session before it, if any, is over.
    fn begin_join(&mut self, now: Moment, epoch: Epoch, log: &dyn LogView) {
        self.effects.push(Effect::Notice(Notice::Joining { epoch: epoch.clone() }));
        self.leave(State::Joining(Attempt::new(epoch, now)));
        self.send_join(now, log);
    }

    /// Ends the session and joins anew, a little later: what this event appended is in the log by then.
    pub(super) fn rejoin_later(&mut self, now: Moment) {
        let State::Joined(session) = &self.state else { return };
        let mut attempt = Attempt::new(session.epoch.clone(), now);
        attempt.retry_at = now.plus(attempt.backoff.next_delay(&mut self.random));
        self.leave(State::Joining(attempt));
    }

    /// Enters a state outside of a session.
    fn leave(&mut self, state: State) {
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

    fn send_join(&mut self, now: Moment, log: &dyn LogView) {
        let (request, sender) = (self.next_request(), self.sender());
        let Some(attempt) = self.state.attempt_mut() else { return };
        let outline = Outline::of(log.marks(), attempt.told_of(log), self.settings.outline_marks);
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

    /// The master's word on the join. Only the answer to the outstanding request is taken: an older one
    /// describes another log than the one this node has by now.
    pub fn on_join_answer(&mut self, now: Moment, answer: JoinAnswer, log: &dyn LogView) {
        let outstanding = self.state.attempt().and_then(|attempt| attempt.request);
        let other = outstanding != Some(answer.request) && !mutant::is(Mutant::OldJoinAnswerTaken);
        if other || Some(&answer.epoch) < self.identity.fence.as_ref() {
            self.counters.stale += 1;
            return;
        }
        let theirs = answer.sender.log_id;
        match answer.verdict {
            // A master always has a log: one that names none is not to be followed.
            Verdict::Admitted if theirs.is_none() || self.is_foreign(theirs) => self.stay_foreign(theirs),
            Verdict::Admitted => self.on_admitted(now, &answer, log),
            Verdict::Foreign => self.stay_foreign(theirs),
            Verdict::OlderMarks => self.on_older_marks_wanted(now, log),
            Verdict::NameInUse | Verdict::Unknown => self.on_join_refused(answer.verdict),
        }
    }

    fn on_join_refused(&mut self, verdict: Verdict) {
        let Some(attempt) = self.state.attempt_mut() else { return };
        attempt.request = None;
        if attempt.refused.replace(verdict) != Some(verdict) {
            self.effects.push(Effect::Notice(Notice::JoinRefused { verdict }));
        }
    }

    /// The master has none of the marks that it was told of. Each round tells of older ones, so that it ends.
    fn on_older_marks_wanted(&mut self, now: Moment, log: &dyn LogView) {
        let Some(attempt) = self.state.attempt_mut() else { return };
        if attempt.marks_before == 0 {
            // It was told of all: that is no answer to it.
            return self.ask_again(now);
        }
        attempt.older_than = Some(attempt.marks_before);
        attempt.backoff.reset();
        self.send_join(now, log);
    }

    fn on_admitted(&mut self, now: Moment, answer: &JoinAnswer, log: &dyn LogView) {
        let (tip, mut fork) = (log.tip(), answer.fork);
        let asked_at = self.state.attempt().map(|attempt| attempt.asked_at);
        if mutant::is(Mutant::OldJoinAnswerTaken) {
            fork = fork.min(tip.place);
        } else if Some(fork) == asked_at && fork != tip.place {
            // All that the log held when it was asked is common. It went on since: how far, only the master knows.
            return self.ask_again(now);
        }
        match log.digest_at(fork) {
            Some(digest) if digest == answer.digest => {}
            // The answer is about another log than this one.
            None if !mutant::is(Mutant::OldJoinAnswerTaken) => return self.ask_again(now),
            _ => return self.begin_afresh(now, answer, OrderRange::new(Order::ZERO, tip.place.length)),
        }
        let behind = OrderRange::new(fork.length, tip.place.length);
        if tip.place == fork {
            return self.open_session(now, answer, tip);
        }
        if !may_be_cut(answer, fork, log) {
            return self.diverge(behind);
        }
        self.follow(answer);
        self.cut(fork, behind);
        let tip = Tip { place: fork, digest: answer.digest, epoch: acks::epoch_at(fork, log) };
        self.open_session(now, answer, &tip);
    }

    fn ask_again(&mut self, now: Moment) {
        let Some(attempt) = self.state.attempt_mut() else { return };
        (attempt.request, attempt.older_than) = (None, None);
        attempt.retry_at = now.plus(attempt.backoff.next_delay(&mut self.random));
    }

    /// One of two logs with the same marks and other content is damaged, and the master's is the one that is
    /// followed (recovery.md, part 3).
    fn begin_afresh(&mut self, now: Moment, answer: &JoinAnswer, orders: OrderRange) {
        self.remember(|identity| identity.whole = false);
        self.follow(answer);
        self.counters.damaged += 1;
        self.effects.push(Effect::Notice(Notice::Damaged { orders }));
        self.effects.push(Effect::Truncate(Place::START));
        self.open_session(now, answer, &Tip::default());
    }

    fn cut(&mut self, fork: Place, orders: OrderRange) {
        self.counters.cut += orders.count();
        if !orders.is_empty() {
            self.effects.push(Effect::Notice(Notice::Cut { orders }));
        }
        self.effects.push(Effect::Truncate(fork));
    }

    /// Nothing older than this master's epoch is accepted from now on; saved before the log is touched.
    fn follow(&mut self, answer: &JoinAnswer) {
        self.remember(|identity| {
            identity.fence = Some(answer.epoch.clone());
            identity.log_id = identity.log_id.or(answer.sender.log_id);
        });
    }

    /// Enters the session. `tip` is where the log ends once it is cut.
    fn open_session(&mut self, now: Moment, answer: &JoinAnswer, tip: &Tip) {
        let epoch = answer.epoch.clone();
        self.follow(answer);
        self.leave(State::Joined(Session::new(epoch.clone(), now, answer.length)));
        self.ack_due = true;
        let missing = OrderRange::new(tip.place.length, answer.length);
        self.effects.push(Effect::Notice(Notice::Joined { epoch, missing }));
        self.pull(now, tip);
    }

    fn diverge(&mut self, orders: OrderRange) {
        let Some(attempt) = self.answered() else { return };
        if !matches!(&self.state, State::Diverged { orders: known, .. } if *known == orders) {
            self.effects.push(Effect::Notice(Notice::Diverged { orders }));
        }
        self.leave(State::Diverged { orders, attempt });
        self.ack_due = true;
    }

    fn stay_foreign(&mut self, theirs: Option<LogId>) {
        let Some(attempt) = self.answered() else { return };
        if matches!(self.state, State::Joined(_)) {
            // The master that is followed lives; that of another log is none to turn to.
            return;
        }
        self.become_foreign(theirs, attempt);
    }

    fn become_foreign(&mut self, theirs: Option<LogId>, attempt: Attempt) {
        if !matches!(&self.state, State::Foreign { theirs: known, .. } if *known == theirs) {
            self.effects.push(Effect::Notice(Notice::Foreign { theirs }));
        }
        if mutant::is(Mutant::ForeignCut) {
            self.remember(|identity| identity.log_id = None);
            self.effects.push(Effect::Truncate(Place::START));
        }
        self.leave(State::Foreign { theirs, attempt });
        self.ack_due = true;
    }

    /// The outstanding request was answered; the retry stays due, later with each refusal.
    fn answered(&mut self) -> Option<Attempt> {
        let attempt = self.state.attempt_mut()?;
        attempt.request = None;
        Some(attempt.clone())
    }
}

/// Whether what the log has behind the fork may go: it is nothing, or the master's history explains it.
fn may_be_cut(answer: &JoinAnswer, fork: Place, log: &dyn LogView) -> bool {
    let tip = log.tip();
    let any_marks = tip.place.length == fork.length && mutant::is(Mutant::AnyMarksAreNothing);
    Outline::of(log.marks(), tip.place, usize::MAX).holds_nothing_behind(fork)
        || mark::explains(answer.turn.as_ref(), tip.epoch.as_ref())
        || any_marks
        || mutant::is(Mutant::UnexplainedCut)
}
