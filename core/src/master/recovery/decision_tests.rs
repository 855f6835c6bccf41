//! What a start does, situation by situation: the table of docs/RECOVERY.md, section 9.

use replog_shared::{
    BriefMark, Digest, Incarnation, Mark, MarkKind, Order, Outline, Place, PlacedMark, limits::OUTLINE_MARKS,
    wire::Sender,
};

use super::*;
use crate::master::reasons::{Dispute, Holding, Outcome};

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
    let sender = Sender {
        v: replog_shared::wire::VERSION,
        log_id,
        node: name(node),
        incarnation: Incarnation::from_random(5),
    };
    let mark = |epoch: &Epoch| Mark {
        epoch: epoch.clone(),
        kind: MarkKind::Start,
        reached: vec![],
        members: vec![],
        first: Order::ZERO,
    };
    let placed = |epoch: &Epoch| PlacedMark { mark: mark(epoch), at: Order::ZERO, digest: Digest::EMPTY };
    let marks: Vec<PlacedMark> = held.iter().map(|(epoch, _)| placed(epoch)).collect();
    let length = Order::new(held.as_ref().map_or(0, |(_, length)| *length));
    State {
        sender,
        request: 0,
        promised: None,
        fence: held.as_ref().map(|(epoch, _)| epoch.clone()),
        outline: Outline::of(&marks, Place::new(length, marks.len() as u32), OUTLINE_MARKS),
        digest: Digest::EMPTY,
        turn: None,
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
    listened: bool,
    double: bool,
    cleaning: Option<Epoch>,
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
        listened: true,
        double: false,
        cleaning: None,
    }
}

