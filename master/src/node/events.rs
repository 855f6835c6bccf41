//! What the bus brings becomes events of the core.

use replog_host::bus::{Bus, BusEvent, Incoming};
use replog_shared::{Moment, store::Store, wire};
use tracing::warn;

use super::{Node, parked::Late};
use crate::bus::Event;
use replog_core::master::AckOutcome;

impl<S: Store, B: Bus> Node<S, B> {
    pub(super) fn on_bus(&mut self, event: BusEvent) {
        let now = self.now();
        self.telemetry.bus.on_event(&event);
        match event {
            BusEvent::Message(packet) => self.on_packet(now, packet),
            BusEvent::Up { max_payload } => self.core.on_bus_up(now, max_payload),
            BusEvent::Down => self.core.on_bus_down(),
            // The bus has logged it, and knows how long it holds.
            BusEvent::Denied { .. } => {}
            BusEvent::Overrun => warn!("packets were dropped because this node read too slowly"),
        }
        self.execute(now);
    }

    fn on_packet(&mut self, now: Moment, packet: Incoming) {
        match self.translator.read(&packet) {
            Ok(event) => {
                let Incoming { subject, payload, .. } = packet;
                self.bring(now, Late::Packet { event, subject, bytes: payload.len() });
            }
            Err(refused) => {
                self.bus.on_refused(&packet);
                if self.refused.count(refused.kind(), &packet.subject) {
                    warn!(subject = %packet.subject, reason = %refused, "refused an envelope; more of its kind are only counted");
                }
            }
        }
    }

    pub(super) fn on_event(&mut self, now: Moment, event: Event, subject: &str) {
        match event {
            Event::Ack(ack) => self.on_ack(now, &ack, subject),
            Event::Join { join, reply } => self.core.on_join(now, &join, reply, self.held.log()),
            Event::Fetch { fetch, reply } => self.core.on_fetch(now, &fetch, reply, self.held.log()),
            Event::Heartbeat(heartbeat) => self.core.on_heartbeat(now, &heartbeat),
            Event::Ask(ask, reply) => self.core.on_ask(now, &ask, reply, self.held.log()),
            Event::Promise(promise, reply) => self.core.on_promise(now, &promise, reply, self.held.log()),
            Event::Read(read, reply) => self.core.on_read(read, reply),
            Event::State(state) => self.core.on_state(now, *state, self.held.log()),
            Event::ReadAnswer(header, lines) => {
                self.core.on_read_answer(now, &header, &lines, self.held.log());
            }
            Event::NoResponders(node) => self.core.on_no_responders(now, &node),
            Event::Unanswered => {}
        }
    }

    fn on_ack(&mut self, now: Moment, ack: &wire::Ack, subject: &str) {
        let kind = match self.core.on_ack(now, ack, self.held.log()) {
            AckOutcome::Counted | AckOutcome::Heard | AckOutcome::NotLeading | AckOutcome::BeforeJoin => {
                return;
            }
            AckOutcome::UnknownNode => "unknown_node",
            AckOutcome::ForeignLog => "foreign_log",
            AckOutcome::NotAdmitted => "stale_incarnation",
            AckOutcome::Mismatch => "digest",
        };
        if self.refused.count(kind, subject) {
            warn!(secondary = %ack.sender.node, kind, "an ack does not count; more of its kind are only counted");
        }
    }
}
