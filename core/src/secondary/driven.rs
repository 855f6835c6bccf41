//! The secondary's core as its driver sees it.

use std::convert::Infallible;

use bytes::Bytes;
use replog_shared::{
    Moment,
    store::{LogView, LookAhead, ReadError, Store},
    wire,
};

use super::{Effect, Notice, Packet, SecondaryCore};
use crate::driver::{Core, Deed};

/// What comes to a secondary.
#[derive(Debug)]
pub enum Event {
    /// A master says that it is alive.
    Heartbeat(wire::Heartbeat),
    /// Entries, pushed or fetched.
    Entries(wire::EntriesHeader, Bytes),
    /// The answer to a join.
    JoinAnswer(wire::JoinAnswer),
    /// A master asks what this node holds; the answer goes to its own inbox.
    Ask(wire::Ask, String),
    /// … asks it to promise an epoch.
    Promise(wire::Promise, String),
    /// … asks it for a range of its log.
    Read(wire::Read, String),
    /// The server's word that nobody listened to a request: the retry timer asks again.
    Unanswered,
    /// The bus connected.
    BusUp {
        /// The most bytes of a payload that it takes.
        max_payload: usize,
    },
    /// The bus lost its connection.
    BusDown,
}

impl Core for SecondaryCore {
    type Event = Event;
    type Effect = Effect;
    type Packet = Packet;
    /// Callers read the log, and ask the core nothing.
    type Answer = Infallible;
    type Notice = Notice;
    type Why = Infallible;

    const DEADLINES_AT_ONCE: usize = 256;

    fn on(&mut self, now: Moment, event: Event, log: &dyn LogView) {
        match event {
            Event::Heartbeat(heartbeat) => self.on_heartbeat(now, &heartbeat, log),
            Event::Entries(header, lines) => self.on_entries(now, header, lines, log),
            Event::JoinAnswer(answer) => self.on_join_answer(now, answer, log),
            Event::Ask(ask, reply) => self.on_ask(now, &ask, reply, log),
            Event::Promise(promise, reply) => self.on_promise(now, promise, reply, log),
            Event::Read(read, reply) => self.on_read(read, reply),
            Event::Unanswered => {}
            Event::BusUp { max_payload } => self.on_bus_up(now, max_payload),
            Event::BusDown => self.on_bus_down(),
        }
    }

    fn look_ahead(&self, event: &Event, log: &LookAhead<'_>) {
        match event {
            Event::JoinAnswer(answer) => self.look_ahead_join_answer(answer, log),
            Event::Read(read, _) => self.look_ahead_read(read, log),
            Event::Heartbeat(_)
            | Event::Entries(..)
            | Event::Ask(..)
            | Event::Promise(..)
            | Event::Unanswered
            | Event::BusUp { .. }
            | Event::BusDown => {}
        }
    }

    fn next_deadline(&self) -> Option<Moment> {
        self.next_deadline()
    }

    fn on_deadline(&mut self, now: Moment, log: &dyn LogView) {
        self.on_deadline(now, log);
    }

    fn on_burst_end(&mut self, now: Moment, log: &dyn LogView) {
        self.on_burst_end(now, log);
    }

    fn turn_away(&mut self, _now: Moment, _event: Event) {
        self.effects.push(Effect::Notice(Notice::DiskBehind));
    }

    fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.effects);
    }

    fn deed(&self, effect: Effect, log: &impl Store) -> Result<Deed<SecondaryCore>, ReadError> {
        Ok(match effect {
            Effect::Save(identity) => Deed::Save(identity),
            Effect::Append(lines) => Deed::Append(lines),
            Effect::Truncate(place, cut) => Deed::Truncate(place, cut),
            Effect::Join(join) => Deed::Send(Packet::Join(join)),
            Effect::Fetch(fetch) => Deed::Send(Packet::Fetch(fetch)),
            Effect::Ack(ack) => Deed::Send(Packet::Ack(ack)),
            Effect::State { reply, state } => Deed::Send(Packet::State { reply, state: Box::new(state) }),
            Effect::ReadAnswer(answer) => {
                let reply = answer.reply.clone();
                let (header, lines) = answer.page(self.page_bytes(), log)?;
                Deed::Send(Packet::ReadAnswer { reply, header, lines })
            }
            Effect::Notice(notice) => Deed::Notice(notice),
        })
    }

    fn ends(_notice: &Notice) -> Option<Infallible> {
        None
    }

    fn bytes(_event: &Event) -> usize {
        size_of::<Event>()
    }

    fn overdue_at(_event: &Event) -> Option<Moment> {
        None
    }

    fn is_awaited(_event: &Event) -> bool {
        false
    }

    fn packet_bytes(packet: &Packet) -> usize {
        size_of::<Packet>() + if let Packet::ReadAnswer { lines, .. } = packet { lines.len() } else { 0 }
    }

    fn check(&self, log: &dyn LogView) {
        self.check_all(log);
    }
}
