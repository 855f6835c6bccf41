//! The master's core.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use replog_core::master::{
    AckOutcome, CoreConfig, Effect, MasterCore, PushLimits, StartTerms,
    events::{Append, NewMessage, WaitId, WriteOutcome},
};
use replog_shared::{
    Epoch, Identity, Incarnation, LogId, Message, MessageId, Moment, NodeName, Order, Place, WriteConcern,
    limits::OUTLINE_MARKS,
    store::{Cut, IdSeed, LogView, MemoryStore, Reader, Span, Store, Ticket},
    wire,
};

use super::{MAX_DEADLINES_AT_ONCE, MAX_EFFECTS, MAX_EVENTS};
use crate::{
    envelopes::{self, Truth},
    script::Script,
};

/// The first byte says how it starts: blank and alone, over a log, or to be promoted.
pub(crate) fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let mut node = Node::new(script.byte());
    for _ in 0..MAX_EVENTS {
        if script.is_over() {
            return;
        }
        node.on_event(&mut script);
    }
}

struct Node {
    core: MasterCore,
    log: MemoryStore,
    now: Moment,
    saved: Identity,
    request: u64,
    waits: usize,
    answered: Vec<bool>,
    /// Of each secondary, in the epoch that is led: up to where a genuine ack said that it holds the log.
    held: BTreeMap<NodeName, Order>,
    led: Option<Epoch>,
}

fn names() -> Vec<NodeName> {
    ["s1", "s2"].iter().map(|name| name.parse().unwrap()).collect()
}

impl Node {
    fn new(choice: u8) -> Node {
        let start = StartTerms { promote: choice & 1 == 1, ..StartTerms::default() };
        let has_log = choice & 2 == 2;
        let saved = Identity {
            log_id: has_log.then(|| LogId::from_random(1)),
            whole: has_log,
            ..Identity::default()
        };
        let config = CoreConfig {
            node: "master".parse().unwrap(),
            secondaries: names(),
            incarnation: Incarnation::from_random(7),
            heartbeat_interval: Duration::from_millis(250),
            recovery_wait: Duration::from_millis(1_000),
            read_only_without_majority: choice & 4 == 4,
            start,
            push: PushLimits::default(),
            http: None,
            outline_marks: OUTLINE_MARKS,
        };
        let mut core = MasterCore::new(config, saved.clone(), Moment::default(), 7);
        core.on_bus_up(Moment::default(), 1 << 20);
        let (log, now) = (MemoryStore::with_ids(IdSeed::from_random(1)), Moment::default());
        Node {
            core,
            log,
            now,
            saved,
            request: 0,
            waits: 0,
            answered: vec![],
            held: BTreeMap::new(),
            led: None,
        }
    }

    fn on_event(&mut self, script: &mut Script<'_>) {
        let epoch = self.core.epoch().cloned().or_else(|| self.led.clone());
        let truth = Truth { log_id: self.core.log_id(), epoch, request: self.request, log: &self.log };
        let (now, log) = (self.now, &self.log);
        let reply = "replog.main.inbox.s1.x".to_owned();
        match script.below(20) {
            0..=3 => {
                let ack = envelopes::ack(script, &truth);
                self.on_ack(&ack);
            }
            4..=5 => self.core.on_join(now, &envelopes::join(script, &truth), reply, log),
            6 => self.core.on_fetch(now, &envelopes::fetch(script, &truth), reply, log),
            7 => self.core.on_heartbeat(now, &envelopes::heartbeat(script, &truth)),
            8 => self.core.on_ask(now, &envelopes::ask(script, &truth), reply, log),
            9 => self.core.on_promise(now, &envelopes::promise(script, &truth), reply, log),
            10 => self.core.on_read(envelopes::read(script, &truth), reply),
            11..=12 => self.core.on_state(now, envelopes::state(script, &truth), log),
            13 => {
                let (header, lines) = envelopes::entries(script, &truth);
                self.core.on_read_answer(now, &header, &lines, log);
            }
            14 => self.core.on_no_responders(now, &envelopes::name(script)),
            15..=16 => self.append(script),
            17 if script.byte() < 40 => self.core.on_bus_down(),
            17 => self.core.on_bus_up(now, 1 << 20),
            _ => self.now = now.plus(Duration::from_millis(u64::from(script.byte()) * 16)),
        }
        self.settle();
        self.deadlines();
    }

