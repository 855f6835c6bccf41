//! The secondary's core.

use std::time::Duration;

use replog_core::secondary::{Effect, Faults, PullLimits, SecondaryCore, Settings};
use replog_shared::{
    Durability, Epoch, Identity, Incarnation, Lines, Moment,
    limits::OUTLINE_MARKS,
    store::{Cut, LogView, MemoryStore, Span, Store, Ticket},
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
    core: SecondaryCore,
    log: MemoryStore,
    now: Moment,
    saved: Identity,
    /// The epoch and the number of the last request.
    asked: (Option<Epoch>, u64),
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
        };
        let core = SecondaryCore::new(settings, Identity::default(), fastrand::Rng::with_seed(1));
        let log = MemoryStore::without_ids();
        Node { core, log, now: Moment::default(), saved: Identity::default(), asked: (None, 0) }
    }

    fn on_event(&mut self, script: &mut Script<'_>) {
        let (epoch, request) = self.asked.clone();
        let truth = Truth { log_id: self.saved.log_id, epoch, request, log: &self.log };
        let (now, reply, log) = (self.now, "replog.main.inbox.master.state.1".to_owned(), &self.log);
        match script.below(16) {
            0..=2 => self.core.on_heartbeat(now, &envelopes::heartbeat(script, &truth), log),
            3..=5 => self.core.on_join_answer(now, envelopes::join_answer(script, &truth), log),
            6..=9 => {
                let (header, lines) = envelopes::entries(script, &truth);
                self.core.on_entries(now, header, lines, log);
            }
            10 => self.core.on_ask(now, &envelopes::ask(script, &truth), reply, log),
            11 => self.core.on_promise(now, envelopes::promise(script, &truth), reply, log),
            12 => self.core.on_read(envelopes::read(script, &truth), reply),
            13 => self.core.on_connected(now, 1 << 20),
            _ => self.now = now.plus(Duration::from_millis(u64::from(script.byte()) * 16)),
        }
        self.execute();
        self.deadlines();
        self.hold();
    }

    fn deadlines(&mut self) {
        for _ in 0..MAX_DEADLINES_AT_ONCE {
            if self.core.next_deadline().is_none_or(|due| due > self.now) {
                return;
            }
            self.core.on_deadline(self.now, &self.log);
            self.execute();
        }
        panic!("a deadline that has passed is asked for again and again: {:?}", self.core.next_deadline());
    }

    fn execute(&mut self) {
        let effects = self.core.take_effects();
        assert!(effects.len() <= MAX_EFFECTS, "{} effects of one event", effects.len());
        for effect in effects {
            match effect {
                Effect::Save(identity) => {
                    assert!(identity.fence >= self.saved.fence, "a promise was taken back");
                    self.saved = identity;
                }
                Effect::Append(lines) => self.append(&lines),
                Effect::Truncate(place, _) => {
                    assert_eq!(
                        self.log.truncate(place, Cut::Drop),
                        Ok(Ticket::NONE),
                        "a cut where the log has no place"
                    );
                }
                Effect::Join(join) => self.asked = (Some(join.epoch), join.request),
                Effect::Fetch(fetch) => {
                    // An empty range asks for the marks that stand there.
                    assert!(fetch.from <= fetch.to, "less than nothing is asked for: {fetch:?}");
                    self.asked = (Some(fetch.epoch), fetch.request);
                }
                Effect::Ack(ack) => self.is_honest(&ack),
                Effect::ReadAnswer(answer) => {
                    let span = Span::fitting(&self.log, answer.from, self.log.durable(), 1_000);
                    super::master::assert_is_read(&self.log, span);
                }
                Effect::State { .. } | Effect::Notice(_) => {}
            }
        }
    }

    fn append(&mut self, lines: &Lines) {
        let tip = self.log.tip().clone();
        Lines::checked(lines.bytes().clone(), &tip).expect("what is appended continues the log");
        assert!(self.log.append(lines));
        let epoch = lines.tip().epoch.as_ref();
        assert!(epoch <= self.saved.fence.as_ref(), "a line of an epoch above the one that is followed");
    }

    /// An ack says what is held, and nothing of an epoch below the fence.
    fn is_honest(&self, ack: &replog_shared::wire::Ack) {
        let tip = self.log.tip();
        assert!(ack.through <= tip.place.length, "more is acked than is held");
        let held = replog_shared::Place::new(ack.through, tip.place.marks);
        assert_eq!(self.log.digest_at(held), Some(ack.digest), "the digest of another log");
        assert_eq!(ack.epoch, tip.epoch, "the epoch of another mark");
        assert_eq!(ack.fence, self.saved.fence);
    }

    fn hold(&self) {
        let status = self.core.status(self.now, &self.log);
        assert!(status.buffered_bytes <= BUFFER_BYTES, "{} bytes are kept", status.buffered_bytes);
        assert!(status.fetches_in_flight <= 2, "{} ranges are asked for", status.fetches_in_flight);
    }
}
