use replog_shared::limits::{ANSWER_TIMEOUT, FETCH_WINDOW_RANGES, REORDER_BUFFER_BYTES, RETRY_MAX};

use super::*;

#[test]
fn a_gap_hides_what_is_behind_it() {
    let mut master = Master::with(1);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(3);
    secondary.receive(master.entries(1, 2, None));
    secondary.receive(master.entries(3, 4, None));
    secondary.end_burst();
    assert_eq!(secondary.length(), 2, "message 4 is there but message 3 is not");
    assert_eq!(secondary.acks().last().unwrap().through, order(2));
    let fetches = secondary.fetches();
    assert_eq!((fetches[0].from, fetches[0].to, fetches.len()), (order(2), order(3), 1));
    secondary.receive(master.entries(2, 3, None));
    secondary.end_burst();
    assert_eq!(secondary.length(), 4);
    secondary.assert_equals(&master);
    assert_eq!(secondary.acks().last().unwrap().through, order(4));
}

#[test]
fn a_duplicate_changes_nothing_and_is_acked_again() {
    let mut master = Master::with(1);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(2);
    for _ in 0..3 {
        secondary.receive(master.entries(1, 3, None));
        secondary.end_burst();
    }
    secondary.receive(master.entries(0, 3, None));
    secondary.assert_equals(&master);
    assert_eq!(secondary.status().counters.duplicates, 3);
    assert!(secondary.acks().iter().all(|ack| ack.through == order(3)));
}

/// The fuzz target `secondary_core` found it: only a master that is broken, or somebody else, sends such.
#[test]
fn a_mark_above_the_epoch_of_its_sender_is_refused() {
    let mut master = Master::with(1);
    let mut secondary = Secondary::caught_up_with(&master);
    let before = secondary.store.tip().clone();
    master.open(epoch(2, 0), MarkKind::Promotion);
    master.append(1);
    master.epoch = epoch(1, 0);
    secondary.receive(master.entries(1, 2, None));
    assert_eq!((secondary.store.tip(), secondary.status().counters.refused), (&before, 1));
    assert_eq!(secondary.saved.fence, Some(epoch(1, 0)));
}

#[test]
fn marks_that_overtake_those_before_them_are_left_for_later_and_prove_nothing() {
    let mut master = Master::with(2);
    let mut secondary = Secondary::caught_up_with(&master);
    (2..5).for_each(|reign| master.open(epoch(reign, 0), MarkKind::Promotion));
    secondary.join(&master);
    let fetch = secondary.fetches().pop().unwrap();
    let (mut header, lines) = master.fetched(&fetch);
    let first = lines.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    (header.request, header.marks_before) = (None, Some(2));
    secondary.receive((header, lines.slice(first..)));
    let counters = secondary.status().counters;
    assert_eq!((counters.digest_mismatches, counters.refused), (0, 0));
    secondary.receive(master.fetched(&fetch));
    secondary.assert_equals(&master);
}

#[test]
fn an_overlapping_envelope_gives_what_is_new() {
    let mut master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(3);
    secondary.receive(master.entries(1, 6, None));
    secondary.assert_equals(&master);
}

#[test]
fn one_ack_covers_a_burst() {
    let mut master = Master::with(0);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(50);
    for at in 0..50 {
        secondary.receive(master.entries(at, at + 1, None));
    }
    secondary.end_burst();
    let acks = secondary.acks();
    assert_eq!(acks.len(), 1);
    assert_eq!((acks[0].through, acks[0].digest), (order(50), master.store.tip().digest));
    assert_eq!((acks[0].epoch.clone(), acks[0].state), (Some(epoch(1, 0)), SecondaryState::Streaming));
    assert!(secondary.fetches().is_empty(), "what is pushed is not fetched");
}

#[test]
fn an_idle_node_repeats_its_ack() {
    let master = Master::with(2);
    let mut secondary = Secondary::caught_up_with(&master);
    secondary.pass(HEARTBEAT_INTERVAL * 4);
    let acks = secondary.acks();
    assert!((3..=5).contains(&acks.len()), "{}", acks.len());
    assert!(acks.iter().all(|ack| ack.through == order(2)));
}

