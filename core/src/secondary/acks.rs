//! Saying what is held: one ack for a burst, one each interval when idle.

use replog_shared::{Epoch, Moment, Place, store::LogView, wire};

use super::{
    SecondaryCore,
    effect::{Effect, Notice},
    state::State,
};

/// The epoch of the last mark that stands before `place`.
pub(super) fn epoch_at(place: Place, log: &dyn LogView) -> Option<Epoch> {
    let last = (place.marks as usize).checked_sub(1)?;
    log.marks().get(last).map(|placed| placed.mark.epoch.clone())
}

impl SecondaryCore {
    /// All events of a burst were brought and their effects done: at most one ack covers them.
    pub fn on_burst_end(&mut self, now: Moment, log: &dyn LogView) {
        self.note_progress(log);
        let (durable, tip) = (log.durable(), log.tip().place);
        if self.ack_due && self.state.acks() && (durable == tip || self.acked != Some(durable)) {
            self.ack_due = durable != tip;
            self.idle_ack_at = now.plus(self.settings.heartbeat_interval);
            self.send_ack(self.state.version(), log);
        }
        // Behind the ack: what is appended now is due to be acked later.
        self.go_on_behind_disk(now, log);
    }

    /// Repeats the last ack if nothing was said for an interval: it is also this node's sign of life.
    pub(super) fn ack_when_idle(&mut self, now: Moment, log: &dyn LogView) {
        if self.state.acks() && self.idle_ack_at <= now {
            self.idle_ack_at = now.plus(self.settings.heartbeat_interval);
            // A genuine ack here would undo the error before the master has sent the envelope again.
            self.failing = self.failing && self.faults.draw_error(&mut self.random);
            if self.failing {
                self.send_error_ack(log);
            } else {
                self.send_ack(self.state.version(), log);
            }
        }
    }

    /// Notes that the mark, or all that the master held at the join, is held now.
    fn note_progress(&mut self, log: &dyn LogView) {
        let State::Joined(session) = &mut self.state else { return };
        let place = log.durable();
        if !session.streaming && epoch_at(place, log).as_ref() == Some(&session.epoch) {
            session.streaming = true;
            self.effects.push(Effect::Notice(Notice::Streaming { epoch: session.epoch.clone() }));
        }
        if !self.identity.whole && session.streaming && place.length >= session.whole_at {
            self.remember(|identity| {
                identity.whole = true;
                identity.cleaning = None;
            });
            self.effects.push(Effect::Notice(Notice::Whole));
        }
    }

    /// Says what is held at the durability level, to a master that speaks `version`.
    pub(super) fn send_ack(&mut self, version: u8, log: &dyn LogView) {
        self.counters.acks += 1;
        self.acked = Some(log.durable());
        let ack = self.ack(version, log, None);
        self.effects.push(Effect::Ack(ack));
    }

    /// Says that something went wrong; such an ack never counts.
    pub(super) fn send_error_ack(&mut self, log: &dyn LogView) {
        self.counters.error_acks += 1;
        let ack = self.ack(
            self.state.version(),
            log,
            Some("an error on purpose: this node has an error rate".to_owned()),
        );
        self.effects.push(Effect::Ack(ack));
    }

    fn ack(&self, version: u8, log: &dyn LogView, error: Option<String>) -> wire::Ack {
        let place = log.durable();
        let epoch = epoch_at(place, log);
        wire::Ack {
            sender: self.sender(version),
            state: self.state.on_wire(epoch.as_ref()),
            epoch,
            through: place.length,
            digest: log.digest_at(place).unwrap_or_default(),
            durability: self.settings.durability,
            fence: self.identity.fence.clone(),
            whole: self.identity.whole,
            joined: self.state.session().map(|session| session.joined),
            diverged_from: self.state.diverged_from().cloned(),
            error,
        }
    }
}
