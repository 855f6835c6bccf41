//! From a start to the first epoch, and to the last.

use super::*;

#[test]
fn alone_it_leads_after_the_recovery_wait_and_takes_up_what_it_held() {
    let mut told = Told::recovering();
    let held = told.append("a", "early", 1);
    told.pass(500);
    assert!(told.core.epoch().is_none() && told.outcome(held).is_none());
    told.pass(600);
    assert_eq!(told.met(held).unwrap().first, Order::ZERO);
}

impl Told {
    /// A secondary's answer to what was asked last: it holds `log_id`, or nothing.
    pub(super) fn state(&mut self, node: &str, log_id: Option<LogId>) {
        let asked = self.sent.iter().rev().find_map(|effect| match effect {
            Effect::Ask(ask) => Some(ask.request),
            _ => None,
        });
        let state = wire::State {
            sender: Sender { log_id, ..self.sender(node, 11) },
            request: asked.unwrap(),
            promised: None,
            fence: None,
            outline: Outline::default(),
            digest: Digest::EMPTY,
            turn: None,
            whole: log_id.is_some(),
            hears: None,
        };
        self.core.on_state(self.now, state, &self.log);
        self.settle();
    }
}

/// A first start that dies after any of its steps: the next one, beside secondaries that hold nothing, leads.
#[test]
fn a_first_start_that_dies_anywhere_keeps_no_later_one_waiting() {
    let mut first = Told::recovering();
    let mut effects = Vec::new();
    while first.core.epoch().is_none() {
        first.now = first.core.next_deadline().unwrap();
        first.core.on_deadline(first.now, &first.log);
        first.core.take_effects(&mut effects);
    }
    let is_step = |effect: &Effect| matches!(effect, Effect::Save(_) | Effect::Append(_));
    let steps: Vec<Effect> = effects.into_iter().filter(is_step).collect();
    assert!(
        matches!(&steps[..], [Effect::Save(_), Effect::Append(_)]),
        "one write, then the mark: {steps:?}"
    );
    for done in 0..=steps.len() {
        let (mut saved, mut log) = (Identity::default(), MemoryStore::with_ids(IdSeed::from_random(1)));
        for step in &steps[..done] {
            match step {
                Effect::Save(identity) => saved = identity.clone(),
                Effect::Append(lines) => assert!(log.append(lines)),
                _ => {}
            }
        }
        let mut next = Told::started(2, saved, log);
        next.pass(1);
        next.state("s1", None);
        next.pass(1_100);
        assert!(next.core.epoch().is_some(), "after {done} steps: {:?}", next.core.not_leading());
    }
}

#[test]
fn a_log_that_everybody_has_lost_does_not_keep_a_start_waiting() {
    let mut told = Told::recovering();
    let lost = Some(LogId::from_random(9));
    told.pass(1);
    told.state("s1", lost);
    told.state("s2", lost);
    assert!(told.sent.iter().any(|effect| matches!(effect, Effect::Promise(..))));
    told.pass(6000);
    told.pass(200);
    told.state("s1", None);
    assert!(told.core.epoch().is_none());
    told.state("s2", None);
    assert!(told.core.epoch().is_some() && told.core.log_id() != lost);
}

#[test]
fn without_nats_silence_means_nothing_and_no_log_is_begun() {
    let mut told = Told::recovering();
    told.core.on_bus_down();
    for _ in 0..50 {
        told.pass(1_000);
    }
    assert!(told.core.epoch().is_none(), "the others may hold a log and could not say so");
    told.core.on_bus_up(told.now, 1 << 20);
    told.pass(500);
    told.core.on_bus_down();
    told.core.on_bus_up(told.now, 1 << 20);
    told.pass(600);
    assert!(told.core.epoch().is_none(), "a new connection gives the others all their time again");
    told.pass(500);
    assert!(told.core.epoch().is_some());
}

#[test]
fn a_master_without_secondaries_asks_nobody() {
    let mut told = Told::recovering();
    told.core.settings.secondaries.clear();
    told.core.progress.clear();
    told.core.on_bus_down();
    told.pass(100);
    assert!(told.core.epoch().is_some());
}

impl Told {
    fn hear_master(&mut self, node: &str, incarnation: u64) {
        self.hear_master_of(self.core.log_id(), node, incarnation);
    }

