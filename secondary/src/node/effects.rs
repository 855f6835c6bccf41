//! What the core decides is done.

use replog_host::{
    bus::{Bus, Outgoing, Refused},
    held::HeldFailure,
    outbox::Passage,
};
use replog_shared::{
    store::{Span, Store},
    wire,
};
use tracing::debug;

use super::{Node, notices};
use crate::bus;
use replog_core::secondary::{Effect, ReadAnswer};

impl<S: Store, B: Bus> Node<S, B> {
    /// Executes what the core decided, in order. What it decided over a log that could not be read is no
    /// decision.
    pub(super) fn execute(&mut self) {
        let effects = self.core.take_effects();
        self.stop_unless(self.held.check());
        for effect in effects {
            if self.failure.is_none() {
                self.execute_one(effect);
            }
        }
    }

    pub(super) fn stop_unless(&mut self, done: Result<(), HeldFailure>) {
        if let Err(failure) = done {
            self.failure.get_or_insert(failure);
        }
    }

    fn execute_one(&mut self, effect: Effect) {
        match effect {
            Effect::Save(identity) => self.held.save(&identity),
            Effect::Append(lines) => {
                let appended = self.held.append(&lines);
                self.stop_unless(appended);
                self.telemetry.on_appended(&lines);
            }
            Effect::Truncate(place, cut) => {
                let cut = self.held.truncate(place, cut);
                self.stop_unless(cut);
                self.telemetry.on_cut();
            }
            Effect::Join(join) => self.send(self.translator.join(&join)),
            Effect::Fetch(fetch) => self.send(self.translator.fetch(&fetch)),
            Effect::Ack(ack) => {
                if ack.error.is_none() {
                    self.telemetry.on_acked(self.now(), ack.through);
                }
                self.send(self.translator.ack(&ack));
            }
            Effect::State { reply, state } => self.send(bus::answer(reply, wire::encode(&state))),
            Effect::ReadAnswer(answer) => self.answer_read(answer),
            Effect::Notice(notice) => notices::log(&notice),
        }
    }

    fn answer_read(&mut self, answer: ReadAnswer) {
        let ReadAnswer { reply, sender, request, epoch, from } = answer;
        let durable = self.held.log().durable();
        let span = Span::fitting(self.held.log(), from, durable, self.page_bytes());
        let Some((span, page)) = self.held.part(span) else { return };
        let header = wire::EntriesHeader::of(sender, epoch, span, &page, durable.length, Some(request));
        self.send(bus::answer(reply, wire::encode_entries(&header, &page.bytes)));
    }

    /// Hands a packet over, once the saves and cuts before it are durable. What the bus does not take is said again:
    /// acks by the interval, requests by their timers.
    fn send(&mut self, packet: Outgoing) {
        match self.outbox.pass(self.held.open(), packet.payload.len(), packet) {
            Passage::Free(packet) => self.send_now(packet),
            Passage::Held => {}
            Passage::Full => self.telemetry.on_not_sent(Refused::Full),
        }
    }

    /// Sends what waited for saves and cuts that are durable by now.
    pub(super) fn release(&mut self) {
        while let Some(packet) = self.outbox.next_due(self.held.done()) {
            self.send_now(packet);
        }
    }

    fn send_now(&mut self, packet: Outgoing) {
        if let Err(refused) = self.bus.send(packet) {
            self.telemetry.on_not_sent(refused);
            debug!(%refused, "a packet was not sent");
        }
    }
}
