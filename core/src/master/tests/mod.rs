//! What the master decides, told event by event.

mod batches;
mod checks;
mod holders;
mod limits;
mod look_ahead;
mod new_logs;
mod pacing;
mod promises;
mod restarts;
mod starts;
mod takeovers;
mod versions;

use std::time::Duration;

use bytes::Bytes;
use replog_shared::{
    Digest, Durability, Message, MessageId, Outline, WriteConcern,
    limits::OUTLINE_MARKS,
    store::{Cut, IdSeed, MemoryStore, Store as _, Ticket},
    wire::{Ack, SecondaryState, Sender, VERSION, Verdict},
};

use super::{
    events::{Append, NewMessage, Refusal},
    reasons::{JoinRefusal, Reason, WaitsFor},
    *,
};

/// A master with its log, as the node holds them, but without a bus.
struct Told {
    core: MasterCore,
    log: MemoryStore,
    now: Moment,
    saved: Identity,
    sent: Vec<Effect>,
    answers: Vec<(usize, WriteOutcome)>,
    waits: usize,
    joins: u64,
}

impl Told {
    fn recovering() -> Told {
        Told::started(1, Identity::default(), MemoryStore::with_ids(IdSeed::from_random(1)))
    }

    /// A process that has just started over what another one left.
    fn started(incarnation: u64, saved: Identity, log: MemoryStore) -> Told {
        let settings = Settings {
            name: name("master"),
            secondaries: vec![name("s1"), name("s2")],
            incarnation: Incarnation::from_random(incarnation),
            heartbeat_interval: Duration::from_millis(250),
            recovery_wait: Duration::from_millis(1000),
            read_only_without_majority: false,
            start: StartTerms::default(),
            push: PushLimits::default(),
            http: None,
            outline_marks: OUTLINE_MARKS,
        };
        let mut core = MasterCore::new(settings, saved.clone(), Moment::default(), 7);
        core.on_bus_up(Moment::default(), 1 << 20);
        let now = Moment::default();
        let mut told = Told { core, log, now, saved, sent: vec![], answers: vec![], waits: 0, joins: 0 };
        told.execute();
        told
    }

    fn leading() -> Told {
        let mut told = Told::recovering();
        told.pass(1100);
        assert!(told.core.epoch().is_some());
        told
    }

    /// Time passes, and the node looks at the clock whenever something is due.
    fn pass(&mut self, millis: u64) {
        let end = self.now.plus(Duration::from_millis(millis));
        while let Some(due) = self.core.next_deadline().filter(|due| *due < end) {
            self.now = self.now.max(due);
            self.tick();
        }
        self.now = end;
        self.tick();
    }

    /// Time passes while the node stands still.
    fn stand_still(&mut self, millis: u64) {
        self.now = self.now.plus(Duration::from_millis(millis));
        self.tick();
    }

    fn tick(&mut self) {
        self.core.on_deadline(self.now, &self.log);
        self.settle();
    }

    fn settle(&mut self) {
        self.execute();
        while self.core.on_leading(self.now, &self.log) {
            self.execute();
        }
        self.core.on_burst_end(self.now, &self.log);
        self.execute();
    }

    fn execute(&mut self) {
        let mut effects = Vec::new();
        self.core.take_effects(&mut effects);
        for effect in effects {
            match effect {
                Effect::Save(identity) => self.saved = identity,
                Effect::Append(lines) => assert!(self.log.append(&lines)),
                Effect::Truncate(place, cut) => {
                    assert_eq!(self.log.truncate(place, cut), Ok(Ticket::NONE));
                    self.sent.push(Effect::Truncate(place, cut));
                }
                Effect::Answer { wait, outcome } => self.answers.push((wait.0, outcome)),
                Effect::Ask(ask) => {
                    // Whoever asks on the bus hears the question, too.
                    self.core.on_ask(self.now, &ask, "inbox".into(), &self.log);
                    self.sent.push(Effect::Ask(ask));
                }
                other => self.sent.push(other),
            }
        }
        self.core.check_all(&self.log);
    }

    fn append(&mut self, id: &str, message: &str, w: u64) -> usize {
        let messages = vec![new_message(id, message)];
        let w = WriteConcern::checked(Some(w), 3).unwrap();
        self.append_all(Append { messages, w, expect_order: None, deadline: None })
    }