    /// Takes down what a genuine ack says, and no other.
    fn on_ack(&mut self, ack: &wire::Ack) {
        let durable = self.log.durable();
        let own = self.log.digest_at(Place::new(ack.through, durable.marks));
        let genuine =
            own == Some(ack.digest) && ack.epoch.as_ref() == self.core.epoch() && ack.error.is_none();
        if matches!(self.core.on_ack(self.now, ack, &self.log), AckOutcome::Counted) {
            assert!(genuine && ack.through <= durable.length, "this counts as an ack: {ack:?}");
            assert_eq!(ack.sender.log_id.or(self.core.log_id()), self.core.log_id());
            let held = self.held.entry(ack.sender.node.clone()).or_default();
            *held = ack.through.max(*held);
        }
    }

    fn append(&mut self, script: &mut Script<'_>) {
        let messages = (0..=script.below(2)).map(|_| NewMessage {
            id: MessageId::new(&format!("id{}", script.below(20))).unwrap(),
            message: Message::from_json(Bytes::from_static(b"\"m\"")).unwrap(),
        });
        let mut messages: Vec<_> = messages.collect();
        messages.dedup_by(|a, b| a.id == b.id);
        let w = WriteConcern::checked(Some(1 + script.below(3) as u64), 3).unwrap();
        let deadline =
            script.flag().then(|| self.now.plus(Duration::from_millis(script.number().min(5_000))));
        let append = Append { messages, w, expect_order: None, deadline };
        self.answered.push(false);
        self.waits += 1;
        self.core.on_append(self.now, WaitId(self.waits - 1), append, &self.log);
    }

    fn settle(&mut self) {
        self.execute();
        while self.core.on_leading(self.now, &self.log) {
            self.execute();
        }
        self.core.on_burst_end(self.now, &self.log);
        self.execute();
    }

    fn deadlines(&mut self) {
        for _ in 0..MAX_DEADLINES_AT_ONCE {
            if self.core.next_deadline().is_none_or(|due| due > self.now) {
                return;
            }
            self.core.on_deadline(self.now, &self.log);
            self.settle();
        }
        panic!("a deadline that has passed is asked for again and again: {:?}", self.core.next_deadline());
    }

    fn execute(&mut self) {
        let mut effects = Vec::new();
        self.core.take_effects(&mut effects);
        assert!(effects.len() <= MAX_EFFECTS + self.waits, "{} effects of one event", effects.len());
        if self.led.as_ref() != self.core.epoch() {
            self.led = self.core.epoch().cloned();
            self.held.clear();
        }
        effects.into_iter().for_each(|effect| self.execute_one(effect));
    }

    fn execute_one(&mut self, effect: Effect) {
        match effect {
            Effect::Save(identity) => {
                assert!(identity.fence >= self.saved.fence, "a promise was taken back");
                self.saved = identity;
            }
            Effect::Append(lines) => assert!(self.log.append(&lines), "a run that does not continue the log"),
            Effect::Truncate(place, _) => {
                assert_eq!(
                    self.log.truncate(place, Cut::Drop),
                    Ok(Ticket::NONE),
                    "a cut where the log has no place"
                );
            }
            Effect::Answer { wait, outcome } => self.on_answer(wait, &outcome),
            Effect::Entries { push, .. } => {
                assert!(push.to <= self.log.durable(), "more is sent than is durable");
                assert_is_read(&self.log, push);
            }
            Effect::ReadAnswer(answer) => {
                assert_is_read(&self.log, Span::fitting(&self.log, answer.from, self.log.durable(), 1_000));
            }
            Effect::Ask(ask) => self.request = ask.request,
            Effect::Promise(_, promise) => (self.request, self.led) = (promise.request, Some(promise.epoch)),
            Effect::Read(_, read) => self.request = read.request,
            Effect::JoinAnswer { .. } | Effect::Heartbeat(_) | Effect::State { .. } | Effect::Notice(_) => {}
        }
    }

    /// Each caller is answered once; by ok only if as many nodes hold what it wrote as it asked for.
    fn on_answer(&mut self, wait: WaitId, outcome: &WriteOutcome) {
        assert!(!std::mem::replace(&mut self.answered[wait.0], true), "a caller was answered twice");
        let WriteOutcome::Met { written, .. } = outcome else { return };
        let end = written.first.plus(written.count);
        let holders = self.held.values().filter(|held| **held >= end).count();
        assert!(end <= self.log.durable().length);
        assert!(
            holders + 1 >= usize::from(written.w.get()),
            "ok for {written:?}, which {holders} secondaries hold"
        );
    }
}

/// A part of a log is read as it was planned.
pub(super) fn assert_is_read(log: &MemoryStore, span: Span) {
    let (from, to, bytes) = span.to_read();
    let (_, page) = span.part_of(log, log.reader().read(from, to, bytes).unwrap());
    assert_eq!(page.bytes.is_empty(), span.is_empty());
}
