//! What waits until old lines were read, as in the node.

use replog_core::master::events::{Append, Refusal, WaitId, WriteOutcome};
use replog_host::parking::Parked;
use replog_master::bus::Event;
use replog_shared::{Moment, Order, WriteConcern, store::Lookup, store::Store as _};

use super::Master;
use crate::sim::{coverage::Path, hub::Hub};

/// What may look at old lines.
#[derive(Debug)]
pub(super) enum Late {
    Packet(Event),
    Append(WaitId, Append),
    Wait { wait: WaitId, order: Order, w: WriteConcern, deadline: Option<Moment> },
    Deadline,
}

impl Late {
    pub(super) const fn wait(&self) -> Option<WaitId> {
        match self {
            Late::Append(wait, _) | Late::Wait { wait, .. } => Some(*wait),
            Late::Packet(_) | Late::Deadline => None,
        }
    }

    pub(super) const fn deadline(&self) -> Option<Moment> {
        match self {
            Late::Append(_, append) => append.deadline,
            Late::Wait { deadline, .. } => *deadline,
            Late::Packet(_) | Late::Deadline => None,
        }
    }
}

impl Master {
    pub(super) fn bring(&mut self, now: Moment, late: Late, hub: &mut Hub) {
        match self.missing(now, &late) {
            None => self.take(now, late, hub),
            Some(lookup) => self.park(late, lookup, hub),
        }
    }

    fn missing(&self, now: Moment, late: &Late) -> Option<Lookup> {
        let core = &self.core;
        self.disk.store.missing(|log| match late {
            Late::Packet(event) => event.look_ahead(core, log),
            Late::Append(_, append) => core.look_ahead_append(append, log),
            Late::Wait { order, w, .. } => core.look_ahead_wait(*order, *w, log),
            Late::Deadline => core.look_ahead_deadline(now, log),
        })
    }

    fn take(&mut self, now: Moment, late: Late, hub: &mut Hub) {
        match late {
            Late::Packet(event) => self.on_event(now, event, hub),
            Late::Append(wait, append) => {
                self.core.on_wall_clock(self.wall_clock());
                self.core.on_append(now, wait, append, &self.disk.store);
            }
            Late::Wait { wait, order, w, deadline } => {
                self.core.on_wait(wait, order, w, deadline, &self.disk.store);
            }
            Late::Deadline => {
                self.deadline_waits = false;
                self.core.on_deadline(now, &self.disk.store);
            }
        }
        self.execute(hub);
    }

    fn park(&mut self, late: Late, lookup: Lookup, hub: &mut Hub) {
        let index = self.index;
        hub.story.tell(|| format!("n{index} reads {lookup:?} before it takes {late:?}"));
        hub.coverage.hit(Path::Parked);
        self.deadline_waits |= matches!(late, Late::Deadline);
        if self.parking.park(late, 1, lookup).is_err() {
            hub.oracle.found(|| "more waits for reads than ever comes".to_owned());
        }
    }

    pub(super) fn on_deadline(&mut self, now: Moment, hub: &mut Hub) {
        match self.missing(now, &Late::Deadline) {
            None => self.take(now, Late::Deadline, hub),
            Some(lookup) if !self.deadline_waits => self.park(Late::Deadline, lookup, hub),
            Some(_) => {
                self.core.on_deadline_without_log(now);
                self.execute(hub);
            }
        }
    }

    pub(super) fn take_up_held(&mut self, now: Moment, hub: &mut Hub) {
        loop {
            let core = &self.core;
            if let Some(lookup) = self.disk.store.missing(|log| core.look_ahead_held(log)) {
                let Some((wait, append)) = self.core.take_held_if(|_| true) else { return };
                self.park(Late::Append(wait, append), lookup, hub);
            } else if self.core.on_leading(now, &self.disk.store) {
                self.execute(hub);
            } else {
                return;
            }
        }
    }

    pub(super) fn take_up_parked(&mut self, hub: &mut Hub) {
        while let Some((turn, lines)) = self.reads.next_done(self.now) {
            if let Some(parked) = self.parking.on_read(turn, lines, self.cuts) {
                self.resume(parked, hub);
            }
            if hub.crashed {
                return;
            }
        }
        let now = self.moment();
        let is_over = |late: &Late| late.deadline().is_some_and(|deadline| deadline <= now);
        for wait in self.parking.take_if(is_over).iter().filter_map(Late::wait) {
            self.answer(wait, &WriteOutcome::Refused(Refusal::NotLookedUp), hub);
        }
    }

    fn resume(&mut self, mut parked: Parked<Late>, hub: &mut Hub) {
        let now = self.moment();
        self.disk.store.lend(std::mem::take(&mut parked.pages));
        if let Some(lookup) = self.missing(now, &parked.event) {
            parked.pages = self.disk.store.take_back();
            return self.parking.go_on(parked, lookup);
        }
        self.take(now, parked.event, hub);
        drop(self.disk.store.take_back());
    }

    pub(super) fn give_up_parked(&mut self, hub: &mut Hub) {
        let now = self.moment();
        for late in self.parking.take_if(|_| true) {
            if late.wait().is_some() {
                self.take(now, late, hub);
            }
        }
    }
}
