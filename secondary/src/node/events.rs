//! What the bus brings becomes events of the core.

use replog_core::secondary::Event;
use replog_host::bus::{Bus, BusEvent, Incoming};
use replog_shared::{Moment, store::Store};
use tracing::warn;

use super::Node;

impl<S: Store, B: Bus> Node<S, B> {
    pub(super) fn on_bus(&mut self, event: BusEvent) {
        let now = self.env.now();
        self.env.telemetry.on_bus(&event);
        match event {
            BusEvent::Message(packet) => self.on_packet(now, &packet),
            BusEvent::Up { max_payload } => self.bring(now, Event::BusUp { max_payload }, 0),
            BusEvent::Down => self.bring(now, Event::BusDown, 0),
            // The bus has logged them. What is denied it knows best, and what is missing shows as a gap.
            BusEvent::Denied { .. } | BusEvent::Overrun => {}
        }
    }

    fn on_packet(&mut self, now: Moment, packet: &Incoming) {
        match self.env.translator.read(packet) {
            Ok(event) => {
                if let Event::Entries(header, _) = &event {
                    self.env.telemetry.on_traces(now, &header.traces);
                }
                self.bring(now, event, packet.payload.len());
            }
            Err(refused) => {
                self.env.bus.on_refused(packet);
                if self.env.refused.count(refused.kind, &packet.subject) {
                    let kind = refused.kind;
                    warn!(kind, subject = %packet.subject, reason = %refused, "refused an envelope; more of its kind are only counted");
                }
            }
        }
    }
}
