//! The master's core.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use replog_core::{
    driver::{Driver, End, Environment},
    master::{
        Answer, Effect, Event, MasterCore, Packet, PushLimits, Settings, StartTerms,
        events::{Append, NewMessage, Notice, WaitId, WriteOutcome},
    },
};
use replog_shared::{
    Epoch, Identity, Incarnation, LogId, Message, MessageId, Moment, NodeName, Order, Place, WriteConcern,
    limits::OUTLINE_MARKS,
    store::{IdSeed, LogView, MemoryStore, Ticket},
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
    driver: Driver<MasterCore, MemoryStore>,
    around: Around,
    now: Moment,
    waits: usize,
}

/// What a master has saved and said, and what it may say.
struct Around {
    saved: Identity,
    request: u64,
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
        let settings = Settings {
            name: "master".parse().unwrap(),
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
        let core = MasterCore::new(settings, saved.clone(), Moment::default(), 7);
        let log = MemoryStore::with_ids(IdSeed::from_random(1));
        let around = Around { saved, request: 0, answered: vec![], held: BTreeMap::new(), led: None };
        let mut node = Node { driver: Driver::new(core, log), around, now: Moment::default(), waits: 0 };
        node.bring(Event::BusUp { max_payload: 1 << 20 });
        node
    }

    fn bring(&mut self, event: Event) {
        self.driver.bring(self.now, event, 0, &mut self.around);
    }

    fn on_event(&mut self, script: &mut Script<'_>) {
        let (core, log) = (self.driver.core(), self.driver.log());
        let epoch = core.epoch().cloned().or_else(|| self.around.led.clone());
        let truth = Truth { log_id: core.log_id(), epoch, request: self.around.request, log };
        let reply = "replog.main.inbox.s1.x".to_owned();
        match script.below(20) {
            0..=3 => {
                let ack = envelopes::ack(script, &truth);
                self.on_ack(ack);
            }
            4..=5 => {
                let join = envelopes::join(script, &truth);
                self.bring(Event::Join { join, reply });
            }
            6 => {
                let fetch = envelopes::fetch(script, &truth);
                self.bring(Event::Fetch { fetch, reply });
            }
            7 => self.bring(Event::Heartbeat(envelopes::heartbeat(script, &truth))),
            8 => self.bring(Event::Ask(envelopes::ask(script, &truth), reply)),
            9 => self.bring(Event::Promise(envelopes::promise(script, &truth), reply)),
            10 => self.bring(Event::Read(envelopes::read(script, &truth), reply)),
            11..=12 => self.bring(Event::State(Box::new(envelopes::state(script, &truth)))),
            13 => {
                let (header, lines) = envelopes::entries(script, &truth);
                self.bring(Event::ReadAnswer(header, lines));
            }
            14 => self.bring(Event::NoResponders(envelopes::name(script))),
            15..=16 => self.append(script),
            17 if script.byte() < 40 => self.bring(Event::BusDown),
            17 => self.bring(Event::BusUp { max_payload: 1 << 20 }),
            _ => self.now = self.now.plus(Duration::from_millis(u64::from(script.byte()) * 16)),
        }
        self.settle();
    }

    /// Takes down what a genuine ack says, and no other.
    fn on_ack(&mut self, ack: wire::Ack) {
        let (core, log) = (self.driver.core(), self.driver.log());
        let durable = log.durable();
        let own = log.digest_at(Place::new(ack.through, durable.marks));
        let genuine = own == Some(ack.digest)
            && ack.epoch.as_ref() == core.epoch()
            && ack.error.is_none()
            && ack.through <= durable.length
            && ack.sender.log_id.or(core.log_id()) == core.log_id();
        let (node, through) = (ack.sender.node.clone(), ack.through);
        let before = self.acked_through(&node);
        if genuine {
            // Whether it counts, the core has to say: below.
            let held = self.around.held.entry(node.clone()).or_default();
            *held = through.max(*held);
        }
        self.bring(Event::Ack(ack.clone()));
        let counted = self.acked_through(&node) > before;
        assert!(genuine || !counted, "this counts as an ack: {ack:?}");
    }

    fn acked_through(&self, node: &NodeName) -> Option<Order> {
        let mut secondaries = self.driver.core().secondaries(self.now);
        secondaries.find(|secondary| secondary.node == node).map(|secondary| secondary.acked_through)
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
        self.around.answered.push(false);
        self.waits += 1;
        self.bring(Event::Append { wait: WaitId(self.waits - 1), append, may_wait: true });
    }

    fn settle(&mut self) {
        for _ in 0..MAX_DEADLINES_AT_ONCE {
            self.driver.end_burst(self.now, &mut self.around);
            if let Some(End::Failed(failure)) = self.driver.take_end() {
                panic!("{failure}");
            }
            if self.driver.next_deadline().is_none_or(|due| due > self.now) {
                return;
            }
        }
        panic!("a deadline that has passed is asked for again and again: {:?}", self.driver.next_deadline());
    }
}

impl Around {
    /// Each caller is answered once; by ok only if as many nodes hold what it wrote as it asked for.
    fn on_answer(&mut self, answer: &Answer, durable: Order) {
        let answered = &mut self.answered[answer.wait.0];
        assert!(!std::mem::replace(answered, true), "a caller was answered twice");
        let WriteOutcome::Met { written, .. } = &answer.outcome else { return };
        let end = written.first.plus(written.count);
        let holders = self.held.values().filter(|held| **held >= end).count();
        assert!(end <= durable);
        assert!(
            holders + 1 >= usize::from(written.w.get()),
            "ok for {written:?}, which {holders} secondaries hold"
        );
    }
}

impl Environment<MasterCore, MemoryStore> for Around {
    fn save(&mut self, identity: &Identity, _: &mut MemoryStore) -> Option<Ticket> {
        assert!(identity.fence >= self.saved.fence, "a promise was taken back");
        self.saved = identity.clone();
        None
    }

    fn send(&mut self, packet: Packet, log: &MemoryStore) {
        match packet {
            Packet::Entries { header, lines, .. } => {
                assert!(
                    header.from.plus(header.count) <= log.durable().length,
                    "more is sent than is durable"
                );
                assert!(header.count == 0 || !lines.is_empty(), "what is read is what was planned");
            }
            Packet::Ask(ask) => self.request = ask.request,
            Packet::Promise(_, promise) => (self.request, self.led) = (promise.request, Some(promise.epoch)),
            Packet::Read(_, read) => self.request = read.request,
            Packet::JoinAnswer { .. }
            | Packet::Heartbeat(_)
            | Packet::State { .. }
            | Packet::ReadAnswer { .. } => {}
        }
    }

    fn answer(&mut self, answer: Answer, log: &MemoryStore) {
        self.on_answer(&answer, log.durable().length);
    }

    fn on_effects(&mut self, effects: &[Effect], core: &MasterCore) {
        let most = MAX_EFFECTS + self.answered.len();
        assert!(effects.len() <= most, "{} effects of one event", effects.len());
        if self.led.as_ref() != core.epoch() {
            self.led = core.epoch().cloned();
            self.held.clear();
        }
    }

    fn notice(&mut self, _: Notice, _: &MasterCore, _: &MemoryStore) {}

    fn on_outbox_full(&mut self) {
        panic!("a log in memory saves at once");
    }
}