    fn hear_master_of(&mut self, log_id: Option<LogId>, node: &str, incarnation: u64) {
        let epoch = Epoch {
            reign: 1,
            owner: name(node),
            start: 0,
            incarnation: Incarnation::from_random(incarnation),
        };
        let heartbeat = wire::Heartbeat {
            sender: Sender { log_id, ..self.sender(node, incarnation) },
            epoch,
            length: Order::ZERO,
            digest: Digest::EMPTY,
            admitted: vec![],
            http: None,
        };
        self.core.on_heartbeat(self.now, &heartbeat);
        self.settle();
    }
}

#[track_caller]
fn assert_waits(told: &Told, reason: Reason) {
    match told.core.not_leading() {
        Some(NotLeading::Recovering { waits_for, .. }) => assert_eq!(waits_for, WaitsFor::Change(reason)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_start_leads_beside_a_live_master() {
    let mut told = Told::recovering();
    for _ in 0..20 {
        told.hear_master("other", 5);
        told.pass(500);
    }
    assert!(told.core.epoch().is_none());
    assert_waits(&told, Reason::Rival("other".parse().unwrap()));
    told.pass(3_000);
    told.pass(1_200);
    assert!(told.core.epoch().is_some());
}

#[test]
fn a_start_waits_for_a_second_process_of_its_name_until_that_falls_silent() {
    let by_heartbeat = |told: &mut Told| told.hear_master("master", 5);
    let by_answer = |told: &mut Told| {
        let sender = told.sender("master", 5);
        let state = wire::State::of(sender, 0, None, &told.saved, &told.log, None, OUTLINE_MARKS);
        told.core.on_state(told.now, state, &told.log);
        told.settle();
    };
    let hear: [&dyn Fn(&mut Told); 2] = [&by_heartbeat, &by_answer];
    for hear in hear {
        let mut told = Told::leading().died(2);
        for _ in 0..8 {
            hear(&mut told);
            told.pass(500);
        }
        assert!(told.core.epoch().is_none(), "it leads beside the living one");
        assert_waits(&told, Reason::Double("master".parse().unwrap()));
        told.pass(2_500);
        assert!(told.core.epoch().is_some(), "{:?}", told.core.not_leading());
    }
}

#[test]
fn a_leading_master_tells_of_another_once_and_never_of_itself() {
    let mut told = Told::leading();
    told.hear_master("master", 1);
    assert_eq!(told.core.rival(told.now), None);
    told.hear_master("other", 5);
    told.hear_master("other", 5);
    assert_eq!(told.core.rival(told.now), Some(&name("other")));
    let told_of = told.sent.iter().filter(|effect| matches!(effect, Effect::Notice(Notice::Rival { .. })));
    assert_eq!(told_of.count(), 1);
}

#[test]
fn a_master_of_another_log_is_told_from_one_of_this_log_until_it_falls_silent() {
    let mut told = Told::leading();
    told.hear_master("s1", 5);
    assert!(told.core.rival(told.now).is_some() && !told.core.rival_log(told.now));
    told.hear_master_of(Some(LogId::from_random(9)), "other", 6);
    assert!(told.core.rival_log(told.now));
    told.hear_master("s1", 5);
    assert!(told.core.rival_log(told.now), "one does not hide the other");
    told.pass(3_000);
    assert!(!told.core.rival_log(told.now));
}

#[test]
fn an_append_that_is_held_is_refused_when_its_callers_time_is_over() {
    let mut told = Told::recovering();
    let deadline = Some(told.now.plus(Duration::from_millis(100)));
    let messages = vec![new_message("a", "x")];
    let wait = told.append_all(Append { messages, w: WriteConcern::ONE, expect_order: None, deadline });
    assert!(told.core.next_deadline() <= deadline);
    told.pass(100);
    assert!(matches!(
        told.outcome(wait),
        Some(WriteOutcome::Refused(Refusal::NotLeading(NotLeading::Recovering { .. })))
    ));
    told.pass(1_100);
    assert_eq!(told.log.tip().place.length, Order::ZERO, "it was refused, so it is not appended");
}

#[test]
fn what_no_longer_leads_has_nothing_due() {
    let mut told = Told::leading();
    told.join("s1", 11);
    let ack = told.genuine_ack("s1", 11, 0);
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    told.append("a", "x", 1);
    assert_eq!(told.pushes(0), [(0, 1)]);
    told.core.fenced(name("s2"));
    told.settle();
    told.pass(10_000);
    assert_eq!(told.core.next_deadline(), None);
}
