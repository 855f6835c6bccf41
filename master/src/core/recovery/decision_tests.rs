//! What a start does, situation by situation: the table of recovery.md, part 4.

use replog_shared::{Digest, Incarnation, Mark, MarkKind, Order, PlacedMark, wire::Sender};

use super::*;

const OWN: &str = "master";

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn epoch(owner: &str, reign: u32, start: u32) -> Epoch {
    Epoch { reign, owner: name(owner), start, incarnation: Incarnation::from_random(3) }
}

fn log(number: u128) -> LogId {
    LogId::from_random(number)
}

/// What a node tells that holds `length` entries of log 1 under this epoch; with length and epoch absent: blank.
fn state(node: &str, held: Option<(Epoch, u64)>) -> State {
    let log_id = held.as_ref().map(|_| log(1));
    let sender = Sender { v: 1, log_id, node: name(node), incarnation: Incarnation::from_random(5) };
    let mark = |epoch: &Epoch| Mark {
        epoch: epoch.clone(),
        kind: MarkKind::Start,
        reached: vec![],
        members: vec![],
    };
    let placed = |epoch: &Epoch| PlacedMark { mark: mark(epoch), at: Order::ZERO, digest: Digest::EMPTY };
    State {
        sender,
        request: 0,
        promised: None,
        fence: held.as_ref().map(|(epoch, _)| epoch.clone()),
        marks: held.iter().map(|(epoch, _)| placed(epoch)).collect(),
        length: Order::new(held.as_ref().map_or(0, |(_, length)| *length)),
        digest: Digest::EMPTY,
        whole: held.is_some(),
        hears: None,
    }
}

struct Case {
    own: State,
    others: Vec<State>,
    waits: bool,
    terms: StartTerms,
    rival: Option<NodeName>,
}

/// A whole master of reign 2 with 9 entries, and a secondary that holds the same.
fn case() -> Case {
    let held = Some((epoch(OWN, 2, 3), 9));
    Case {
        own: state(OWN, held.clone()),
        others: vec![state("s1", held)],
        waits: false,
        terms: StartTerms::default(),
        rival: None,
    }
}

/// The decision in a log of the master, s1 and s2.
fn decide(case: Case) -> Decision {
    let others = case.others.into_iter().map(|state| (state.sender.node.clone(), state)).collect();
    let configured = [name("s1"), name("s2")];
    let (own, waits, terms, rival) = (&case.own, case.waits, case.terms, case.rival.as_ref());
    Situation { own, others: &others, configured: &configured, waits, terms, rival }.decide()
}

#[track_caller]
fn assert_promotes(decision: &Decision, reign: u32, required: usize, counts_itself: bool) {
    match decision {
        Decision::Promote { reign: found, required: needs, counts_itself: counts, log_id, .. } => {
            assert_eq!((*found, *needs, *counts, *log_id), (reign, required, counts_itself, log(1)));
        }
        other => panic!("not promoted: {other:?}"),
    }
}

#[track_caller]
fn assert_waits(decision: &Decision, words: &str) {
    match decision {
        Decision::Wait(reason) | Decision::GiveUp(reason) => {
            assert!(reason.contains(words), "{reason}");
        }
        other => panic!("does not wait: {other:?}"),
    }
}

#[test]
fn silent_nodes_are_waited_for_and_then_it_leads_on_alone() {
    assert_eq!(decide(Case { waits: true, ..case() }), Decision::Listen);
    let lead = Decision::Lead { reign: 2, start: 4 };
    assert_eq!(decide(case()), lead);
    assert_eq!(decide(Case { others: vec![], ..case() }), lead);
}

#[test]
fn the_next_start_is_above_any_that_was_promised() {
    let mut other = state("s1", Some((epoch(OWN, 2, 3), 9)));
    other.fence = Some(epoch(OWN, 2, 7));
    assert_eq!(decide(Case { others: vec![other], ..case() }), Decision::Lead { reign: 2, start: 8 });
}

#[test]
fn a_live_master_is_never_led_beside() {
    let mut other = state("s1", Some((epoch(OWN, 2, 3), 9)));
    other.hears = Some(name("s2"));
    assert_waits(&decide(Case { others: vec![other], ..case() }), "s1 hears a live master, s2");
    assert_waits(&decide(Case { rival: Some(name("s2")), ..case() }), "another master, s2, is alive");
}

#[test]
fn its_own_predecessor_is_not_waited_for_unless_it_took_the_log_with_it() {
    let mut other = state("s1", Some((epoch(OWN, 2, 3), 9)));
    other.hears = Some(name(OWN));
    let heard = || Case { others: vec![other.clone()], ..case() };
    assert_eq!(decide(heard()), Decision::Lead { reign: 2, start: 4 });
    assert_waits(&decide(Case { own: state(OWN, None), ..heard() }), "s1 hears a live master, master");
}

