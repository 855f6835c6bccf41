use replog_shared::limits::{ANSWER_TIMEOUT, RETRY_MAX};

use super::*;

/// A master that lost what came after `kept` entries, and opened another epoch there.
fn master_without_the_tail(held: u64, kept: u64, opened: Epoch, kind: MarkKind) -> (Master, Master) {
    let before = Master::with(held);
    let mut after = Master::with(kept);
    after.open(opened, kind);
    (before, after)
}

#[test]
fn a_blank_node_adopts_the_log() {
    let master = Master::with(4);
    let mut secondary = Secondary::new();
    assert_eq!(secondary.status().log_id, None);
    secondary.catch_up(&master);
    let status = secondary.status();
    assert_eq!((status.log_id, status.fence), (Some(master.log_id), Some(epoch(1, 0))));
    assert_eq!(
        (status.hears.unwrap().as_str(), status.master_http.as_deref()),
        ("master", Some("http://master"))
    );
}

#[test]
fn a_join_is_asked_again_until_it_is_answered() {
    let master = Master::with(4);
    let mut secondary = Secondary::new();
    secondary.hear(&master.heartbeat());
    let first = secondary.joins().pop().unwrap();
    for _ in 0..20 {
        secondary.pass(ANSWER_TIMEOUT + RETRY_MAX);
        assert!(!secondary.joins().is_empty());
    }
    let stale = master.answer(&first);
    secondary.event(|core, now, log| core.on_join_answer(now, stale, log));
    assert_eq!(secondary.status().state, SecondaryState::Joining, "only the outstanding request counts");
}

#[test]
fn a_name_in_use_is_told_and_tried_again() {
    let master = Master::with(1);
    let mut secondary = Secondary::new();
    secondary.hear(&master.heartbeat());
    let mut answer = master.answer(&secondary.joins().pop().unwrap());
    answer.verdict = Verdict::NameInUse;
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    assert!(
        secondary
            .notices()
            .contains(&Notice::JoinRefused { verdict: Verdict::NameInUse, secondaries: Vec::new() })
    );
    secondary.pass(ANSWER_TIMEOUT + RETRY_MAX);
    assert!(!secondary.joins().is_empty());
}

#[test]
fn who_is_not_admitted_any_more_joins_again() {
    let mut master = Master::with(1);
    let mut secondary = Secondary::caught_up_with(&master);
    master.admitted = false;
    secondary.hear(&master.heartbeat());
    assert!(secondary.joins().is_empty(), "that heartbeat may be older than the admission");
    secondary.pass(HEARTBEAT_INTERVAL);
    secondary.hear(&master.heartbeat());
    assert_eq!(secondary.joins().len(), 1);
    assert_eq!(secondary.status().state, SecondaryState::Joining);
}

#[test]
fn a_promotion_explains_a_cut() {
    let (before, mut after) = master_without_the_tail(9, 5, epoch(2, 0), MarkKind::Promotion);
    let mut secondary = Secondary::caught_up_with(&before);
    after.append_as(2, "other");
    secondary.join(&after);
    assert_eq!(secondary.length(), 5);
    assert_eq!(secondary.status().counters.cut, 4);
    assert_eq!(secondary.cuts, [Cut::Quarantine], "it may be missed");
    secondary.serve_fetches(&after);
    secondary.assert_equals(&after);
}

#[test]
fn a_clean_empties_the_log() {
    let before = Master::with(9);
    let mut after = Master::with(0);
    after.store = MemoryStore::without_ids();
    after.open(epoch(1, 1), MarkKind::Clean);
    let mut secondary = Secondary::caught_up_with(&before);
    secondary.join(&after);
    assert_eq!(secondary.cuts, [Cut::Drop], "what a clean gives up was wanted to go");
    secondary.serve_fetches(&after);
    assert_eq!(secondary.length(), 0);
    secondary.assert_equals(&after);
}

