//! Answers to a starting or promoting master: what is held, promises, and the log itself.

use replog_shared::{
    Epoch, LogId, Moment,
    store::{LogView, LookAhead},
    wire,
};

use super::{
    SecondaryCore,
    effect::{Effect, Notice},
    mutant::{self, Mutant},
    state::State,
};
use crate::read_answer::ReadAnswer;

impl SecondaryCore {
    /// What do you hold? Never refused.
    pub fn on_ask(&mut self, now: Moment, ask: &wire::Ask, reply: String, log: &dyn LogView) {
        let state = self.wire_state(now, ask.answer_version(), ask.request, None, log);
        self.effects.push(Effect::State { reply, state });
    }

    /// Promise this epoch: from then on nothing older is accepted, acked or promised, and the session ends.
    ///
    /// The log is sent with the same answer: the rank that counts is the one that was fenced (docs/RECOVERY.md, section 4).
    pub fn on_promise(&mut self, now: Moment, promise: wire::Promise, reply: String, log: &dyn LogView) {
        let granted = self.may_promise(now, &promise);
        if granted {
            self.fence_for(&promise);
        }
        let (promised, version) = (granted.then_some(promise.epoch), promise.sender.v);
        let state = self.wire_state(now, version, promise.request, promised, log);
        self.effects.push(Effect::State { reply, state });
    }

    fn may_promise(&self, now: Moment, promise: &wire::Promise) -> bool {
        let twice =
            promise.is_of_a_reign_already_promised(&self.identity) && !mutant::is(Mutant::TwoPromisesAReign);
        promise.may_be_given(&self.identity, self.hears(now).is_some()) && !twice
    }

    fn fence_for(&mut self, promise: &wire::Promise) {
        let (epoch, to) = (promise.epoch.clone(), promise.sender.node.clone());
        let granted_before = match &self.state {
            State::Waiting => self.identity.fence.as_ref() == Some(&epoch),
            // A late double of the promise with which this very session's epoch began.
            State::Joined(session) => session.epoch == epoch,
            _ => false,
        };
        if granted_before {
            return;
        }
        self.remember(|identity| identity.fence = Some(epoch.clone()));
        self.state = State::Waiting;
        self.master = None;
        self.buffer.clear();
        self.fetcher.clear();
        self.effects.push(Effect::Notice(Notice::Promised { epoch, to }));
    }

    /// Give me your log from here: only for the epoch that was promised. Refused in silence.
    pub fn on_read(&mut self, read: wire::Read, reply: String) {
        if !self.may_read(&read) {
            self.counters.stale += 1;
            return;
        }
        let wire::Read { request, epoch, from, sender } = read;
        let answer = ReadAnswer { reply, sender: self.sender(sender.v), request, epoch, from };
        self.effects.push(Effect::ReadAnswer(answer));
    }

    fn may_read(&self, read: &wire::Read) -> bool {
        self.identity.fence.as_ref() == Some(&read.epoch) && !self.is_foreign(read.sender.log_id)
    }

    /// Of [`SecondaryCore::on_read`]: the page that answers it.
    pub fn look_ahead_read(&self, read: &wire::Read, log: &LookAhead<'_>) {
        if self.may_read(read) {
            log.page(read.from, log.durable(), self.page_bytes());
        }
    }

    /// Whether an envelope is about another log than this node's.
    pub(super) fn is_foreign(&self, log_id: Option<LogId>) -> bool {
        matches!((self.identity.log_id, log_id), (Some(mine), Some(theirs)) if mine != theirs)
    }

    fn wire_state(
        &self,
        now: Moment,
        version: u8,
        request: u64,
        promised: Option<Epoch>,
        log: &dyn LogView,
    ) -> wire::State {
        let hears = self.hears(now).cloned();
        let most = self.outline_marks();
        wire::State::of(self.sender(version), request, promised, &self.identity, log, hears, most)
    }
}
