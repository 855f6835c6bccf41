//! Secondaries that are older than their master.

use super::*;

fn outdated(told: &Told) -> Vec<(String, u8)> {
    let noted = |effect: &Effect| match effect {
        Effect::Notice(Notice::Outdated { node, version }) => Some((node.to_string(), *version)),
        _ => None,
    };
    told.sent.iter().filter_map(noted).collect()
}

#[test]
fn a_secondary_of_version_1_is_refused_and_named() {
    let mut told = Told::leading();
    told.append("a", "x", 1);
    let old = |told: &Told| Sender { v: 1, ..told.sender("s1", 11) };
    let join = wire::Join {
        sender: old(&told),
        request: 1,
        epoch: told.core.epoch().unwrap().clone(),
        outline: Outline::default(),
        fence: None,
        whole: false,
    };
    told.core.on_join(told.now, &join, "inbox".into(), &told.log);
    told.settle();
    assert!(!told.sent.iter().any(|effect| matches!(effect, Effect::JoinAnswer { .. })));
    assert_eq!(outdated(&told), [("s1".to_owned(), 1)], "once");
    assert!(told.core.outdated_nodes() == ["s1".parse().unwrap()]);
    assert_eq!(told.join("s1", 12), Verdict::Admitted, "it was upgraded");
    assert!(told.core.outdated_nodes().is_empty());
}

#[test]
fn an_ack_to_the_master_before_is_no_word_of_an_older_node() {
    let mut told = Told::leading();
    told.append("a", "x", 1);
    let ack = told.genuine_ack("s1", 11, 1);
    let ack = Ack { sender: Sender { v: 1, ..told.sender("s1", 11) }, ..ack };
    assert_eq!(told.ack(&ack), AckOutcome::BeforeJoin);
    assert_eq!((outdated(&told), told.core.outdated_nodes()), (vec![], vec![]));
}

#[test]
fn a_node_that_has_not_joined_is_asked_in_the_oldest_version_and_named_by_its_answer() {
    let mut told = Told::leading();
    told.sent.clear();
    (0..20).for_each(|_| told.pass(250));
    let asks: Vec<wire::Ask> = told
        .sent
        .iter()
        .filter_map(|effect| if let Effect::Ask(ask) = effect { Some(ask.clone()) } else { None })
        .collect();
    assert!((1..=3).contains(&asks.len()), "now and then: {}", asks.len());
    assert_eq!((asks[0].sender.v, asks[0].reads), (1, Some(VERSION)));
    let sender = Sender { v: 1, ..told.sender("s2", 5) };
    let state = wire::State::of(sender, asks[0].request, None, &Identity::default(), &told.log, None, 1);
    told.core.on_state(told.now, state, &told.log);
    told.settle();
    assert_eq!(outdated(&told), [("s2".to_owned(), 1)]);
}

#[test]
fn a_node_that_had_joined_and_fell_silent_is_asked_too() {
    let mut told = Told::leading();
    for (node, incarnation) in [("s1", 11), ("s2", 12)] {
        assert_eq!(told.join(node, incarnation), Verdict::Admitted);
    }
    let asks = |told: &Told| told.sent.iter().filter(|effect| matches!(effect, Effect::Ask(_))).count();
    (0..10).for_each(|_| told.pass(250));
    let before = asks(&told);
    (0..10).for_each(|_| told.pass(250));
    assert!(asks(&told) > before, "nobody was heard for 12 heartbeats");
}

#[test]
fn a_start_does_not_take_a_node_of_version_1_for_one_that_answered_and_says_whom_to_upgrade() {
    let mut told = Told::recovering();
    told.pass(1);
    let asked = told
        .sent
        .iter()
        .find_map(|effect| if let Effect::Ask(ask) = effect { Some(ask.request) } else { None });
    for node in ["s1", "s2"] {
        let sender = Sender { v: 1, ..told.sender(node, 5) };
        let state = wire::State::of(sender, asked.unwrap(), None, &Identity::default(), &told.log, None, 1);
        told.core.on_state(told.now, state, &told.log);
        told.settle();
    }
    match told.core.not_leading() {
        Some(NotLeading::Recovering { outdated, .. }) => {
            assert_eq!(outdated, ["s1", "s2"].map(|node| node.parse().unwrap()));
        }
        other => panic!("{other:?}"),
    }
}