#[test]
fn what_a_clean_explains_is_dropped_although_a_promotion_came_after_it() {
    let before = Master::with(9);
    let mut after = Master::with(0);
    after.store = MemoryStore::without_ids();
    after.open(epoch(1, 1), MarkKind::Clean);
    after.open(epoch(2, 0), MarkKind::Promotion);
    let mut secondary = Secondary::caught_up_with(&before);
    secondary.join(&after);
    assert_eq!(secondary.cuts, [Cut::Drop]);
    let mut unheard = Master::with(0);
    unheard.store = MemoryStore::without_ids();
    unheard.open(epoch(1, 1), MarkKind::Clean);
    unheard.append(3);
    let mut secondary = Secondary::caught_up_with(&unheard);
    after.epoch = epoch(2, 0);
    secondary.join(&after);
    assert_eq!(secondary.cuts, [Cut::Quarantine], "nobody wanted these to go");
}

#[test]
fn an_unexplained_suffix_is_kept_as_diverged() {
    let (before, after) = master_without_the_tail(9, 5, epoch(1, 1), MarkKind::Start);
    let mut secondary = Secondary::caught_up_with(&before);
    secondary.join(&after);
    secondary.end_burst();
    secondary.assert_equals(&before);
    let status = secondary.status();
    assert_eq!(status.state, SecondaryState::Diverged);
    let orders = status.diverged.unwrap();
    assert_eq!((orders.from, orders.to), (order(5), order(9)));
    assert_eq!(secondary.acks().pop().unwrap().state, SecondaryState::Diverged);
    secondary.pass(ANSWER_TIMEOUT + RETRY_MAX);
    assert!(!secondary.joins().is_empty(), "it tries again");
    secondary.receive(after.entries(0, 5, None));
    secondary.assert_equals(&before);
}

#[test]
fn marks_of_starts_without_an_entry_are_given_up_and_other_marks_are_not() {
    for (kind, state) in [
        (MarkKind::Start, SecondaryState::Syncing),
        (MarkKind::Promotion, SecondaryState::Diverged),
        (MarkKind::Clean, SecondaryState::Diverged),
    ] {
        let (mut before, mut after) = (Master::with(4), Master::with(4));
        before.open(epoch(1, 1), kind);
        let mut secondary = Secondary::caught_up_with(&before);
        after.open(epoch(1, 2), MarkKind::Start);
        secondary.join(&after);
        assert_eq!(secondary.status().state, state, "{kind:?}");
        let told_of_a_cut = |notice: &Notice| matches!(notice, Notice::Cut { .. });
        assert!(!secondary.notices().iter().any(told_of_a_cut), "nothing is lost");
        if kind == MarkKind::Start {
            secondary.serve_fetches(&after);
            secondary.assert_equals(&after);
        }
    }
}

/// Two logs that have so many epochs in common, each with an entry, and then so many of their own.
fn branches(common: u32, own: u32) -> (Master, Master) {
    let branch = |reign, kind| {
        let mut master = Master::with(1);
        for start in 1..common {
            master.open(epoch(1, start), MarkKind::Start);
            master.append(1);
        }
        for start in 0..own {
            master.open(epoch(reign, common + start), if start == 0 { kind } else { MarkKind::Start });
            master.append_as(1, &format!("{reign}-"));
        }
        master
    };
    (branch(1, MarkKind::Start), branch(2, MarkKind::Promotion))
}

#[test]
fn a_master_that_knows_none_of_the_marks_is_told_of_older_ones() {
    let (before, after) = branches(5, 7);
    let mut secondary = Secondary::caught_up_with(&before);
    secondary.core.settings.outline_marks = 3;
    secondary.hear(&after.heartbeat());
    let mut told = Vec::new();
    while let Some(join) = secondary.joins().pop() {
        told.push((join.outline.marks_before, join.outline.marks.len(), join.outline.length.get()));
        let answer = after.answer(&join);
        secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    }
    assert_eq!(told, [(9, 3, 12), (6, 3, 9), (3, 3, 6)], "as if the log ended there");
    assert_eq!(secondary.length(), 5);
    secondary.serve_fetches(&after);
    secondary.assert_equals(&after);
}

