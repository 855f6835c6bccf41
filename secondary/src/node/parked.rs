//! Packets whose events look at old parts of the log wait here until those were read, and the node works on meanwhile.

use replog_host::{
    bus::Bus,
    parking::{PARKED_BYTES, PARKED_EVENTS, Parked},
};
use replog_shared::{
    limits::{ENVELOPE_BYTES, ENVELOPE_OVERHEAD_BYTES},
    store::{Lookup, Store},
};
use tracing::warn;

use super::Node;
use crate::bus::Event;

/// Of an event that waits, besides its packet.
const EVENT_BYTES: usize = size_of::<Event>();

impl<S: Store, B: Bus> Node<S, B> {
    /// Brings what a packet of so many bytes tells to the core at once, if all that it looks at is in memory; else once it
    /// was read.
    pub(super) fn bring(&mut self, event: Event, bytes: usize) {
        match self.missing(&event) {
            None => self.take(event),
            Some(lookup) => self.park(event, bytes, lookup),
        }
    }

    fn missing(&self, event: &Event) -> Option<Lookup> {
        self.held.missing(|log| match event {
            Event::JoinAnswer(answer) => self.core.look_ahead_join_answer(answer, log),
            Event::Read(read, _) => self.core.look_ahead_read(read, self.page_bytes(), log),
            Event::Heartbeat(_) | Event::Entries(..) | Event::Ask(..) | Event::Promise(..) => {}
        })
    }

    /// Bytes of a page of the log that a master reads.
    pub(super) fn page_bytes(&self) -> usize {
        ENVELOPE_BYTES.min(self.max_payload.saturating_sub(ENVELOPE_OVERHEAD_BYTES))
    }

    fn take(&mut self, event: Event) {
        self.on_event(event);
        self.execute();
    }

    fn park(&mut self, event: Event, bytes: usize, lookup: Lookup) {
        if self.parking.park(event, EVENT_BYTES + bytes, lookup).is_err() {
            // The disk does not keep up with what is asked of it.
            self.dropped += 1;
            if self.dropped == 1 {
                warn!(
                    "dropped an envelope, as {PARKED_EVENTS} events of {PARKED_BYTES} bytes may wait for old parts of the log to be read; more are only counted"
                );
            }
        }
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
        self.read_for_parked();
    }

    pub(super) fn read_for_parked(&mut self) {
        self.held.read_for(&mut self.parking);
    }

    fn resume(&mut self, mut parked: Parked<Event>) {
        self.held.lend(std::mem::take(&mut parked.pages));
        if let Some(lookup) = self.missing(&parked.event) {
            parked.pages = self.held.take_back();
            return self.parking.go_on(parked, lookup);
        }
        self.take(parked.event);
        drop(self.held.take_back());
    }
}
