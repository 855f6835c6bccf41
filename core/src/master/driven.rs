//! The master's core as its driver sees it.

use bytes::Bytes;
use replog_shared::{
    Moment, NodeName, Order, WriteConcern,
    limits::STORE_PENDING_BYTES,
    store::{LogView, LookAhead, ReadError, Span, Store},
    wire,
};

use super::{
    Effect, MasterCore, Packet,
    events::{Append, NotLeading, Notice, Refusal, Shortage, WaitId, WriteOutcome},
    reasons::{Aftermath, Reason, Report},
};
use crate::{
    driver::{Core, Deed, Driver},
    read_answer::ReadAnswer,
};

/// What comes to a master.
#[derive(Debug)]
pub enum Event {
    /// A secondary says what it holds.
    Ack(wire::Ack),
    /// A secondary asks to join.
    Join {
        /// The request.
        join: wire::Join,
        /// Its own inbox.
        reply: String,
    },
    /// A secondary asks for a range.
    Fetch {
        /// The request.
        fetch: wire::Fetch,
        /// Its own inbox.
        reply: String,
    },
    /// A master says that it is alive.
    Heartbeat(wire::Heartbeat),
    /// Another master asks what this node holds; the answer goes to its own inbox.
    Ask(wire::Ask, String),
    /// … asks it to promise an epoch.
    Promise(wire::Promise, String),
    /// … asks it for a range of its log.
    Read(wire::Read, String),
    /// A node tells what it holds.
    State(Box<wire::State>),
    /// A range of a log that is taken over.
    ReadAnswer(wire::EntriesHeader, Bytes),
    /// Nobody listens on this secondary's subject.
    NoResponders(NodeName),
    /// The server's word that nobody listened to a request.
    Unanswered,
    /// The bus connected.
    BusUp {
        /// The most bytes of a payload that it takes.
        max_payload: usize,
    },
    /// The bus lost its connection.
    BusDown,
    /// A caller appends.
    Append {
        /// Whose wait for the answer.
        wait: WaitId,
        /// What.
        append: Append,
        /// Whether it may wait for other nodes: the number of callers that may is bounded.
        may_wait: bool,
    },
    /// A caller waits for an entry.
    Wait {
        /// Whose wait.
        wait: WaitId,
        /// Which entry.
        order: Order,
        /// How many nodes are to hold it.
        w: WriteConcern,
        /// When the caller is answered at the latest; none: it waits for ever.
        deadline: Option<Moment>,
        /// As of [`Event::Append`].
        may_wait: bool,
    },
    /// A caller empties the log.
    Clean {
        /// Whose wait for the answer.
        wait: WaitId,
        /// Its w and its deadline.
        append: Append,
    },
}

impl Event {
    /// The caller that waits for it.
    pub const fn wait(&self) -> Option<WaitId> {
        match self {
            Event::Append { wait, .. } | Event::Wait { wait, .. } | Event::Clean { wait, .. } => Some(*wait),
            _ => None,
        }
    }
}

/// Why a master that does not lead has nothing more to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// The promotion that the operator asked for did not come about.
    NotPromoted {
        /// Why.
        reason: Reason,
        /// What became of the other nodes.
        aftermath: Aftermath,
    },
    /// The operator only wanted to know what a promotion would do.
    DryRun {
        /// That.
        report: Box<Report>,
    },
}

/// What a caller is told.
#[derive(Debug)]
pub struct Answer {
    /// Whose wait is over.
    pub wait: WaitId,
    /// How it ended.
    pub outcome: WriteOutcome,
}

impl Core for MasterCore {
    type Event = Event;
    type Effect = Effect;
    type Packet = Packet;
    type Answer = Answer;
    type Notice = Notice;
    type Why = Over;

    const DEADLINES_AT_ONCE: usize = 1;