#[test]
fn who_told_of_all_marks_and_is_asked_for_older_ones_waits_before_it_asks_again() {
    let (before, after) = branches(1, 1);
    let mut secondary = Secondary::caught_up_with(&before);
    secondary.hear(&after.heartbeat());
    let join = secondary.joins().pop().unwrap();
    let answer = wire::JoinAnswer { verdict: Verdict::OlderMarks, ..after.answer(&join) };
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    assert!(secondary.joins().is_empty());
    secondary.pass(ANSWER_TIMEOUT + RETRY_MAX);
    assert!(!secondary.joins().is_empty());
}

#[test]
fn a_fork_that_the_log_does_not_reach_is_asked_for_again_and_nothing_is_cut() {
    let (before, after) = branches(2, 2);
    let mut secondary = Secondary::caught_up_with(&before);
    secondary.hear(&after.heartbeat());
    let join = secondary.joins().pop().unwrap();
    let answer = wire::JoinAnswer { fork: Place::new(order(40), 40), ..after.answer(&join) };
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    secondary.assert_equals(&before);
    assert_eq!(secondary.status().counters.damaged, 0);
    secondary.pass(ANSWER_TIMEOUT + RETRY_MAX);
    assert!(!secondary.joins().is_empty());
}

#[test]
fn an_answer_holds_although_the_log_went_on_behind_the_fork_since() {
    let (mut before, after) = branches(2, 1);
    let mut secondary = Secondary::caught_up_with(&before);
    secondary.hear(&after.heartbeat());
    let answer = after.answer(&secondary.joins().pop().unwrap());
    before.append(1);
    secondary.receive(before.entries(3, 4, None));
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    assert_eq!((secondary.length(), secondary.status().counters.cut), (2, 2));
}

#[test]
fn a_difference_before_the_fork_is_damage_and_all_is_fetched_anew() {
    let mut before = Master::with(0);
    before.append_as(3, "this");
    let mut after = Master::with(0);
    after.append_as(3, "that");
    let mut secondary = Secondary::caught_up_with(&before);
    secondary.core.state = State::Waiting;
    secondary.join(&after);
    assert!(secondary.notices().iter().any(|notice| matches!(notice, Notice::Damaged { .. })));
    assert!(!secondary.status().whole, "it has lost what it held");
    secondary.serve_fetches(&after);
    secondary.assert_equals(&after);
    assert!(secondary.status().whole);
}

#[test]
fn a_heartbeat_with_another_digest_at_the_same_length_is_looked_into() {
    let mut master = Master::with(0);
    master.append_as(3, "this");
    let mut secondary = Secondary::caught_up_with(&master);
    let mut other = Master::with(0);
    other.append_as(3, "that");
    secondary.hear(&master.heartbeat());
    secondary.pass(RETRY_MAX);
    assert!(secondary.joins().is_empty());
    secondary.hear(&other.heartbeat());
    secondary.pass(RETRY_MAX);
    let join = secondary.joins().pop().expect("it joins anew");
    let answer = other.answer(&join);
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    secondary.serve_fetches(&other);
    secondary.assert_equals(&other);
}

#[test]
fn a_heartbeat_of_a_higher_epoch_proves_nothing_and_the_session_goes_on() {
    let mut master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    let mut boaster = Master::with(0);
    boaster.epoch = epoch(9, 0);
    secondary.hear(&boaster.heartbeat());
    assert_eq!(secondary.joins().pop().unwrap().epoch, epoch(9, 0), "it is asked");
    master.append(2);
    secondary.receive(master.entries(3, 5, None));
    secondary.end_burst();
    secondary.assert_equals(&master);
    assert_eq!(secondary.acks().pop().unwrap().through, order(5), "and meanwhile acks count");
    for _ in 0..40 {
        secondary.hear(&master.heartbeat());
        secondary.pass(HEARTBEAT_INTERVAL);
    }
    assert!(secondary.core.state.attempt().is_none(), "who falls silent is forgotten");
    let nobody = wire::Heartbeat {
        sender: wire::Sender { log_id: None, ..boaster.sender("master") },
        ..boaster.heartbeat()
    };
    secondary.joins();
    secondary.hear(&nobody);
    assert!(secondary.joins().is_empty(), "a master has a log");
}

