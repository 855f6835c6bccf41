//! Answers to another master that starts or is promoted, and what this one makes of a higher epoch
//! (docs/RECOVERY.md, section 4).

use replog_shared::{Epoch, Moment, NodeName, store::LogView, wire};

use super::{
    Effect, MasterCore, Phase,
    events::NotLeading,
    mutant::{self, Mutant},
};
use crate::read_answer::ReadAnswer;

impl MasterCore {
    /// What do you hold? Never refused, but to itself.
    pub fn on_ask(&mut self, now: Moment, ask: &wire::Ask, reply: String, log: &dyn LogView) {
        if ask.sender.incarnation == self.settings.incarnation {
            if let Phase::Recovering(recovery) = &mut self.phase {
                recovery.on_echo(now, ask.request);
                self.note_wait();
            }
            return;
        }
        let version = ask.answer_version();
        let state = Box::new(self.told_state(version, ask.request, None, now, log));
        self.effect(Effect::State { reply, state });
    }

    /// Promise this epoch: from then on this node takes and acks nothing older, and does not lead.
    pub fn on_promise(&mut self, now: Moment, promise: &wire::Promise, reply: String, log: &dyn LogView) {
        let hears_master = matches!(self.phase, Phase::Leading(_)) || self.rival(now).is_some();
        let twice =
            promise.is_of_a_reign_already_promised(&self.identity) && !mutant::is(Mutant::TwoPromisesAReign);
        let given = promise.may_be_given(&self.identity, hears_master) && !twice;
        if given {
            self.remember(|identity| identity.fence = Some(promise.epoch.clone()));
            self.fenced(promise.sender.node.clone());
        }
        let promised = given.then(|| promise.epoch.clone());
        let version = promise.sender.v;
        let state = Box::new(self.told_state(version, promise.request, promised, now, log));
        self.effect(Effect::State { reply, state });
    }

    /// Give me your log from here: only for the epoch that was promised. Refused in silence.
    pub fn on_read(&mut self, read: wire::Read, reply: String) {
        if self.may_read(&read) {
            let wire::Read { sender, request, epoch, from } = read;
            let sender = wire::Sender { v: sender.v, ..self.sender(&self.settings.name) };
            self.effect(Effect::ReadAnswer(ReadAnswer { reply, sender, request, epoch, from }));
        }
    }

    pub(super) fn may_read(&self, read: &wire::Read) -> bool {
        self.identity.fence.as_ref() == Some(&read.epoch) && read.sender.log_id == self.identity.log_id
    }

    pub(super) fn fenced(&mut self, by: NodeName) {
        let known = matches!(&self.phase, Phase::Stopped(NotLeading::Fenced { by: known }) if *known == by);
        let goes_on = matches!(self.phase, Phase::Leading(_)) && mutant::is(Mutant::PromisedMasterGoesOn);
        if !known && !goes_on {
            self.stop_leading(NotLeading::Fenced { by });
        }
    }

    /// Something speaks of a higher epoch. It is believed once a configured node has said so in answer to a
    /// question of this node's.
    pub(super) fn inquire(&mut self, now: Moment) {
        let asked_lately = self.inquiry.is_some_and(|(_, until)| now < until);
        if asked_lately || !matches!(self.phase, Phase::Leading(_)) {
            return;
        }
        let request = self.random.u64(..);
        self.inquiry = Some((request, now.plus(self.settings.heartbeat_interval)));
        let sender = self.sender(&self.settings.name);
        self.effect(Effect::Ask(wire::Ask::new(sender, request)));
    }

    pub(super) fn on_state_while_leading(&mut self, state: &wire::State) {
        let Phase::Leading(epoch) = &self.phase else { return };
        let asked = self.inquiry.is_some_and(|(request, _)| request == state.request);
        let higher = state.highest().filter(|highest| *highest > epoch);
        if let Some(higher) = higher.filter(|_| asked && state.sender.log_id == self.identity.log_id) {
            self.outranked(higher, &state.sender.node);
        }
    }

    /// `told_by` has promised or followed a higher epoch of this log. One of this node's own name is an epoch
    /// that it saved and has lost: its directory is an old copy, and what else it lacks is not known.
    pub(super) fn outranked(&mut self, higher: &Epoch, told_by: &NodeName) {
        if higher.owner == self.settings.name {
            self.stop_leading(NotLeading::Diverged { node: told_by.clone() });
        } else {
            self.fenced(higher.owner.clone());
        }
    }
}
