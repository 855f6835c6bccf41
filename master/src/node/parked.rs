//! Events that look at old parts of the log wait here until those were read, and the node works on meanwhile.

use replog_host::{
    bus::Bus,
    parking::{PARKED_BYTES, PARKED_EVENTS, Parked},
};
use replog_shared::{
    Moment, Order, WriteConcern,
    store::{Lookup, Store},
};
use tracing::warn;

use super::Node;
use crate::bus::Event;
use replog_core::master::events::{Append, Refusal, WaitId, WriteOutcome};

/// What may look at old parts of the log.
#[derive(Debug)]
pub(super) enum Late {
    /// What a packet of so many bytes tells, and its subject.
    Packet { event: Event, subject: String, bytes: usize },
    /// A caller appends.
    Append { wait: WaitId, append: Append, may_wait: bool },
    /// A caller waits for an entry.
    Wait { wait: WaitId, order: Order, w: WriteConcern, deadline: Option<Moment>, may_wait: bool },
    /// A start is about to take its next step.
    Deadline,
}

impl Late {
    /// Bytes that it takes, about: never none, so that their number is bounded, too.
    fn bytes(&self) -> usize {
        size_of::<Late>()
            + match self {
                Late::Packet { bytes, .. } => *bytes,
                Late::Append { append, .. } => append.bytes(),
                Late::Wait { .. } | Late::Deadline => 0,
            }
    }

    /// The caller that waits for it.
    const fn wait(&self) -> Option<WaitId> {
        match self {
            Late::Append { wait, .. } | Late::Wait { wait, .. } => Some(*wait),
            Late::Packet { .. } | Late::Deadline => None,
        }
    }

    /// When its caller's time is over.
    const fn deadline(&self) -> Option<Moment> {
        match self {
            Late::Append { append, .. } => append.deadline,
            Late::Wait { deadline, .. } => *deadline,
            Late::Packet { .. } | Late::Deadline => None,
        }
    }
}

impl<S: Store, B: Bus> Node<S, B> {
    /// Brings an event to the core at once, if all that it looks at is in memory; else once it was read.
    pub(super) fn bring(&mut self, now: Moment, late: Late) {
        match self.missing(now, &late) {
            None => self.take(now, late),
            Some(lookup) => self.park(now, late, lookup),
        }
    }

    fn missing(&self, now: Moment, late: &Late) -> Option<Lookup> {
        let core = &self.core;
        self.held.missing(|log| match late {
            Late::Packet { event, .. } => event.look_ahead(core, log),
            Late::Append { append, .. } => core.look_ahead_append(append, log),
            Late::Wait { order, w, .. } => core.look_ahead_wait(*order, *w, log),
            Late::Deadline => core.look_ahead_deadline(now, log),
        })
    }

    fn take(&mut self, now: Moment, late: Late) {
        match late {
            Late::Packet { event, subject, .. } => self.on_event(now, event, &subject),
            Late::Append { wait, append, may_wait } => self.append(now, wait, append, may_wait),
            Late::Wait { wait, order, w, deadline, may_wait } => {
                let log = self.held.log();
                if may_wait {
                    self.core.on_wait(wait, order, w, deadline, log);
                } else {
                    self.core.on_wait_without_room(now, wait, order, w, deadline, log);
                }
            }
            Late::Deadline => {
                self.deadline_waits = false;
                self.core.on_deadline(now, self.held.log());
            }
        }
        self.execute(now);
    }

    fn park(&mut self, now: Moment, late: Late, lookup: Lookup) {
        let bytes = late.bytes();
        if let Err(late) = self.parking.park(late, bytes, lookup) {
            self.on_no_room(now, late);
        }
    }

    /// Something is due. The next step of a start waits for what it looks at.
    pub(super) fn on_deadline(&mut self, now: Moment) {
        match self.missing(now, &Late::Deadline) {
            None => self.take(now, Late::Deadline),
            Some(lookup) if !self.deadline_waits => {
                self.deadline_waits = true;
                self.parking.park_surely(Late::Deadline, lookup);
            }
            Some(_) => {
                self.core.on_deadline_without_log(now);
                self.execute(now);
            }
        }
    }

    /// The disk does not keep up with what is asked of it.
    fn on_no_room(&mut self, now: Moment, late: Late) {
        match late {
            Late::Packet { subject, .. } => {
                if self.refused.count("disk_behind", &subject) {
                    warn!(
                        subject,
                        "dropped an envelope, as {PARKED_EVENTS} events of {PARKED_BYTES} bytes may wait for old parts of the log to be read; more are only counted"
                    );
                }
            }
            Late::Append { wait, .. } | Late::Wait { wait, .. } => self.refuse_unread(now, wait),
            Late::Deadline => {}
        }
    }

    /// Whether the log has what the caller sent is not known, so nothing was appended.
    fn refuse_unread(&mut self, now: Moment, wait: WaitId) {
        self.answer(now, wait, WriteOutcome::Refused(Refusal::NotLookedUp));
    }

    /// Brings the events for which all was read by now, and has read what others wait for.
    pub(super) fn take_up_parked(&mut self) {
        if self.parking.is_empty() {
            return;
        }
        loop {
            match self.held.have_read(&mut self.parking) {
                Ok(Some(parked)) => self.resume(parked),
                Ok(None) => break,
                Err(failure) => return self.stop_unless(Err(failure)),
            }
        }
        self.refuse_overdue();
        self.read_for_parked();
    }

    pub(super) fn read_for_parked(&mut self) {
        self.held.read_for(&mut self.parking);
    }

    fn resume(&mut self, mut parked: Parked<Late>) {
        let now = self.now();
        self.held.lend(std::mem::take(&mut parked.pages));
        if let Some(lookup) = self.missing(now, &parked.event) {
            parked.pages = self.held.take_back();
            return self.parking.go_on(parked, lookup);
        }
        self.take(now, parked.event);
        drop(self.held.take_back());
    }

    /// Tells callers whose time is over.
    fn refuse_overdue(&mut self) {
        let now = self.now();
        let is_over = |late: &Late| late.deadline().is_some_and(|deadline| deadline <= now);
        for wait in self.parking.take_if(is_over).iter().filter_map(Late::wait) {
            self.refuse_unread(now, wait);
        }
    }

    /// When the time of the next caller is over.
    pub(super) fn next_overdue(&self) -> Option<Moment> {
        self.parking.events().filter_map(Late::deadline).min()
    }

    /// Forgets what callers wanted that hung up.
    pub(super) fn forget_hung_up(&mut self) {
        let waiters = &self.waiters;
        drop(self.parking.take_if(|late| late.wait().is_some_and(|WaitId(wait)| !waiters.contains(wait))));
    }

    /// The node has stopped: callers are told so, and packets are dropped.
    pub(super) fn give_up_parked(&mut self, now: Moment) {
        for late in self.parking.take_if(|_| true) {
            if late.wait().is_some() {
                self.take(now, late);
            }
        }
    }

    /// Takes up the appends that waited for this node to lead.
    pub(super) fn take_up_held(&mut self, now: Moment) {
        loop {
            let core = &self.core;
            if let Some(lookup) = self.held.missing(|log| core.look_ahead_held(log)) {
                let Some((wait, append)) = self
                    .core
                    .take_held_if(|append| self.parking.has_room(size_of::<Late>() + append.bytes()))
                else {
                    return;
                };
                self.park(now, Late::Append { wait, append, may_wait: true }, lookup);
            } else if self.core.on_leading(now, self.held.log()) {
                self.execute(now);
            } else {
                return;
            }
        }
    }
}
