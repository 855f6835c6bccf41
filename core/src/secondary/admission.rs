//! The master's word on a join: what is kept, what is cut, when a log is diverged or foreign (docs/RECOVERY.md, section 6).

use replog_shared::{
    LogId, Moment, NodeName, Order, OrderRange, Outline, Place,
    lines::Tip,
    mark,
    store::{Cut, LogView, LookAhead, tip_of_cut},
    wire::{JoinAnswer, Verdict},
};

use super::{
    SecondaryCore,
    effect::{Effect, Notice},
    mutant::{self, Mutant},
    state::{Attempt, JoinRefused, Session, State},
};

impl SecondaryCore {
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
            Verdict::NameInUse | Verdict::Unknown => self.on_join_refused(answer.verdict, answer.secondaries),
        }
    }

    /// Of [`SecondaryCore::on_join_answer`]: the digest at the fork, and what is there once the log is cut at it. Asked over
    /// what is in memory: old lines are to be read before the answer is brought.
    pub fn look_ahead_join_answer(&self, answer: &JoinAnswer, log: &LookAhead<'_>) {
        let outstanding = self.state.attempt().and_then(|attempt| attempt.request);
        if outstanding != Some(answer.request) || answer.verdict != Verdict::Admitted {
            return;
        }
        if answer.fork < log.tip().place {
            log.cut(answer.fork);
        }
    }

    fn on_join_refused(&mut self, verdict: Verdict, secondaries: Vec<NodeName>) {
        let Some(attempt) = self.state.attempt_mut() else { return };
        attempt.request = None;
        let refused = JoinRefused { verdict, secondaries: secondaries.clone() };
        if attempt.refused.as_ref() != Some(&refused) {
            attempt.refused = Some(refused);
            self.effects.push(Effect::Notice(Notice::JoinRefused { verdict, secondaries }));
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
            _ => return self.begin_afresh(now, answer, OrderRange::new(Order::ZERO, tip.place.length), log),
        }
        let behind = OrderRange::new(fork.length, tip.place.length);
        if tip.place == fork {
            return self.open_session(now, answer, tip, log);
        }
        if !may_be_cut(answer, fork, log) {
            return self.diverge(behind);
        }
        self.follow(answer);
        // What a clean gave up was wanted to go.
        let is_cleaned = mark::explains(answer.clean.as_ref(), tip.epoch.as_ref());
        self.cut(fork, behind, if is_cleaned { Cut::Drop } else { Cut::Quarantine });
        let tip = tip_of_cut(log, fork, answer.digest);
        self.open_session(now, answer, &tip, log);
    }

    fn ask_again(&mut self, now: Moment) {
        let Some(attempt) = self.state.attempt_mut() else { return };
        (attempt.request, attempt.older_than) = (None, None);
        attempt.retry_at = now.plus(attempt.backoff.next_delay(&mut self.random));
    }

    /// One of two logs with the same marks and other content is damaged, and the master's is the one that is
    /// followed (docs/RECOVERY.md, section 6).
    fn begin_afresh(&mut self, now: Moment, answer: &JoinAnswer, orders: OrderRange, log: &dyn LogView) {
        self.remember(|identity| identity.whole = false);
        self.follow(answer);
        self.counters.damaged += 1;
        self.effects.push(Effect::Notice(Notice::Damaged { orders }));
        self.effects.push(Effect::Truncate(Place::START, Cut::Quarantine));
        self.open_session(now, answer, &Tip::default(), log);
    }

    fn cut(&mut self, fork: Place, orders: OrderRange, cut: Cut) {
        self.counters.cut += orders.count();
        if !orders.is_empty() {
            self.effects.push(Effect::Notice(Notice::Cut { orders }));
        }
        self.effects.push(Effect::Truncate(fork, cut));
    }

    /// Nothing older than this master's epoch is accepted from now on; saved before the log is touched.
    fn follow(&mut self, answer: &JoinAnswer) {
        self.remember(|identity| {
            identity.fence = Some(answer.epoch.clone());
            identity.log_id = identity.log_id.or(answer.sender.log_id);
        });
    }

    /// Enters the session. `tip` is where the log ends once it is cut.
    fn open_session(&mut self, now: Moment, answer: &JoinAnswer, tip: &Tip, log: &dyn LogView) {
        let epoch = answer.epoch.clone();
        self.follow(answer);
        let (joined, version) = (answer.request, answer.sender.v);
        self.leave(State::Joined(Session::new(epoch.clone(), joined, version, now, answer.length)));
        self.faults.on_session(now, answer.length);
        self.ack_due = true;
        let missing = OrderRange::new(tip.place.length, answer.length);
        self.effects.push(Effect::Notice(Notice::Joined { epoch, missing }));
        self.pull(now, tip, log);
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

    pub(super) fn become_foreign(&mut self, theirs: Option<LogId>, attempt: Attempt) {
        if !matches!(&self.state, State::Foreign { theirs: known, .. } if *known == theirs) {
            self.effects.push(Effect::Notice(Notice::Foreign { theirs }));
        }
        if mutant::is(Mutant::ForeignCut) {
            self.remember(|identity| identity.log_id = None);
            self.effects.push(Effect::Truncate(Place::START, Cut::Quarantine));
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

/// Whether what the log has behind the fork may go: it is nothing, or the master's history explains it
/// (docs/RECOVERY.md, section 7).
fn may_be_cut(answer: &JoinAnswer, fork: Place, log: &dyn LogView) -> bool {
    let tip = log.tip();
    let any_marks = tip.place.length == fork.length && mutant::is(Mutant::AnyMarksAreNothing);
    Outline::of(log.marks(), tip.place, usize::MAX).holds_nothing_behind(fork)
        || mark::explains(answer.turn.as_ref(), tip.epoch.as_ref())
        || any_marks
        || mutant::is(Mutant::UnexplainedCut)
}
