//! What an event will look at of the log, before it comes: asked over a [`LookAhead`], so that the node can have old
//! lines read by a thread that may wait.
//!
//! Invariant: what an event looks at was asked for here, by the same functions where there is more to it than one place;
//! more may be asked for than it will look at. Where nothing is said of an event, it looks at nothing but the marks, the
//! log's end and what is not durable yet, which are always in memory.

use replog_shared::{
    Moment, Order, Outline, Place, WriteConcern, outline,
    store::{LogView as _, LookAhead},
    wire,
};

use super::{
    MasterCore, Phase,
    appends::Known,
    events::{Append, NewMessage},
    secondaries::end_of,
};

impl MasterCore {
    /// Of [`MasterCore::on_append`] and [`MasterCore::on_append_without_room`]: entries that may carry its ids, and the
    /// run of those that do.
    pub fn look_ahead_append(&self, append: &Append, log: &LookAhead<'_>) {
        let may_be_known = |new: &NewMessage| log.find(&new.id).is_some();
        if !matches!(self.phase, Phase::Leading(_))
            || log.recent_from() == Order::ZERO
            || !append.messages.iter().any(may_be_known)
            || log.missing().is_some()
        {
            return;
        }
        if let Known::Run(first) = self.known(&append.messages, log) {
            let last = first.plus((append.messages.len() as u64).saturating_sub(1));
            self.held_with(last, append.w, log);
        }
    }

    /// Of [`MasterCore::on_leading`]: the same of the append that it takes up.
    pub fn look_ahead_held(&self, log: &LookAhead<'_>) {
        if let Some(append) = self.held.first() {
            self.look_ahead_append(append, log);
        }
    }

    /// Of [`MasterCore::on_wait`] and [`MasterCore::on_wait_without_room`]: the batch of the entry.
    pub fn look_ahead_wait(&self, order: Order, w: WriteConcern, log: &LookAhead<'_>) {
        if matches!(self.phase, Phase::Leading(_)) && order < log.tip().place.length {
            self.held_with(order, w, log);
        }
    }

    /// Of [`MasterCore::on_ack`]: the digest through what is acked.
    pub fn look_ahead_ack(&self, ack: &wire::Ack, log: &LookAhead<'_>) {
        if self.epoch().is_some() && ack.epoch.as_ref() == self.epoch() && self.is_admitted(&ack.sender) {
            log.digest_at(Place::new(ack.through, log.durable().marks));
        }
    }

    /// Of [`MasterCore::on_join`]: the digest at the fork.
    pub fn look_ahead_join(&self, join: &wire::Join, log: &LookAhead<'_>) {
        if self.epoch() != Some(&join.epoch) || log.recent_from() == Order::ZERO {
            return;
        }
        let own = Outline::of(log.marks(), log.durable(), usize::MAX);
        if let Some(fork) = outline::fork(&own, &join.outline) {
            log.digest_at(fork);
        }
    }

    /// Of [`MasterCore::on_fetch`]: the page that answers it.
    pub fn look_ahead_fetch(&self, fetch: &wire::Fetch, log: &LookAhead<'_>) {
        if self.epoch() == Some(&fetch.epoch) && self.is_admitted(&fetch.sender) {
            let from = Place::new(fetch.from, fetch.marks_before.unwrap_or(0));
            log.page(from, end_of(fetch, log), self.page_bytes());
        }
    }

    /// Of [`MasterCore::on_read`]: the page that answers it.
    pub fn look_ahead_read(&self, read: &wire::Read, log: &LookAhead<'_>) {
        if self.may_read(read) {
            log.page(read.from, log.durable(), self.page_bytes());
        }
    }

    /// Of [`MasterCore::on_state`]: where the log may be cut.
    pub fn look_ahead_state(&self, state: &wire::State, log: &LookAhead<'_>) {
        self.look_ahead_cuts(Some(state), log);
    }

    /// Of [`MasterCore::on_deadline`]: where the log may be cut, if the start takes its next step.
    pub fn look_ahead_deadline(&self, now: Moment, log: &LookAhead<'_>) {
        if matches!(&self.phase, Phase::Recovering(recovery) if recovery.next_deadline() <= now) {
            self.look_ahead_cuts(None, log);
        }
    }

    fn is_admitted(&self, sender: &wire::Sender) -> bool {
        self.index_of(&sender.node)
            .is_some_and(|index| self.progress[index].admitted == Some(sender.incarnation))
    }
}