#[test]
fn entries_of_another_epoch_log_or_node_are_ignored() {
    let mut master = Master::with(1);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(1);
    let (header, lines) = master.entries(1, 2, None);
    let wrong: [fn(&mut wire::EntriesHeader); 3] = [
        |header| header.epoch = epoch(1, 1),
        |header| header.sender.log_id = Some(LogId::from_random(2)),
        |header| header.sender.node = "s2".parse().unwrap(),
    ];
    for change in wrong {
        let mut header = header.clone();
        change(&mut header);
        secondary.receive((header, lines.clone()));
    }
    assert_eq!((secondary.length(), secondary.status().counters.stale), (1, 3));
    secondary.receive((header, lines));
    assert_eq!(secondary.length(), 2);
}

#[test]
fn what_leads_to_another_digest_is_refused_and_joined_anew() {
    let mut master = Master::with(1);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(1);
    let (mut header, lines) = master.entries(1, 2, None);
    header.digest = Digest::EMPTY;
    secondary.receive((header, lines));
    assert_eq!((secondary.length(), secondary.status().counters.digest_mismatches), (1, 1));
    secondary.pass(ANSWER_TIMEOUT);
    let answer = master.answer(secondary.joins().last().unwrap());
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    secondary.serve_fetches(&master);
    secondary.assert_equals(&master);
}

#[test]
fn junk_is_refused_without_harm() {
    let mut master = Master::with(1);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(1);
    let (header, _) = master.entries(1, 2, None);
    for junk in [&b"junk"[..], b"{}\n", b"\n", b"{\"mark\":1}\n"] {
        secondary.receive((header.clone(), Bytes::from_static(junk)));
    }
    assert_eq!((secondary.length(), secondary.status().counters.refused), (1, 4));
}

#[test]
fn a_long_log_is_fetched_in_several_ranges_at_a_time() {
    let master = Master::with(100_000);
    let mut secondary = Secondary::new();
    secondary.join(&master);
    let fetches = secondary.fetches();
    assert_eq!(fetches.len(), FETCH_WINDOW_RANGES);
    for fetch in fetches.iter().rev() {
        secondary.receive(master.fetched(fetch));
    }
    secondary.serve_fetches(&master);
    secondary.assert_equals(&master);
    let status = secondary.status();
    assert_eq!((status.state, status.whole, status.lag()), (SecondaryState::Streaming, true, Some(0)));
    assert_eq!(status.counters.appended, 100_000);
    assert!(status.counters.fetches < 110, "{}", status.counters.fetches);
}

#[test]
fn answers_that_end_early_are_continued() {
    let master = Master::with(5_000);
    let mut secondary = Secondary::new();
    secondary.join(&master);
    for _ in 0..10_000 {
        let Some(fetch) = secondary.fetches().into_iter().next() else { break };
        let to = (fetch.from.get() + 100).min(fetch.to.get());
        secondary.receive(master.entries(fetch.from.get(), to, Some(fetch.request)));
        secondary.pass(ANSWER_TIMEOUT + RETRY_MAX);
    }
    secondary.assert_equals(&master);
}

#[test]
fn a_fetch_without_an_answer_is_asked_again_for_ever() {
    let master = Master::with(10);
    let mut secondary = Secondary::new();
    secondary.join(&master);
    secondary.fetches();
    for _ in 0..30 {
        secondary.pass(ANSWER_TIMEOUT + RETRY_MAX);
        assert!(!secondary.fetches().is_empty());
    }
    secondary.pass(ANSWER_TIMEOUT + RETRY_MAX);
    let last = secondary.fetches().pop().unwrap();
    secondary.receive(master.fetched(&last));
    secondary.assert_equals(&master);
}