    fn on(&mut self, now: Moment, event: Event, log: &dyn LogView) {
        match event {
            Event::Ack(ack) => self.take_ack(now, &ack, log),
            Event::Join { join, reply } => self.on_join(now, &join, reply, log),
            Event::Fetch { fetch, reply } => self.on_fetch(now, &fetch, reply, log),
            Event::Heartbeat(heartbeat) => self.on_heartbeat(now, &heartbeat),
            Event::Ask(ask, reply) => self.on_ask(now, &ask, reply, log),
            Event::Promise(promise, reply) => self.on_promise(now, &promise, reply, log),
            Event::Read(read, reply) => self.on_read(read, reply),
            Event::State(state) => self.on_state(now, *state, log),
            Event::ReadAnswer(header, lines) => self.on_read_answer(now, &header, &lines, log),
            Event::NoResponders(node) => self.on_no_responders(now, &node),
            Event::Unanswered => {}
            Event::BusUp { max_payload } => self.on_bus_up(now, max_payload),
            Event::BusDown => self.on_bus_down(),
            Event::Append { wait, append, may_wait } => match shortage(may_wait, log) {
                None => self.on_append(now, wait, append, log),
                Some(short_of) => self.on_append_without_room(now, wait, append, short_of, log),
            },
            Event::Wait { wait, order, w, deadline, may_wait: true } => {
                self.on_wait(wait, order, w, deadline, log);
            }
            Event::Wait { wait, order, w, deadline, may_wait: false } => {
                self.on_wait_without_room(now, wait, order, w, deadline, log);
            }
            Event::Clean { wait, append } => self.on_clean(now, wait, append, log),
        }
    }

    fn look_ahead(&self, event: &Event, log: &LookAhead<'_>) {
        match event {
            Event::Ack(ack) => self.look_ahead_ack(ack, log),
            Event::Join { join, .. } => self.look_ahead_join(join, log),
            Event::Fetch { fetch, .. } => self.look_ahead_fetch(fetch, log),
            Event::Read(read, _) => self.look_ahead_read(read, log),
            Event::State(state) => self.look_ahead_state(state, log),
            Event::ReadAnswer(header, _) => self.look_ahead_read_answer(header, log),
            Event::Append { append, .. } => self.look_ahead_append(append, log),
            Event::Wait { order, w, .. } => self.look_ahead_wait(*order, *w, log),
            Event::Heartbeat(_)
            | Event::Ask(..)
            | Event::Promise(..)
            | Event::NoResponders(_)
            | Event::Unanswered
            | Event::BusUp { .. }
            | Event::BusDown
            | Event::Clean { .. } => {}
        }
    }

    fn next_deadline(&self) -> Option<Moment> {
        self.next_deadline()
    }

    fn on_deadline(&mut self, now: Moment, log: &dyn LogView) {
        self.on_deadline(now, log);
    }

    fn look_ahead_deadline(&self, now: Moment, log: &LookAhead<'_>) {
        self.look_ahead_deadline(now, log);
    }

    fn on_deadline_without_log(&mut self, now: Moment) {
        self.on_deadline_without_log(now);
    }

    fn take_up_held(&mut self, now: Moment, log: &dyn LogView) -> bool {
        self.on_leading(now, log)
    }

    fn look_ahead_held(&self, log: &LookAhead<'_>) {
        self.look_ahead_held(log);
    }

    fn take_held_if(&mut self, has_room: &dyn Fn(usize) -> bool) -> Option<Event> {
        let (wait, append) = self.take_held_if(|append| has_room(size_of::<Event>() + append.bytes()))?;
        Some(Event::Append { wait, append, may_wait: true })
    }

    fn on_burst_end(&mut self, now: Moment, log: &dyn LogView) {
        self.on_burst_end(now, log);
    }

    fn on_stop(&mut self, now: Moment, log: &dyn LogView) {
        self.on_stop(now, log);
    }

    /// Whether the log has what a caller sent is not known, so nothing was appended.
    fn turn_away(&mut self, _now: Moment, event: Event) {
        match event.wait() {
            Some(wait) => self.answer(wait, WriteOutcome::Refused(Refusal::NotLookedUp)),
            None => self.notice(Notice::DiskBehind),
        }
    }

    fn take_effects(&mut self, into: &mut Vec<Effect>) {
        self.take_effects(into);
    }