/// The decision in a log of the master, s1 and s2.
fn decide(case: Case) -> Decision {
    let others = case.others.into_iter().map(|state| (state.sender.node.clone(), state)).collect();
    let configured = [name("s1"), name("s2")];
    let (own, waits, terms, rival) = (&case.own, case.waits, case.terms, case.rival.as_ref());
    let (listened, double, cleaning) = (case.listened, case.double, case.cleaning.as_ref());
    let configured = &configured;
    Situation {
        own,
        others: &others,
        configured,
        waits,
        listened,
        terms,
        rival,
        double,
        cleaning,
        within_batch: false,
    }
    .decide()
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
fn why(decision: &Decision) -> Reason {
    match decision {
        Decision::Wait(reason) | Decision::GiveUp(reason) => reason.clone(),
        other => panic!("does not wait: {other:?}"),
    }
}

#[track_caller]
fn assert_waits(decision: &Decision, reason: &Reason) {
    assert_eq!(why(decision), *reason);
}

/// It takes a log over once these are there, too.
#[track_caller]
fn assert_lacks(decision: &Decision, nodes: &[&str]) {
    match why(decision) {
        Reason::Lack { missing, .. } => {
            assert_eq!(missing, nodes.iter().map(|node| name(node)).collect::<Vec<_>>());
        }
        other => panic!("{other:?}"),
    }
}

/// An operator must decide between the log of a node, as it is told, and the best one.
#[track_caller]
fn assert_disputed(decision: &Decision, is_meant: impl Fn(&Dispute) -> bool) {
    match why(decision) {
        Reason::Dispute(dispute) => assert!(is_meant(&dispute), "{dispute:?}"),
        other => panic!("{other:?}"),
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
fn the_next_start_is_above_any_that_it_has_promised_itself() {
    let own = State { fence: Some(epoch(OWN, 2, 7)), ..case().own };
    assert_eq!(decide(Case { own, ..case() }), Decision::Lead { reign: 2, start: 8 });
}

#[test]
fn an_epoch_of_its_own_that_it_does_not_know_tells_that_its_directory_is_an_old_copy() {
    let fenced = |epoch: Epoch| {
        let known =
            |node| State { fence: Some(epoch.clone()), ..state(node, Some((self::epoch(OWN, 2, 3), 9))) };
        vec![known("s1"), known("s2")]
    };
    let later_reign = fenced(epoch(OWN, 5, 0));
    assert_promotes(&decide(Case { others: later_reign.clone(), ..case() }), 6, 2, false);
    assert_promotes(&decide(Case { others: fenced(epoch(OWN, 2, 4)), ..case() }), 3, 2, false);
    assert_lacks(&decide(Case { others: later_reign[..1].to_vec(), ..case() }), &["s2"]);
}

/// An old copy of the master has led alone in epoch 2.4, which the lost log had too: `higher` says which of the
/// two processes ranks higher.
fn two_histories(higher: &str) -> Case {
    let process = |number| Epoch { incarnation: Incarnation::from_random(number), ..epoch(OWN, 2, 4) };
    let (copy, lost) = if higher == OWN { (process(9), process(1)) } else { (process(1), process(9)) };
    let held = Some((lost, 12));
    let others = vec![state("s1", held.clone()), state("s2", held)];
    Case { own: state(OWN, Some((copy, 10))), others, ..case() }
}

/// What a node tells that holds 9 entries of epoch 2.3 and then a mark without an entry.
fn with_mark(node: &str, owner: &str, start: u32, kind: MarkKind) -> State {
    let mut state = state(node, Some((epoch(owner, 2, 3), 9)));
    let epoch = epoch(owner, 2, start);
    state.turn = (kind != MarkKind::Start).then_some(epoch.clone());
    state.outline.marks.push(BriefMark { epoch: epoch.clone(), kind, at: Order::new(9) });
    state.fence = Some(epoch);
    state
}

#[test]
fn who_died_between_the_cut_of_a_mark_and_the_next_one_leads_on_although_others_hold_it() {
    let own = || State { fence: Some(epoch(OWN, 2, 5)), ..case().own };
    let others = |kind| vec![with_mark("s1", OWN, 4, kind)];
    let lead = Decision::Lead { reign: 2, start: 6 };
    assert_eq!(decide(Case { own: own(), others: others(MarkKind::Start), ..case() }), lead);
    let lost_a_clean = Case { own: own(), others: others(MarkKind::Clean), ..case() };
    assert_lacks(&decide(lost_a_clean), &["s2"]);
}

#[test]
fn a_promotion_chooses_over_marks_of_starts_and_halts_at_others() {
    let terms = StartTerms { promote: true, ..StartTerms::default() };
    let over = |kind| {
        let own = with_mark(OWN, "old", 5, MarkKind::Start);
        let others = vec![with_mark("s1", "old", 4, kind), state("s2", Some((epoch("old", 2, 3), 9)))];
        decide(Case { own, others, terms, ..case() })
    };
    assert_promotes(&over(MarkKind::Start), 3, 3, true);
    assert_disputed(&over(MarkKind::Clean), |dispute| matches!(dispute, Dispute::Unexplained { .. }));
    assert_disputed(&over(MarkKind::Promotion), |dispute| matches!(dispute, Dispute::Unexplained { .. }));
}

/// What a node tells of a log whose newest marks alone are told, of this reign of `owner`.
fn far_on(node: &str, owner: &str, reign: u32) -> State {
    let mut state = state(node, Some((epoch(owner, reign, 900), 9)));
    state.outline.marks_before = 500;
    state.outline.length = Order::new(900);
    state
}

#[test]
fn logs_that_are_too_far_apart_to_compare_are_the_operators_unless_a_turn_explains() {
    let terms = StartTerms { promote: true, ..StartTerms::default() };
    let behind = |node| state(node, Some((epoch("old", 2, 3), 9)));
    let over = |best: State| {
        let others = vec![best, behind("s2")];
        decide(Case { own: behind(OWN), others, terms, ..case() })
    };
    let unknown = over(far_on("s1", "old", 2));
    assert_disputed(&unknown, |dispute| matches!(dispute, Dispute::Unknown { .. }));
    assert!(matches!(unknown, Decision::GiveUp(_)), "nothing is changed: {unknown:?}");
    let turned = State { turn: Some(epoch("s1", 3, 0)), ..far_on("s1", "s1", 3) };
    assert_promotes(&over(turned), 4, 3, true);
    let turned_before = State { turn: Some(epoch("old", 2, 0)), ..far_on("s1", "old", 2) };
    assert_disputed(&over(turned_before), |dispute| matches!(dispute, Dispute::Unknown { .. }));
}

#[test]
fn two_histories_that_nothing_explains_are_the_operators_and_nobody_is_fenced() {
    assert_disputed(
        &decide(two_histories("s1")),
        |dispute| matches!(dispute, Dispute::Unexplained { node, .. } if *node == name(OWN)),
    );
    assert_disputed(
        &decide(two_histories(OWN)),
        |dispute| matches!(dispute, Dispute::Unexplained { best, .. } if *best == name(OWN)),
    );
    let terms = StartTerms { promote: true, ..StartTerms::default() };
    assert!(
        matches!(decide(Case { terms, ..two_histories(OWN) }), Decision::GiveUp(_)),
        "nothing is changed"
    );
}

#[test]
fn a_copy_that_is_given_up_neither_wins_nor_objects() {
    let terms = StartTerms { recover: true, ..StartTerms::default() };
    for higher in ["s1", OWN] {
        assert_promotes(&decide(Case { terms, ..two_histories(higher) }), 3, 2, false);
    }
}

#[test]
fn a_live_master_is_never_led_beside() {
    let mut other = state("s1", Some((epoch(OWN, 2, 3), 9)));
    other.hears = Some(name("s2"));
    assert_waits(
        &decide(Case { others: vec![other], ..case() }),
        &Reason::HeardByAnother { by: name("s1"), master: name("s2") },
    );
    assert_waits(&decide(Case { rival: Some(name("s2")), ..case() }), &Reason::Rival(name("s2")));
}

#[test]
fn its_own_predecessor_is_not_waited_for_unless_it_took_the_log_with_it() {
    let mut other = state("s1", Some((epoch(OWN, 2, 3), 9)));
    other.hears = Some(name(OWN));
    let heard = || Case { others: vec![other.clone()], ..case() };
    assert_eq!(decide(heard()), Decision::Lead { reign: 2, start: 4 });
    assert_waits(
        &decide(Case { own: state(OWN, None), ..heard() }),
        &Reason::HeardByAnother { by: name("s1"), master: name(OWN) },
    );
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
    assert_lacks(&decide(Case { own, ..case() }), &["s2"]);
}

#[test]
fn a_flag_for_one_start_is_refused_where_it_has_nothing_to_do() {
    let both = |length| {
        let held = Some((epoch(OWN, 2, 3), length));
        vec![state("s1", held.clone()), state("s2", held)]
    };
    let recover = StartTerms { recover: true, ..StartTerms::default() };
    assert_promotes(&decide(Case { others: both(10), terms: recover, ..case() }), 3, 2, false);
    let useless = decide(Case { others: both(9), terms: recover, ..case() });
    assert_eq!(useless, Decision::GiveUp(Reason::UselessFlag(UselessFlag::RecoverOfNoOldCopy)));
    let fewer = StartTerms { reach: Some(1), ..recover };
    let others = vec![state("s1", Some((epoch(OWN, 2, 3), 8)))];
    let useless = decide(Case { others, terms: fewer, ..case() });
    assert_eq!(useless, Decision::GiveUp(Reason::UselessFlag(UselessFlag::RecoverOfNoOldCopy)));
    assert_lacks(&decide(Case { terms: recover, ..case() }), &["s2"]);
    let empty = decide(Case { own: state(OWN, None), others: both(9), terms: recover, ..case() });
    assert_waits(&empty, &Reason::UselessFlag(UselessFlag::RecoverOfNothing));

    let reach = StartTerms { reach: Some(1), ..StartTerms::default() };
    let one = || vec![state("s1", Some((epoch(OWN, 2, 3), 9)))];
    let not_whole = State { whole: false, ..case().own };
    assert_promotes(&decide(Case { own: not_whole, others: one(), terms: reach, ..case() }), 3, 1, false);
    assert_promotes(
        &decide(Case { own: state(OWN, None), others: one(), terms: reach, ..case() }),
        3,
        1,
        false,
    );
    for own in [case().own, state(OWN, None)] {
        let others = one().into_iter().filter(|_| own.whole).collect();
        let useless = decide(Case { own, others, terms: reach, ..case() });
        assert_eq!(useless, Decision::GiveUp(Reason::UselessFlag(UselessFlag::Reach)));
    }
    assert_eq!(decide(Case { others: vec![], terms: recover, waits: true, ..case() }), Decision::Listen);
}

#[test]
fn a_clean_that_was_broken_off_is_finished_with_nobody_to_help() {
    let cleaning = Some(epoch(OWN, 2, 4));
    let uncut = || State { whole: false, fence: cleaning.clone(), ..case().own };
    let finish = Decision::FinishClean { reign: 2, start: 5 };
    let case_of = |own| Case { own, others: vec![], cleaning: cleaning.clone(), ..case() };
    assert_eq!(decide(case_of(uncut())), finish);
    let mut emptied = uncut();
    (emptied.outline.marks, emptied.outline.length) = (vec![], Order::ZERO);
    assert_eq!(decide(case_of(emptied)), finish);
    let mut cleaned = state(OWN, Some((epoch(OWN, 2, 4), 0)));
    cleaned.whole = false;
    assert_eq!(decide(case_of(cleaned)), Decision::Lead { reign: 2, start: 5 });
    let others = vec![state("s2", Some((epoch("s2", 3, 0), 9)))];
    assert_eq!(decide(Case { others, ..case_of(uncut()) }), Decision::Fenced(name("s2")));
    let known = State { fence: Some(epoch(OWN, 2, 9)), ..case().others[0].clone() };
    let old_copy = Case { others: vec![known], ..case_of(uncut()) };
    assert_lacks(&decide(old_copy), &["s2"]);
    let promised = State { fence: Some(epoch(OWN, 3, 0)), ..uncut() };
    assert_lacks(&decide(case_of(promised)), &["s1", "s2"]);
}

#[test]
fn another_process_of_its_name_is_no_predecessor_once_it_is_heard_itself() {
    assert_waits(&decide(Case { double: true, ..case() }), &Reason::Double(name(OWN)));
    let mut other = state("s1", Some((epoch(OWN, 2, 3), 9)));
    other.hears = Some(name(OWN));
    let others = vec![other, state("s2", Some((epoch(OWN, 2, 3), 9)))];
    let too_soon = Case { others: others.clone(), listened: false, ..case() };
    assert_eq!(
        decide(too_soon),
        Decision::Listen,
        "everybody has answered, but one that lives may not have yet"
    );
    assert_eq!(decide(Case { others, ..case() }), Decision::Lead { reign: 2, start: 4 });
    assert_eq!(decide(Case { listened: false, ..case() }), Decision::Lead { reign: 2, start: 4 });
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
    assert_lacks(&decide(Case { own: blank(), ..case() }), &["s2"]);
    let held = Some((epoch(OWN, 2, 3), 9));
    let others = vec![state("s1", held.clone()), state("s2", held)];
    assert_promotes(&decide(Case { own: blank(), others: others.clone(), ..case() }), 3, 2, false);
    let mut two_logs = others;
    two_logs[1].sender.log_id = Some(log(2));
    assert_waits(&decide(Case { own: blank(), others: two_logs, ..case() }), &Reason::DifferentLogs(2));
}

#[test]
fn a_promotion_takes_a_log_over_and_never_begins_one() {
    let blank = || state(OWN, None);
    let bare = || State { sender: state(OWN, None).sender, whole: true, ..blank() };
    let terms = StartTerms { promote: true, reach: Some(1), ..StartTerms::default() };
    for own in [blank(), State { sender: Sender { log_id: Some(log(1)), ..bare().sender }, ..bare() }] {
        for others in [vec![], vec![state("s1", None), state("s2", None)]] {
            let decided = decide(Case { own: own.clone(), others, terms, ..case() });
            assert!(matches!(decided, Decision::GiveUp(Reason::NoLog { .. })), "{decided:?}");
        }
    }
}

#[test]
fn a_log_that_was_begun_and_never_opened_is_begun_again_once_everybody_said_so() {
    let mut own = state(OWN, None);
    own.sender.log_id = Some(log(1));
    own.fence = Some(epoch(OWN, 1, 0));
    let blank = |node| state(node, None);
    assert_waits(
        &decide(Case { own: own.clone(), others: vec![blank("s1")], ..case() }),
        &Reason::HoldersAreSilent,
    );
    let others = vec![blank("s1"), blank("s2")];
    assert_eq!(decide(Case { own, others, ..case() }), Decision::Begin { reign: 2 });
}

/// Nothing of its log has left: it was whole when it began it, and a takeover or a clean would have cost it that.
#[test]
fn a_log_that_was_begun_by_a_whole_node_and_never_opened_is_begun_again_although_somebody_is_silent() {
    let mut own = state(OWN, None);
    (own.sender.log_id, own.fence, own.whole) = (Some(log(1)), Some(epoch(OWN, 1, 0)), true);
    let blank = |node| state(node, None);
    for others in [vec![], vec![blank("s1")], vec![blank("s1"), blank("s2")]] {
        let decided = decide(Case { own: own.clone(), others, ..case() });
        assert_eq!(decided, Decision::Begin { reign: 2 });
    }
}

#[test]
fn a_promotion_by_the_operator_reaches_as_many_whole_nodes_as_it_must_or_changes_nothing() {
    let own = || state(OWN, Some((epoch("old", 2, 3), 9)));
    let other = || state("s1", Some((epoch("old", 2, 3), 9)));
    let promote = |reach| StartTerms { promote: true, reach, ..StartTerms::default() };
    let case = |reach| Case { own: own(), others: vec![other()], terms: promote(reach), ..case() };
    let (whole, required) = (2, 3);
    assert_waits(&decide(case(None)), &Reason::TooFewReached { whole, required, missing: vec![name("s2")] });
    assert_promotes(&decide(case(Some(2))), 3, 2, true);
    let hears = State { hears: Some(name("old")), ..other() };
    assert_promotes(&decide(Case { others: vec![hears], ..case(Some(2)) }), 3, 2, true);
    let not_whole = State { whole: false, ..other() };
    let (whole, required, missing) = (1, 2, vec![name("s1"), name("s2")]);
    let refused = Reason::TooFewReached { whole, required, missing };
    assert_waits(&decide(Case { others: vec![not_whole], ..case(Some(2)) }), &refused);
}

#[test]
fn a_dry_run_tells_who_is_reached_what_is_kept_and_what_is_given_up() {
    let own = state(OWN, Some((epoch("old", 2, 3), 9)));
    let others = [state("s1", Some((epoch("old", 2, 3), 12)))];
    let others: BTreeMap<_, _> = others.into_iter().map(|state| (state.sender.node.clone(), state)).collect();
    let configured = [name("s1"), name("s2")];
    let terms = StartTerms { promote: true, dry_run: true, reach: Some(2), recover: false };
    let situation = Situation {
        own: &own,
        others: &others,
        configured: &configured,
        waits: false,
        listened: true,
        terms,
        rival: None,
        double: false,
        cleaning: None,
        within_batch: false,
    };
    let over = situation.report().over.unwrap();
    let held = |owner, entries| Holding::Log {
        epoch: Some(epoch(owner, 2, 3)),
        entries: Order::new(entries),
        whole: true,
    };
    let nodes = [(OWN, held("old", 9)), ("s1", held("old", 12)), ("s2", Holding::NoAnswer)];
    assert_eq!(over.nodes, nodes.map(|(node, holding)| (name(node), holding)));
    let Outcome::Promoted(promoted) = over.outcome else { panic!("{over:?}") };
    assert_eq!((promoted.reached, promoted.nodes, promoted.best), (2, 3, Some(name("s1"))));
    assert!(promoted.given_up.is_empty() && promoted.fences.is_none());
    let terms = StartTerms { reach: None, ..terms };
    let over = Situation { terms, ..situation }.report().over.unwrap();
    let refused = Reason::TooFewReached { whole: 2, required: 3, missing: vec![name("s2")] };
    assert_eq!(over.outcome, Outcome::NotNow(Some(refused)));
}

#[test]
fn a_follower_that_is_behind_others_still_counts_as_reached() {
    let own = state(OWN, Some((epoch("old", 2, 3), 9)));
    let ahead = state("s1", Some((epoch("old", 2, 3), 12)));
    let terms = StartTerms { promote: true, reach: Some(2), ..StartTerms::default() };
    assert_promotes(&decide(Case { own, others: vec![ahead], terms, ..case() }), 3, 2, true);
}