#[test]
fn a_master_that_gives_nothing_is_not_asked_in_a_loop() {
    let master = Master::with(10);
    let mut secondary = Secondary::new();
    secondary.join(&master);
    for fetch in secondary.fetches() {
        let (mut header, _) = master.fetched(&fetch);
        header.count = 0;
        secondary.receive((header, Bytes::new()));
    }
    assert!(secondary.fetches().is_empty(), "it waits first");
    secondary.pass(RETRY_MAX);
    assert!(!secondary.fetches().is_empty());
}

#[test]
fn lost_pushes_are_fetched_once_the_heartbeat_tells() {
    let mut master = Master::with(1);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(5);
    secondary.hear(&master.heartbeat());
    assert!(secondary.fetches().is_empty(), "they may be on their way");
    secondary.pass(PUSH_QUIET * 2);
    secondary.serve_fetches(&master);
    secondary.assert_equals(&master);
}

#[test]
fn the_reorder_buffer_is_bounded() {
    let mut master = Master::with(0);
    let mut secondary = Secondary::caught_up_with(&master);
    let megabyte = "x".repeat(1_000_000);
    for _ in 0..40 {
        master.append_as(1, &megabyte);
    }
    for at in (1..40).rev() {
        secondary.receive(master.entries(at, at + 1, None));
        assert!(secondary.status().buffered_bytes <= REORDER_BUFFER_BYTES);
    }
    assert_eq!(secondary.length(), 0);
    secondary.receive(master.entries(0, 1, None));
    assert_eq!(secondary.length(), 17, "what is nearest was kept");
    secondary.hear(&master.heartbeat());
    secondary.pass(ANSWER_TIMEOUT);
    secondary.serve_fetches(&master);
    secondary.pass(ANSWER_TIMEOUT + RETRY_MAX);
    secondary.serve_fetches(&master);
    secondary.assert_equals(&master);
}

#[test]
fn a_mark_behind_the_last_entry_is_fetched() {
    let mut master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    master.open(epoch(1, 1), MarkKind::Start);
    secondary.join(&master);
    secondary.end_burst();
    let ack = secondary.acks().pop().unwrap();
    assert_eq!((ack.epoch, ack.state), (Some(epoch(1, 0)), SecondaryState::Syncing));
    secondary.serve_fetches(&master);
    let ack = secondary.acks().pop().unwrap();
    assert_eq!((ack.epoch, ack.state), (Some(epoch(1, 1)), SecondaryState::Streaming));
    secondary.assert_equals(&master);
}

#[test]
fn entries_that_nobody_asked_for_are_no_answer() {
    let mut master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(2);
    secondary.receive(master.entries(3, 5, Some(12_345)));
    assert_eq!((secondary.length(), secondary.status().counters.stale), (3, 1));
}

#[test]
fn an_answer_that_comes_late_is_as_good() {
    let mut master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(2);
    secondary.hear(&master.heartbeat());
    secondary.pass(HEARTBEAT_INTERVAL);
    let fetch = secondary.fetches().pop().expect("no push came");
    secondary.pass(ANSWER_TIMEOUT);
    secondary.receive(master.fetched(&fetch));
    secondary.assert_equals(&master);
}

#[test]
fn a_length_that_no_log_has_is_forgotten_when_the_master_tells_its_end() {
    let mut master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    let absurd = wire::Heartbeat { length: order(1 << 60), ..master.heartbeat() };
    secondary.hear(&absurd);
    let (header, _) = master.entries(3, 3, None);
    let far = wire::EntriesHeader { from: order(1 << 50), count: 1, ..header };
    secondary.receive((far, Bytes::from_static(b"{}\n")));
    secondary.pass(HEARTBEAT_INTERVAL);
    let fetches = secondary.fetches();
    assert!(!fetches.is_empty());
    for fetch in fetches {
        let at_end = wire::Fetch { from: fetch.from.min(master.length()), ..fetch };
        secondary.receive(master.fetched(&at_end));
    }
    let status = secondary.status();
    assert_eq!((status.lag(), status.buffered_bytes), (Some(0), 0));
    master.append(1);
    secondary.receive(master.entries(3, 4, None));
    secondary.assert_equals(&master);
}