    fn append_all(&mut self, append: Append) -> usize {
        self.waits += 1;
        self.core.on_append(self.now, WaitId(self.waits), append, &self.log);
        self.settle();
        self.waits
    }

    fn outcome(&self, wait: usize) -> Option<&WriteOutcome> {
        self.answers.iter().find(|(answered, _)| *answered == wait).map(|(_, outcome)| outcome)
    }

    fn met(&self, wait: usize) -> Option<Written> {
        match self.outcome(wait)? {
            WriteOutcome::Met { written, .. } => Some(*written),
            other => panic!("not met: {other:?}"),
        }
    }

    /// The next request of a node.
    fn next_join(&mut self, node: &str, incarnation: u64) -> wire::Join {
        self.joins += 1;
        wire::Join {
            sender: self.sender(node, incarnation),
            request: self.joins,
            epoch: self.core.epoch().unwrap().clone(),
            outline: Outline::default(),
            fence: None,
            whole: false,
        }
    }

    fn join(&mut self, node: &str, incarnation: u64) -> Verdict {
        let join = self.next_join(node, incarnation);
        self.core.on_join(self.now, &join, "inbox".into(), &self.log);
        self.settle();
        let answer = self.sent.iter().rev().find_map(|effect| match effect {
            Effect::JoinAnswer { answer, .. } => Some(answer.verdict),
            _ => None,
        });
        answer.unwrap()
    }

    fn sender(&self, node: &str, incarnation: u64) -> Sender {
        let incarnation = Incarnation::from_random(incarnation);
        Sender { v: VERSION, log_id: self.core.log_id(), node: name(node), incarnation }
    }

    fn genuine_ack(&self, node: &str, incarnation: u64, through: u64) -> Ack {
        let place = Place::new(Order::new(through), self.log.tip().place.marks);
        Ack {
            sender: self.sender(node, incarnation),
            epoch: self.core.epoch().cloned(),
            through: Order::new(through),
            digest: self.log.digest_at(place).unwrap_or_default(),
            durability: Durability::Memory,
            fence: None,
            whole: true,
            state: SecondaryState::Streaming,
            joined: None,
            diverged_from: None,
            error: None,
        }
    }

    fn ack(&mut self, ack: &Ack) -> AckOutcome {
        let outcome = self.core.on_ack(self.now, ack, &self.log);
        self.settle();
        outcome
    }

