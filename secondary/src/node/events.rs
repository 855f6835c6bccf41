//! What the bus brings becomes events of the core.

use replog_host::bus::{Bus, BusEvent, Incoming};
use replog_shared::store::Store;

use super::Node;
use crate::bus::{Event, Ignored};

impl<S: Store, B: Bus> Node<S, B> {
    pub(super) fn on_bus(&mut self, event: BusEvent) {
        self.telemetry.on_bus(&event);
        match event {
            BusEvent::Message(packet) => self.on_packet(packet),
            BusEvent::Up { max_payload } => {
                self.max_payload = max_payload;
                self.bus_is_up = true;
                self.core.on_connected(self.now(), max_payload);
            }
            BusEvent::Down => self.bus_is_up = false,
            // The bus has logged them. What is denied it knows best, and what is missing shows as a gap.
            BusEvent::Denied { .. } | BusEvent::Overrun => {}
        }
    }

    fn on_packet(&mut self, packet: Incoming) {
        let bytes = packet.payload.len();
        let event = match self.translator.read(packet) {
            Ok(event) => event,
            Err(Ignored::NobodyListens) => return,
            Err(Ignored::Refused(packet)) => return self.bus.on_refused(&packet),
        };
        if let Event::Entries(header, _) = &event {
            self.telemetry.on_traces(self.now(), &header.traces);
        }
        self.bring(event, bytes);
    }

    pub(super) fn on_event(&mut self, event: Event) {
        let (now, core, log) = (self.now(), &mut self.core, self.held.log());
        match event {
            Event::Heartbeat(heartbeat) => core.on_heartbeat(now, &heartbeat, log),
            Event::Entries(header, lines) => core.on_entries(now, header, lines, log),
            Event::JoinAnswer(answer) => core.on_join_answer(now, answer, log),
            Event::Ask(ask, reply) => core.on_ask(now, &ask, reply, log),
            Event::Promise(promise, reply) => core.on_promise(now, promise, reply, log),
            Event::Read(read, reply) => core.on_read(read, reply),
        }
    }
}
