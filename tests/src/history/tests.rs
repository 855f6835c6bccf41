use super::*;

const NODES: [&str; 3] = ["master", "s1", "s2"];

fn acknowledged(id: &str, w: usize, sent: u64, at: u64, order: u64) -> Operation {
    let nodes = NODES[..w].iter().map(ToString::to_string).collect();
    Operation { id: id.to_owned(), w, sent, outcome: Outcome::Acknowledged { at, order, nodes } }
}

fn unanswered(id: &str, outcome: Outcome) -> Operation {
    Operation { id: id.to_owned(), w: 3, sent: 5, outcome }
}

fn log(ids: &[&str]) -> Vec<Shown> {
    ids.iter().enumerate().map(|(order, id)| Shown { order: order as u64, id: (*id).to_owned() }).collect()
}

/// Four appends one after another, all of them on all nodes; one of unknown fate, one refused.
fn sound() -> History {
    let mut operations: Vec<Operation> = ["a", "b", "c", "d"]
        .iter()
        .zip(0..)
        .map(|(id, nth)| acknowledged(id, 1 + nth as usize % 3, 10 * nth, 10 * nth + 5, nth))
        .collect();
    operations.push(unanswered("unknown", Outcome::Unknown));
    operations.push(unanswered("refused", Outcome::Refused));
    let mut history = History { nodes: NODES.map(str::to_owned).into(), operations, ..History::default() };
    set_logs(&mut history, &["a", "b", "c", "d"]);
    history.reads.push(("s1".to_owned(), vec!["a".to_owned(), "b".to_owned()]));
    history
}

/// The same log on every node.
fn set_logs(history: &mut History, ids: &[&str]) {
    history.logs = NODES.iter().map(|node| ((*node).to_owned(), log(ids))).collect();
}

/// The only rule that `history` breaks.
#[track_caller]
fn only_violation(history: &History) -> Violation {
    let mut violations = history.violations();
    violations.dedup();
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations.remove(0)
}

#[test]
fn a_sound_history_breaks_no_rule() {
    assert_eq!(sound().violations(), []);
    assert_eq!(sound().check_validity(4), Ok(()));
}

#[test]
fn one_of_unknown_fate_may_be_there() {
    let mut history = sound();
    set_logs(&mut history, &["a", "b", "c", "d", "unknown"]);
    assert_eq!(history.violations(), []);
}

#[test]
fn lost_ones_are_found_and_told_apart() {
    for (lost, part) in [("a", Part::Prefix), ("d", Part::Postfix), ("c", Part::Middle)] {
        let mut history = sound();
        history.reads.clear();
        let kept: Vec<&str> = ["a", "b", "c", "d"].into_iter().filter(|id| *id != lost).collect();
        set_logs(&mut history, &kept);
        let expected = Violation::Lost { id: lost.to_owned(), part };
        assert!(history.violations().contains(&expected), "{:?}", history.violations());
    }
}

#[test]
fn a_duplicate_is_found() {
    let mut history = sound();
    set_logs(&mut history, &["a", "b", "c", "d", "d"]);
    let violations = history.violations();
    for node in NODES {
        let (node, id) = (node.to_owned(), "d".to_owned());
        assert!(violations.contains(&Violation::Duplicate { node, id }), "{violations:?}");
    }
}

#[test]
fn an_invented_one_is_found() {
    let mut history = sound();
    set_logs(&mut history, &["a", "b", "c", "d", "x"]);
    let expected = Violation::Invented { node: "master".to_owned(), id: "x".to_owned() };
    assert!(history.violations().contains(&expected));
}

#[test]
fn a_gap_is_found() {
    let mut history = sound();
    for log in history.logs.values_mut() {
        log[3].order = 4;
    }
    assert!(history.violations().contains(&Violation::Gap { node: "s2".to_owned(), at: 3 }));
}

#[test]
fn a_secondary_that_differs_is_found() {
    for ids in [&["a", "b", "c"][..], &["a", "b", "c", "unknown"]] {
        let mut history = sound();
        history.logs.insert("s2".to_owned(), log(ids));
        assert_eq!(only_violation(&history), Violation::Differs { node: "s2".to_owned(), at: 3 });
    }
}

#[test]
fn an_answer_with_another_order_is_found() {
    let mut history = sound();
    history.operations[3] = acknowledged("d", 1, 30, 35, 7);
    assert_eq!(only_violation(&history), Violation::WrongOrder { id: "d".to_owned() });
}

#[test]
fn real_time_order_is_checked() {
    let mut history = sound();
    // Acknowledged before `c`, which stands before it, was sent.
    history.operations[3] = acknowledged("d", 1, 0, 15, 3);
    let (first, second) = ("d".to_owned(), "c".to_owned());
    assert_eq!(only_violation(&history), Violation::Reordered { first, second });
}

#[test]
fn wrong_nodes_in_an_answer_are_found() {
    for nodes in [&["master"][..], &["master", "master"], &["master", "nobody"], &["s1", "s2"]] {
        let mut history = sound();
        let nodes = nodes.iter().map(ToString::to_string).collect();
        history.operations[1].outcome = Outcome::Acknowledged { at: 15, order: 1, nodes };
        assert_eq!(only_violation(&history), Violation::WrongNodes { id: "b".to_owned() });
    }
}

#[test]
fn a_refused_one_that_appears_is_found() {
    let mut history = sound();
    set_logs(&mut history, &["a", "b", "c", "d", "refused"]);
    assert_eq!(only_violation(&history), Violation::RefusedAppears { id: "refused".to_owned() });
}

#[test]
fn a_read_that_is_no_prefix_is_found() {
    let mut history = sound();
    history.reads.push(("s2".to_owned(), vec!["a".to_owned(), "c".to_owned()]));
    assert_eq!(only_violation(&history), Violation::NoPrefix { node: "s2".to_owned(), at: 1 });
}

#[test]
fn a_run_in_which_too_little_happened_does_not_count() {
    assert!(sound().check_validity(5).is_err());
    let mut history = sound();
    history.operations.retain(|operation| operation.w != 2);
    assert!(history.check_validity(1).is_err());
}

#[test]
fn who_led_before_may_have_answered() {
    let mut history = sound();
    history.nodes.swap(0, 1);
    let violations = ["a", "d"].map(|id| Violation::WrongNodes { id: id.to_owned() });
    assert_eq!(history.violations(), violations);
    history.led_before.push("master".to_owned());
    assert_eq!(history.violations(), []);
}

#[test]
fn what_is_not_promised_may_be_lost() {
    let mut history = sound();
    history.reads.clear();
    set_logs(&mut history, &["a", "b", "c"]);
    let lost = Violation::Lost { id: "d".to_owned(), part: Part::Postfix };
    assert_eq!(only_violation(&history), lost);
    history.promise_only_from(2);
    assert_eq!(history.violations(), []);
}