    fn pushes(&self, index: usize) -> Vec<(u64, u64)> {
        let push = |effect: &Effect| match effect {
            Effect::Entries { secondary, push, answer: None } if *secondary == index => {
                Some((push.from.length.get(), push.to.length.get()))
            }
            _ => None,
        };
        self.sent.iter().filter_map(push).collect()
    }
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn new_message(id: &str, message: &str) -> NewMessage {
    let json = serde_json::to_vec(message).unwrap();
    NewMessage { id: MessageId::new(id).unwrap(), message: Message::from_json(Bytes::from(json)).unwrap() }
}

#[test]
fn orders_are_dense_and_a_retry_gets_the_same_one() {
    let mut told = Told::leading();
    let (a, b) = (told.append("a", "x", 1), told.append("b", "x", 1));
    let again = told.append("a", "x", 1);
    assert_eq!((told.met(a).unwrap().first.get(), told.met(b).unwrap().first.get()), (0, 1));
    assert_eq!(told.met(again).unwrap(), Written { duplicate: true, ..told.met(a).unwrap() });
    assert_eq!(told.log.tip().place.length, Order::new(2));
}

#[test]
fn one_id_with_another_message_is_a_conflict() {
    let mut told = Told::leading();
    told.append("a", "x", 1);
    let other = told.append("a", "y", 1);
    assert!(matches!(told.outcome(other), Some(WriteOutcome::Refused(Refusal::Conflict { .. }))));
    assert_eq!(told.log.tip().place.length, Order::new(1));
}

#[test]
fn a_batch_is_all_or_nothing() {
    let mut told = Told::leading();
    let batch = |ids: &[&str]| Append {
        messages: ids.iter().map(|id| new_message(id, "x")).collect(),
        w: WriteConcern::ONE,
        expect_order: None,
        deadline: None,
    };
    let first = told.append_all(batch(&["a", "b", "c"]));
    let again = told.append_all(batch(&["a", "b", "c"]));
    let partly = told.append_all(batch(&["c", "d"]));
    let reordered = told.append_all(batch(&["b", "a"]));
    assert_eq!(told.met(first).unwrap().count, 3);
    assert!(told.met(again).unwrap().duplicate);
    for refused in [partly, reordered] {
        assert!(matches!(told.outcome(refused), Some(WriteOutcome::Refused(Refusal::PartlyKnown { .. }))));
    }
    assert_eq!(told.log.tip().place.length, Order::new(3));
}

#[test]
fn an_expected_order_is_checked_after_the_id() {
    let mut told = Told::leading();
    let expecting = |id, order| Append {
        messages: vec![new_message(id, "x")],
        w: WriteConcern::ONE,
        expect_order: Some(Order::new(order)),
        deadline: None,
    };
    let first = told.append_all(expecting("a", 0));
    let retry = told.append_all(expecting("a", 0));
    let late = told.append_all(expecting("b", 0));
    assert!(told.met(first).is_some() && told.met(retry).unwrap().duplicate);
    let refused =
        WriteOutcome::Refused(Refusal::UnexpectedOrder { length: Order::new(1), durable: Order::new(1) });
    assert_eq!(told.outcome(late), Some(&refused));
}

#[test]
fn w_counts_distinct_nodes_never_acks() {
    let mut told = Told::leading();
    told.join("s1", 11);
    let w3 = told.append("a", "x", 3);
    let ack = told.genuine_ack("s1", 11, 1);
    for _ in 0..3 {
        assert_eq!(told.ack(&ack), AckOutcome::Counted);
    }
    assert!(told.outcome(w3).is_none());
    told.join("s2", 22);
    let ack = told.genuine_ack("s2", 22, 1);
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    assert!(told.met(w3).is_some());
}

#[test]
fn acks_that_do_not_count() {
    let mut told = Told::leading();
    told.join("s1", 11);
    let w2 = told.append("a", "x", 2);
    let good = told.genuine_ack("s1", 11, 1);
    let other_process = told.genuine_ack("s1", 12, 1);
    let unknown = told.genuine_ack("s9", 11, 1);
    let wrong_digest = Ack { digest: Digest::EMPTY, ..good.clone() };
    let too_far = Ack { through: Order::new(9), ..good.clone() };
    let before_mark = Ack { epoch: None, ..good.clone() };
    let error = Ack { error: Some("stored, then failed".into()), ..good.clone() };
    let foreign_sender = Sender { log_id: Some(LogId::from_random(9)), ..good.sender.clone() };
    let foreign = Ack { sender: foreign_sender, ..good.clone() };
    assert_eq!(told.ack(&other_process), AckOutcome::NotAdmitted);
    assert_eq!(told.ack(&unknown), AckOutcome::UnknownNode);
    assert_eq!(told.ack(&wrong_digest), AckOutcome::Mismatch);
    assert_eq!(told.ack(&too_far), AckOutcome::Mismatch);
    assert_eq!(told.ack(&before_mark), AckOutcome::Heard);
    assert_eq!(told.ack(&error), AckOutcome::Heard);
    assert_eq!(told.ack(&foreign), AckOutcome::ForeignLog);
    assert!(told.outcome(w2).is_none());
    assert_eq!(told.ack(&good), AckOutcome::Counted);
    assert!(told.met(w2).is_some());
}

#[test]
fn a_name_in_use_is_refused_until_its_process_falls_silent() {
    let mut told = Told::leading();
    assert_eq!(told.join("s1", 11), Verdict::Admitted);
    assert_eq!(told.join("s1", 12), Verdict::NameInUse);
    told.pass(1500);
    assert_eq!(told.join("s1", 12), Verdict::Admitted);
    assert_eq!(told.join("s9", 1), Verdict::Unknown);
}

#[test]
fn a_node_that_is_not_configured_is_told_who_is_and_noted_once() {
    let mut told = Told::leading();
    for _ in 0..3 {
        assert_eq!(told.join("s9", 1), Verdict::Unknown);
    }
    assert_eq!(told.join("s1", 11), Verdict::Admitted);
    let configured = told.core.settings.secondaries.clone();
    let listed: Vec<_> = told
        .sent
        .iter()
        .filter_map(|effect| match effect {
            Effect::JoinAnswer { answer, .. } => Some(answer.secondaries.clone()),
            _ => None,
        })
        .collect();
    let none = Vec::new();
    assert_eq!(listed, [&configured, &configured, &configured, &none].map(Vec::clone));
    let node: NodeName = "s9".parse().unwrap();
    let expected = Notice::Stranger { node: node.clone(), configured };
    let is_told = |effect: &&Effect| matches!(effect, Effect::Notice(notice) if *notice == expected);
    assert_eq!(told.sent.iter().filter(is_told).count(), 1);
    assert_eq!(told.core.strangers(told.now), [node]);
    told.pass(60_000);
    assert_eq!(told.core.strangers(told.now), []);
}

/// As a copy of a secondary that was promoted meets, while the living one works on.
#[test]
fn a_node_of_the_masters_own_name_is_called_a_second_process_and_noted_once() {
    let mut told = Told::leading();
    let own = told.core.settings.name.clone();
    for _ in 0..3 {
        assert_eq!(told.join(own.as_str(), 1), Verdict::NameInUse);
    }
    let is_told = |effect: &&Effect| matches!(effect, Effect::Notice(Notice::JoinRefused { node, reason }) if *node == own && *reason == JoinRefusal::OwnName);
    assert_eq!(told.sent.iter().filter(is_told).count(), 1);
    assert_eq!(told.core.strangers(told.now), [own]);
}

#[test]
fn what_is_not_acked_is_pushed_again_and_a_dead_node_delays_nobody() {
    let mut told = Told::leading();
    told.join("s1", 11);
    let ack = told.genuine_ack("s1", 11, 0);
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    let w1 = told.append("a", "x", 1);
    assert!(told.met(w1).is_some());
    assert_eq!(told.pushes(0), [(0, 1)]);
    for _ in 0..100 {
        told.pass(500);
    }
    let pushes = told.pushes(0);
    assert!(pushes.len() > 5 && pushes.iter().all(|push| *push == (0, 1)), "{pushes:?}");
    let w1 = told.append("b", "x", 1);
    assert!(told.met(w1).is_some());
}

#[test]
fn a_secondary_far_behind_is_not_pushed_at() {
    let mut told = Told::leading();
    told.join("s1", 11);
    let messages = |from: u64| (from..from + 10_000).map(|nth| new_message(&nth.to_string(), "x")).collect();
    for nth in 0..8u64 {
        let append = Append {
            messages: messages(nth * 10_000),
            w: WriteConcern::ONE,
            expect_order: None,
            deadline: None,
        };
        told.append_all(append);
    }
    let ack = told.genuine_ack("s1", 11, 0);
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    assert_eq!(told.pushes(0), []);
    let ack = told.genuine_ack("s1", 11, 79_000);
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    assert_eq!(told.pushes(0).first().map(|push| push.0), Some(79_000));
}

#[test]
fn a_callers_time_ends_its_wait_and_not_its_entry() {
    let mut told = Told::leading();
    let deadline = Some(told.now.plus(Duration::from_millis(300)));
    let w = WriteConcern::checked(Some(2), 3).unwrap();
    let wait =
        told.append_all(Append { messages: vec![new_message("a", "x")], w, expect_order: None, deadline });
    told.pass(300);
    assert!(matches!(told.outcome(wait), Some(WriteOutcome::Unconfirmed { .. })));
    assert_eq!((told.core.pending_writes(), told.log.tip().place.length), (0, Order::new(1)));
}

#[test]
fn a_clean_is_an_epoch_that_begins_with_nothing() {
    let mut told = Told::leading();
    told.join("s1", 11);
    told.append("a", "x", 1);
    let before = told.core.epoch().unwrap().clone();
    let w = WriteConcern::checked(Some(2), 3).unwrap();
    told.core.on_clean(
        told.now,
        WaitId(99),
        Append { messages: vec![], w, expect_order: None, deadline: None },
        &told.log,
    );
    told.settle();
    assert!(told.core.epoch().unwrap() > &before);
    assert_eq!(told.log.tip().place, Place::new(Order::ZERO, 1));
    let stale = told.genuine_ack("s1", 11, 0);
    assert_eq!(told.ack(&stale), AckOutcome::BeforeJoin);
    told.join("s1", 11);
    let ack = told.genuine_ack("s1", 11, 0);
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    assert!(told.met(99).is_some());
}

#[test]
fn who_waits_is_told_of_a_clean_only_after_what_makes_it_last() {
    let mut told = Told::leading();
    let wait = told.append("a", "x", 3);
    let clean = Append { messages: vec![], w: WriteConcern::ONE, expect_order: None, deadline: None };
    told.core.on_clean(told.now, WaitId(99), clean, &told.log);
    let mut effects = Vec::new();
    told.core.take_effects(&mut effects);
    let saved =
        effects.iter().position(|it| matches!(it, Effect::Save(identity) if identity.cleaning.is_some()));
    let cut = effects.iter().position(|it| matches!(it, Effect::Truncate(..)));
    let answered = effects
        .iter()
        .position(|it| matches!(it, Effect::Answer { wait: WaitId(answered), .. } if *answered == wait));
    assert!(saved.is_some() && saved < cut && cut < answered, "{saved:?} {cut:?} {answered:?}");
}

#[test]
fn stopping_tells_every_caller_that_waits() {
    let mut told = Told::leading();
    let wait = told.append("a", "x", 3);
    told.core.on_stop(told.now, &told.log);
    told.settle();
    assert!(matches!(told.outcome(wait), Some(WriteOutcome::Interrupted { by: Interruption::Stopping, .. })));
    let late = told.append("b", "x", 1);
    assert!(matches!(
        told.outcome(late),
        Some(WriteOutcome::Refused(Refusal::NotLeading(NotLeading::Stopping)))
    ));
}

#[test]
fn a_higher_fence_of_an_admitted_node_ends_the_reign() {
    let mut told = Told::leading();
    told.join("s1", 11);
    let higher = Epoch { reign: 9, owner: name("s2"), start: 0, incarnation: Incarnation::from_random(5) };
    let stranger = Ack { fence: Some(higher.clone()), ..told.genuine_ack("s1", 12, 0) };
    assert_eq!(told.ack(&stranger), AckOutcome::NotAdmitted);
    assert!(told.core.epoch().is_some());
    let ack = Ack { fence: Some(higher), ..told.genuine_ack("s1", 11, 0) };
    assert_eq!(told.ack(&ack), AckOutcome::NotLeading);
    assert_eq!(told.core.not_leading(), Some(NotLeading::Fenced { by: name("s2") }));
}

#[test]
fn a_higher_epoch_of_its_own_name_is_no_other_masters_reign_but_a_lost_one() {
    let lost = Epoch { reign: 1, owner: name("master"), start: 9, incarnation: Incarnation::from_random(1) };
    let mut told = Told::leading();
    told.join("s1", 11);
    let ack = Ack { fence: Some(lost.clone()), ..told.genuine_ack("s1", 11, 0) };
    assert_eq!(told.ack(&ack), AckOutcome::NotLeading);
    assert_eq!(told.core.not_leading(), Some(NotLeading::Diverged { node: name("s1") }));

    let mut told = Told::leading();
    let stranger = Ack { fence: Some(lost.clone()), ..told.genuine_ack("s2", 12, 0) };
    assert_eq!(told.ack(&stranger), AckOutcome::BeforeJoin);
    let request = told.asked().pop().expect("it asks");
    let identity = Identity { fence: Some(lost), ..told.saved.clone() };
    let state =
        wire::State::of(told.sender("s2", 12), request, None, &identity, &told.log, None, OUTLINE_MARKS);
    told.core.on_state(told.now, state, &told.log);
    told.settle();
    assert_eq!(told.core.not_leading(), Some(NotLeading::Diverged { node: name("s2") }));
}

#[test]
fn without_a_majority_it_is_read_only_if_asked_to() {
    let mut told = Told::leading();
    told.core.settings.read_only_without_majority = true;
    let refused = told.append("a", "x", 1);
    let expected = WriteOutcome::Refused(Refusal::ReadOnly { healthy: 1, nodes: 3 });
    assert_eq!(told.outcome(refused), Some(&expected));
    told.join("s1", 11);
    let taken = told.append("a", "x", 1);
    assert!(told.met(taken).is_some());
}
