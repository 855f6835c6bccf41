//! The secondary's core.

use std::{convert::Infallible, time::Duration};

use replog_core::{
    driver::{Driver, End, Environment},
    secondary::{Effect, Event, Faults, Notice, Packet, PullLimits, SecondaryCore, Settings},
};
use replog_shared::{
    Durability, Epoch, Identity, Incarnation, Lines, Moment, Place,
    limits::{ENVELOPE_BYTES, OUTLINE_MARKS},
    lines::Tip,
    store::{LogView, MemoryStore, Ticket},
    wire,
};

use super::{MAX_DEADLINES_AT_ONCE, MAX_EFFECTS, MAX_EVENTS};
use crate::{
    envelopes::{self, Truth},
    script::Script,
};

const BUFFER_BYTES: usize = 2_000;

pub(crate) fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let mut node = Node::new();
    for _ in 0..MAX_EVENTS {
        if script.is_over() {
            return;
        }
        node.on_event(&mut script);
    }
}

struct Node {
    driver: Driver<SecondaryCore, MemoryStore>,
    around: Around,
    now: Moment,
}

/// What a secondary has saved and asked.
struct Around {
    saved: Identity,
    /// The epoch and the number of the last request.
    asked: (Option<Epoch>, u64),
    /// Where the log ended before what is appended.
    tip: Tip,
}

impl Node {
    fn new() -> Node {
        let pull = PullLimits {
            window_ranges: 2,
            range_entries: 4,
            buffer_bytes: BUFFER_BYTES,
            resume_entries: 8,
            ..PullLimits::default()
        };
        let settings = Settings {
            name: "s1".parse().unwrap(),
            incarnation: Incarnation::from_random(1),
            durability: Durability::Memory,
            heartbeat_interval: Duration::from_millis(250),
            pull,
            faults: Faults::default(),
            outline_marks: OUTLINE_MARKS,
            page_bytes: ENVELOPE_BYTES,
        };
        let core = SecondaryCore::new(settings, Identity::default(), Moment::default(), 1);
        let driver = Driver::new(core, MemoryStore::without_ids());
        let around = Around { saved: Identity::default(), asked: (None, 0), tip: Tip::default() };
        Node { driver, around, now: Moment::default() }
    }

    fn bring(&mut self, event: Event) {
        self.driver.bring(self.now, event, 0, &mut self.around);
    }

    fn on_event(&mut self, script: &mut Script<'_>) {
        let (epoch, request) = self.around.asked.clone();
        let (log_id, log) = (self.around.saved.log_id, self.driver.log());
        let truth = Truth { log_id, epoch, request, log };
        let reply = "replog.main.inbox.master.state.1".to_owned();
        match script.below(16) {
            0..=2 => self.bring(Event::Heartbeat(envelopes::heartbeat(script, &truth))),
            3..=5 => self.bring(Event::JoinAnswer(envelopes::join_answer(script, &truth))),
            6..=9 => {
                let (header, lines) = envelopes::entries(script, &truth);
                self.bring(Event::Entries(header, lines));
            }
            10 => self.bring(Event::Ask(envelopes::ask(script, &truth), reply)),
            11 => self.bring(Event::Promise(envelopes::promise(script, &truth), reply)),
            12 => self.bring(Event::Read(envelopes::read(script, &truth), reply)),
            13 => self.bring(Event::BusUp { max_payload: 1 << 20 }),
            _ => self.now = self.now.plus(Duration::from_millis(u64::from(script.byte()) * 16)),
        }
        self.settle();
        self.hold();
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

    fn hold(&self) {
        let status = self.driver.core().status(self.now, self.driver.log());
        assert!(status.buffered_bytes <= BUFFER_BYTES, "{} bytes are kept", status.buffered_bytes);
        assert!(status.fetches_in_flight <= 2, "{} ranges are asked for", status.fetches_in_flight);
    }
}

impl Around {
    /// An ack says what is held, and nothing of an epoch below the fence.
    fn is_honest(&self, ack: &wire::Ack, log: &MemoryStore) {
        let tip = log.tip();
        assert!(ack.through <= tip.place.length, "more is acked than is held");
        let held = Place::new(ack.through, tip.place.marks);
        assert_eq!(log.digest_at(held), Some(ack.digest), "the digest of another log");
        assert_eq!(ack.epoch, tip.epoch, "the epoch of another mark");
        assert_eq!(ack.fence, self.saved.fence);
    }
}

impl Environment<SecondaryCore, MemoryStore> for Around {
    fn save(&mut self, identity: &Identity, _: &mut MemoryStore) -> Option<Ticket> {
        assert!(identity.fence >= self.saved.fence, "a promise was taken back");
        self.saved = identity.clone();
        None
    }

    fn send(&mut self, packet: Packet, log: &MemoryStore) {
        match packet {
            Packet::Join(join) => self.asked = (Some(join.epoch), join.request),
            Packet::Fetch(fetch) => {
                // An empty range asks for the marks that stand there.
                assert!(fetch.from <= fetch.to, "less than nothing is asked for: {fetch:?}");
                self.asked = (Some(fetch.epoch), fetch.request);
            }
            Packet::Ack(ack) => self.is_honest(&ack, log),
            Packet::State { .. } | Packet::ReadAnswer { .. } => {}
        }
    }

    fn answer(&mut self, answer: Infallible, _: &MemoryStore) {
        match answer {}
    }

    fn notice(&mut self, _: Notice, _: &SecondaryCore, _: &MemoryStore) {}

    fn on_outbox_full(&mut self) {
        panic!("a log in memory saves at once");
    }

    fn on_effects(&mut self, effects: &[Effect], _: &SecondaryCore) {
        assert!(effects.len() <= MAX_EFFECTS, "{} effects of one event", effects.len());
    }

    fn on_cut(&mut self, _: Place, _: &SecondaryCore, log: &MemoryStore) {
        self.tip = log.tip().clone();
    }

    fn on_appended(&mut self, lines: &Lines, _: &SecondaryCore, log: &MemoryStore) {
        Lines::checked(lines.bytes().clone(), &self.tip).expect("what is appended continues the log");
        self.tip = log.tip().clone();
        let epoch = lines.tip().epoch.as_ref();
        assert!(epoch <= self.saved.fence.as_ref(), "a line of an epoch above the one that is followed");
    }
}