#[test]
fn another_nodes_reign_fences() {
    let mut promised = state("s1", Some((epoch(OWN, 2, 3), 9)));
    promised.fence = Some(epoch("s2", 3, 0));
    assert_eq!(decide(Case { others: vec![promised.clone()], ..case() }), Decision::Fenced(name("s2")));
    let follows = State { hears: Some(name("s2")), ..promised };
    assert_eq!(decide(Case { others: vec![follows], ..case() }), Decision::Fenced(name("s2")));
    let mut own = case().own;
    own.fence = Some(epoch("s1", 3, 0));
    assert_eq!(decide(Case { own, others: vec![], ..case() }), Decision::Fenced(name("s1")));
    let follower = state(OWN, Some((epoch("s1", 2, 0), 9)));
    assert_eq!(decide(Case { own: follower, others: vec![], ..case() }), Decision::Fenced(name("s1")));
}

#[test]
fn who_lost_entries_or_may_have_promotes_itself_over_all_the_others() {
    let both = |length| {
        let held = Some((epoch(OWN, 2, 3), length));
        vec![state("s1", held.clone()), state("s2", held)]
    };
    assert_promotes(&decide(Case { others: both(10), ..case() }), 3, 2, false);
    let own = State { whole: false, ..case().own };
    assert_promotes(&decide(Case { own: own.clone(), others: both(9), ..case() }), 3, 2, false);
    assert_waits(&decide(Case { own, ..case() }), "waiting for s2");
    let recover = StartTerms { recover: true, ..StartTerms::default() };
    assert_promotes(&decide(Case { others: both(9), terms: recover, ..case() }), 3, 2, false);
}

#[test]
fn a_promotion_that_did_not_come_to_its_end_is_run_again_higher() {
    let own = State { fence: Some(epoch(OWN, 4, 0)), ..case().own };
    let held = Some((epoch(OWN, 2, 3), 9));
    let others = vec![state("s1", held.clone()), state("s2", held)];
    assert_promotes(&decide(Case { own, others, ..case() }), 5, 2, true);
}

#[test]
fn a_blank_node_begins_a_log_only_if_nobody_who_answers_holds_one() {
    let blank = || state(OWN, None);
    let begin = Decision::Begin { reign: 1 };
    assert_eq!(decide(Case { own: blank(), others: vec![], ..case() }), begin);
    assert_eq!(decide(Case { own: blank(), others: vec![state("s1", None)], ..case() }), begin);
    assert_waits(&decide(Case { own: blank(), ..case() }), "waiting for s2");
    let held = Some((epoch(OWN, 2, 3), 9));
    let others = vec![state("s1", held.clone()), state("s2", held)];
    assert_promotes(&decide(Case { own: blank(), others: others.clone(), ..case() }), 3, 2, false);
    let mut two_logs = others;
    two_logs[1].sender.log_id = Some(log(2));
    assert_waits(&decide(Case { own: blank(), others: two_logs, ..case() }), "2 different logs");
}

#[test]
fn a_log_that_was_begun_and_never_opened_is_begun_again_once_everybody_said_so() {
    let mut own = state(OWN, None);
    own.sender.log_id = Some(log(1));
    own.fence = Some(epoch(OWN, 1, 0));
    let blank = |node| state(node, None);
    assert_waits(&decide(Case { own: own.clone(), others: vec![blank("s1")], ..case() }), "are silent");
    let others = vec![blank("s1"), blank("s2")];
    assert_eq!(decide(Case { own, others, ..case() }), Decision::Begin { reign: 2 });
}

#[test]
fn a_promotion_by_the_operator_reaches_as_many_whole_nodes_as_it_must_or_changes_nothing() {
    let own = || state(OWN, Some((epoch("old", 2, 3), 9)));
    let other = || state("s1", Some((epoch("old", 2, 3), 9)));
    let promote = |reach| StartTerms { promote: true, reach, recover: false };
    let case = |reach| Case { own: own(), others: vec![other()], terms: promote(reach), ..case() };
    assert_waits(&decide(case(None)), "reaches 2 whole nodes of the 3");
    assert_promotes(&decide(case(Some(2))), 3, 2, true);
    let hears = State { hears: Some(name("old")), ..other() };
    assert_promotes(&decide(Case { others: vec![hears], ..case(Some(2)) }), 3, 2, true);
    let not_whole = State { whole: false, ..other() };
    assert_waits(&decide(Case { others: vec![not_whole], ..case(Some(2)) }), "not reached: s1, s2");
}
