//! What the driver cannot do itself: the bus, what is counted and told.

use std::convert::Infallible;

use replog_core::{
    driver::{Environment, PARKED_BYTES, PARKED_EVENTS},
    secondary::{Notice, Packet, SecondaryCore, Translator},
};
use replog_host::{
    bus::{Bus, Refused},
    held::Held,
    refused::RefusedCounts,
    spans::Spans,
};
use replog_shared::{
    Identity, Lines, Moment, Place,
    store::{Store, Ticket},
    wire,
};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::notices;
use crate::telemetry::Telemetry;

/// All of a node but its driver and its commands.
pub(super) struct Surroundings<S: Store, B> {
    pub(super) held: Held<S>,
    pub(super) bus: B,
    pub(super) translator: Translator,
    pub(super) refused: RefusedCounts,
    /// Packets that found no room to wait for old parts of the log.
    pub(super) dropped: u64,
    pub(super) telemetry: Telemetry,
    pub(super) started: Instant,
}

impl<S: Store, B: Bus> Surroundings<S, B> {
    pub(super) fn new(held: Held<S>, bus: B, translator: Translator, spans: Spans) -> Surroundings<S, B> {
        Surroundings {
            held,
            bus,
            translator,
            refused: RefusedCounts::default(),
            dropped: 0,
            telemetry: Telemetry::new(spans),
            started: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    fn on_disk_behind(&mut self) {
        self.dropped += 1;
        if self.dropped == 1 {
            warn!(
                "dropped an envelope, as {PARKED_EVENTS} events of {PARKED_BYTES} bytes may wait for old parts of the log to be read; more are only counted"
            );
        }
    }

    fn note_ack(&mut self, ack: &wire::Ack) {
        if ack.error.is_none() {
            self.telemetry.on_acked(self.now(), ack.through);
        }
    }
}

impl<S: Store, B: Bus> Environment<SecondaryCore, S> for Surroundings<S, B> {
    fn save(&mut self, identity: &Identity, log: &mut S) -> Option<Ticket> {
        self.held.save(identity, log)
    }

    fn send(&mut self, packet: Packet, _log: &S) {
        if let Packet::Ack(ack) = &packet {
            self.note_ack(ack);
        }
        if let Err(refused) = self.bus.send(self.translator.write(packet)) {
            self.telemetry.on_not_sent(refused);
            debug!(%refused, "a packet was not sent");
        }
    }

    fn answer(&mut self, answer: Infallible, _log: &S) {
        match answer {}
    }

    fn notice(&mut self, notice: Notice, _core: &SecondaryCore, _log: &S) {
        match notice {
            Notice::DiskBehind => self.on_disk_behind(),
            notice => notices::log(&notice),
        }
    }

    fn on_outbox_full(&mut self) {
        self.telemetry.on_not_sent(Refused::Full);
    }

    fn on_appended(&mut self, lines: &Lines, _core: &SecondaryCore, _log: &S) {
        self.telemetry.on_appended(lines);
    }

    fn before_cut(&mut self, place: Place, _core: &SecondaryCore, log: &S) {
        self.held.before_cut(place, log);
    }

    fn on_cut(&mut self, _place: Place, _core: &SecondaryCore, _log: &S) {
        self.telemetry.on_cut();
    }
}
