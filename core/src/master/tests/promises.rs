//! What another master is told, and what ends a reign.

use super::*;

fn higher() -> Epoch {
    Epoch { reign: 9, owner: name("s2"), start: 0, incarnation: Incarnation::from_random(5) }
}

impl Told {
    fn promise(&mut self, epoch: &Epoch, forced: bool) -> wire::State {
        let sender = self.sender("s2", 5);
        let promise = wire::Promise { sender, request: 3, epoch: epoch.clone(), forced };
        self.core.on_promise(self.now, &promise, "inbox".into(), &self.log);
        self.settle();
        self.last_state()
    }

    fn last_state(&self) -> wire::State {
        let state = self.sent.iter().rev().find_map(|effect| match effect {
            Effect::State { state, .. } => Some((**state).clone()),
            _ => None,
        });
        state.expect("an answer")
    }

    pub(super) fn asked(&self) -> Vec<u64> {
        let request = |effect: &Effect| match effect {
            Effect::Ask(ask) => Some(ask.request),
            _ => None,
        };
        self.sent.iter().filter_map(request).collect()
    }

    fn reads(&self) -> usize {
        self.sent.iter().filter(|effect| matches!(effect, Effect::ReadAnswer(_))).count()
    }
}

#[test]
fn a_leading_master_promises_only_what_is_forced_and_then_leads_no_more() {
    let mut told = Told::leading();
    told.append("a", "x", 1);
    let waits = told.append("b", "x", 3);
    let unforced = told.promise(&higher(), false);
    assert_eq!((unforced.promised, unforced.hears), (None, Some(name("master"))));
    assert!(told.core.epoch().is_some());
    let state = told.promise(&higher(), true);
    assert_eq!((state.promised, state.outline.length), (Some(higher()), Order::new(2)));
    assert_eq!(told.saved.fence, Some(higher()), "it is saved before it is said");
    assert_eq!(told.core.not_leading(), Some(NotLeading::Fenced { by: name("s2") }));
    assert!(matches!(told.outcome(waits), Some(WriteOutcome::Interrupted { .. })));
    let older = Epoch { reign: 8, ..higher() };
    assert_eq!(told.promise(&older, true).promised, None, "nothing below a promise");
}

#[test]
fn a_master_promises_a_reign_to_one_node_only() {
    let mut told = Told::leading();
    assert_eq!(told.promise(&higher(), true).promised, Some(higher()));
    let rival = Epoch { owner: name("s3"), ..higher() };
    assert!(rival > higher());
    assert_eq!(told.promise(&rival, true).promised, None);
    assert_eq!(told.promise(&higher(), true).promised, Some(higher()), "a lost answer is given again");
}

#[test]
fn the_log_is_read_by_whom_it_was_promised() {
    let mut told = Told::leading();
    let read = |told: &Told, epoch: &Epoch| wire::Read {
        sender: told.sender("s2", 5),
        request: 4,
        epoch: epoch.clone(),
        from: Place::START,
    };
    let early = read(&told, &higher());
    told.core.on_read(early, "inbox".into());
    told.settle();
    assert_eq!(told.reads(), 0);
    told.promise(&higher(), true);
    let late = read(&told, &higher());
    told.core.on_read(late, "inbox".into());
    told.settle();
    assert_eq!(told.reads(), 1);
}

#[test]
fn a_higher_epoch_is_believed_only_in_answer_to_a_question() {
    let mut told = Told::leading();
    let before = told.asked().len();
    let stranger = Ack { fence: Some(higher()), ..told.genuine_ack("s1", 12, 0) };
    assert_eq!(told.ack(&stranger), AckOutcome::BeforeJoin);
    assert_eq!(told.ack(&stranger), AckOutcome::BeforeJoin);
    let asked = told.asked();
    assert_eq!(asked.len(), before + 1, "one question for many hints");
    let answer = |told: &Told, request| wire::State {
        sender: told.sender("s1", 12),
        request,
        promised: None,
        fence: Some(higher()),
        outline: Outline::default(),
        digest: Digest::EMPTY,
        turn: None,
        whole: true,
        hears: None,
    };
    let unasked = answer(&told, 12_345);
    told.core.on_state(told.now, unasked, &told.log);
    assert!(told.core.epoch().is_some());
    let genuine = answer(&told, asked[before]);
    told.core.on_state(told.now, genuine, &told.log);
    told.settle();
    assert_eq!(told.core.not_leading(), Some(NotLeading::Fenced { by: name("s2") }));
}

#[test]
fn a_join_from_above_the_own_epoch_changes_nothing() {
    let mut told = Told::leading();
    let join = wire::Join {
        sender: told.sender("s1", 11),
        request: 1,
        epoch: told.core.epoch().unwrap().clone(),
        outline: Outline::default(),
        fence: Some(higher()),
        whole: true,
    };
    told.core.on_join(told.now, &join, "inbox".into(), &told.log);
    told.settle();
    assert!(told.core.epoch().is_some());
    assert!(!told.sent.iter().any(|effect| matches!(effect, Effect::JoinAnswer { .. })));
}

#[test]
fn its_own_question_is_not_answered() {
    let mut told = Told::leading();
    let ask = wire::Ask::new(told.sender("master", 1), 7);
    told.core.on_ask(told.now, &ask, "inbox".into(), &told.log);
    told.settle();
    assert!(!told.sent.iter().any(|effect| matches!(effect, Effect::State { .. })));
    let other = wire::Ask::new(told.sender("other", 2), 7);
    told.core.on_ask(told.now, &other, "inbox".into(), &told.log);
    told.settle();
    assert_eq!(told.last_state().hears, Some(name("master")));
}