#[test]
fn an_answer_about_the_log_as_it_was_is_asked_for_again() {
    let mut master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    let mut next = Master::with(3);
    next.append(2);
    next.open(epoch(2, 0), MarkKind::Promotion);
    secondary.hear(&next.heartbeat());
    let join = secondary.joins().pop().unwrap();
    let answer = next.answer(&join);
    master.append(1);
    secondary.receive(master.entries(3, 4, None));
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    assert_eq!(secondary.status().counters.damaged, 0);
    secondary.pass(ANSWER_TIMEOUT);
    let join = secondary.joins().pop().expect("it asks again");
    assert_eq!(join.outline.length, order(4));
    let answer = next.answer(&join);
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    secondary.serve_fetches(&next);
    secondary.assert_equals(&next);
}

#[test]
fn a_foreign_log_is_refused_and_the_own_one_kept() {
    let own = Master::with(3);
    let mut other = Master::with(7);
    other.log_id = LogId::from_random(2);
    let mut secondary = Secondary::caught_up_with(&own);
    secondary.hear(&other.heartbeat());
    assert_eq!(secondary.status().state, SecondaryState::Streaming, "the own master lives");
    secondary.pass(HEARTBEAT_INTERVAL * UNHEALTHY_AFTER_INTERVALS);
    secondary.hear(&other.heartbeat());
    let join = secondary.joins().pop().unwrap();
    assert_eq!(join.sender.log_id, Some(own.log_id));
    // Even if that master would admit it.
    let answer = other.answer(&join);
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    secondary.assert_equals(&own);
    let status = secondary.status();
    assert_eq!((status.state, status.foreign), (SecondaryState::Foreign, Some(other.log_id)));
    // The own master comes back.
    secondary.join(&own);
    assert_eq!(secondary.status().state, SecondaryState::Streaming);
}

#[test]
fn an_older_epoch_is_answered_with_the_fence() {
    let mut master = Master::with(3);
    let old = master.heartbeat();
    master.open(epoch(1, 1), MarkKind::Start);
    let mut secondary = Secondary::caught_up_with(&master);
    secondary.hear(&old);
    assert_eq!(secondary.acks().pop().unwrap().fence, Some(epoch(1, 1)));
    assert!(secondary.joins().is_empty());
}

#[test]
fn a_higher_epoch_is_joined() {
    let mut master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    master.open(epoch(2, 0), MarkKind::Promotion);
    master.append(2);
    secondary.catch_up(&master);
    assert_eq!(secondary.status().epoch, Some(epoch(2, 0)));
}

#[test]
fn a_silent_master_is_not_heard_and_the_session_stays() {
    let master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    secondary.pass(HEARTBEAT_INTERVAL * UNHEALTHY_AFTER_INTERVALS);
    let status = secondary.status();
    assert_eq!((status.hears, status.state), (None, SecondaryState::Streaming));
}

#[test]
fn a_node_whose_name_the_master_does_not_have_says_which_names_it_has() {
    let master = Master::with(1);
    let mut secondary = Secondary::new();
    secondary.hear(&master.heartbeat());
    let join = secondary.joins().pop().unwrap();
    let secondaries = vec!["secondary1".parse().unwrap(), "secondary2".parse().unwrap()];
    let answer = wire::JoinAnswer {
        verdict: Verdict::Unknown,
        secondaries: secondaries.clone(),
        ..master.answer(&join)
    };
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    let told = Notice::JoinRefused { verdict: Verdict::Unknown, secondaries: secondaries.clone() };
    assert_eq!(secondary.notices().iter().filter(|notice| **notice == told).count(), 1);
    let status = secondary.status();
    assert_eq!((status.join_refused, status.master_secondaries), (Some(Verdict::Unknown), secondaries));
}