    fn deed(&self, effect: Effect, log: &impl Store) -> Result<Deed<MasterCore>, ReadError> {
        Ok(match effect {
            Effect::Save(identity) => Deed::Save(identity),
            Effect::Append(lines) => Deed::Append(lines),
            Effect::Truncate(place, cut) => Deed::Truncate(place, cut),
            Effect::Answer { wait, outcome: outcome @ WriteOutcome::Refused(_) } => {
                Deed::Refuse(Answer { wait, outcome })
            }
            Effect::Answer { wait, outcome } => Deed::Answer(Answer { wait, outcome }),
            Effect::Entries { secondary, push, answer } => self.entries(secondary, push, answer, log)?,
            Effect::JoinAnswer { reply, answer } => Deed::Send(Packet::JoinAnswer { reply, answer }),
            Effect::Heartbeat(heartbeat) => Deed::Send(Packet::Heartbeat(heartbeat)),
            Effect::Ask(ask) => Deed::Send(Packet::Ask(ask)),
            Effect::Promise(node, promise) => Deed::Send(Packet::Promise(node, promise)),
            Effect::Read(node, read) => Deed::Send(Packet::Read(node, read)),
            Effect::State { reply, state } => Deed::Send(Packet::State { reply, state }),
            Effect::ReadAnswer(answer) => Deed::Send(self.read_answer(answer, log)?),
            Effect::Notice(notice) => Deed::Notice(notice),
        })
    }

    fn ends(notice: &Notice) -> Option<Over> {
        match notice {
            Notice::Stopped(NotLeading::NotPromoted { reason, aftermath }) => {
                Some(Over::NotPromoted { reason: reason.clone(), aftermath: *aftermath })
            }
            Notice::Stopped(NotLeading::DryRun { report }) => Some(Over::DryRun { report: report.clone() }),
            _ => None,
        }
    }

    fn bytes(event: &Event) -> usize {
        size_of::<Event>()
            + match event {
                Event::Append { append, .. } | Event::Clean { append, .. } => append.bytes(),
                _ => 0,
            }
    }

    fn overdue_at(event: &Event) -> Option<Moment> {
        match event {
            Event::Append { append, .. } => append.deadline,
            Event::Wait { deadline, .. } => *deadline,
            _ => None,
        }
    }

    fn is_awaited(event: &Event) -> bool {
        event.wait().is_some()
    }

    fn packet_bytes(packet: &Packet) -> usize {
        size_of::<Packet>()
            + match packet {
                Packet::Entries { lines, .. } | Packet::ReadAnswer { lines, .. } => lines.len(),
                _ => 0,
            }
    }

    fn check(&self, log: &dyn LogView) {
        self.check_all(log);
    }
}

impl MasterCore {
    fn take_ack(&mut self, now: Moment, ack: &wire::Ack, log: &dyn LogView) {
        let outcome = self.on_ack(now, ack, log);
        if let Some(why) = outcome.refused() {
            self.notice(Notice::AckRefused { node: ack.sender.node.clone(), why });
        }
    }

    /// The envelope with a part of the log; nothing while this node does not lead.
    fn entries(
        &self,
        secondary: usize,
        push: Span,
        answer: Option<(u64, String)>,
        log: &impl Store,
    ) -> Result<Deed<MasterCore>, ReadError> {
        let (request, reply) = answer.map_or((None, None), |(request, reply)| (Some(request), Some(reply)));
        let (push, page) = push.read(log)?;
        let header = self.entries_header(secondary, push, request, &page, log.durable().length);
        Ok(header
            .map_or(Deed::Nothing, |header| Deed::Send(Packet::Entries { header, lines: page.bytes, reply })))
    }

    fn read_answer(&self, answer: ReadAnswer, log: &impl Store) -> Result<Packet, ReadError> {
        let reply = answer.reply.clone();
        let (header, lines) = answer.page(self.page_bytes(), log)?;
        Ok(Packet::ReadAnswer { reply, header, lines })
    }
}

/// What there is no room for now, of an append that may wait for other nodes or not.
fn shortage(may_wait: bool, log: &dyn LogView) -> Option<Shortage> {
    let is_full = log.pending_bytes() > STORE_PENDING_BYTES;
    if !may_wait { Some(Shortage::Waits) } else { is_full.then_some(Shortage::Storage) }
}

impl<S: Store> Driver<MasterCore, S> {
    /// A caller hung up. Its entry lives on, if it has one.
    pub fn on_hang_up(&mut self, wait: WaitId) {
        self.core_mut().on_hang_up(wait);
        self.forget(|event| event.wait() == Some(wait));
    }
}
