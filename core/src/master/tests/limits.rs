//! Limits: of time, of an envelope, of who counts.

use replog_shared::{
    WallTime,
    entry::{self, EntryHead},
};

use super::*;

#[test]
fn what_is_met_when_the_time_is_over_is_met() {
    let mut told = Told::leading();
    let now = Some(told.now);
    let messages = vec![new_message("a", "x")];
    let append = Append { messages, w: WriteConcern::ONE, expect_order: None, deadline: now };
    told.core.on_append(told.now, WaitId(7), append, &told.log);
    told.execute();
    told.pass(0);
    assert!(told.met(7).is_some());
    told.core.on_wait(WaitId(8), Order::ZERO, WriteConcern::ONE, now, &told.log);
    told.pass(0);
    assert!(told.met(8).is_some());
}

#[test]
fn what_is_met_when_the_log_is_emptied_is_met() {
    let mut told = Told::leading();
    let append = |w| Append { messages: vec![new_message("a", "x")], w, expect_order: None, deadline: None };
    told.core.on_append(told.now, WaitId(7), append(WriteConcern::ONE), &told.log);
    told.execute();
    let clean = Append { messages: vec![], ..append(WriteConcern::ONE) };
    told.core.on_clean(told.now, WaitId(8), clean, &told.log);
    told.settle();
    assert!(told.met(7).is_some());
}

#[test]
fn nodes_that_do_not_hold_this_log_are_no_majority() {
    let mut told = Told::leading();
    for node in ["s1", "s2"] {
        let sender = Sender { log_id: Some(LogId::from_random(9)), ..told.sender(node, 11) };
        let ack = Ack { sender, ..told.genuine_ack(node, 11, 0) };
        assert_eq!(told.ack(&ack), AckOutcome::ForeignLog);
    }
    assert_eq!(told.core.healthy_nodes(told.now), 1);
}

/// A message whose line has so many bytes.
fn large(told: &Told, bytes: usize) -> Append {
    let id = MessageId::new("large").unwrap();
    let mut line = Vec::new();
    let text = |length: usize| Message::from_json(format!("\"{}\"", "x".repeat(length)).into()).unwrap();
    let epoch = told.core.epoch().unwrap().number();
    let head = EntryHead { order: told.log.tip().place.length, epoch, at: WallTime::from_ms(7), more: false };
    entry::encode(&mut line, head, &id, &text(0));
    let message = text(bytes - line.len());
    let messages = vec![NewMessage { id, message }];
    Append { messages, w: WriteConcern::ONE, expect_order: None, deadline: None }
}

#[test]
fn the_marks_before_an_entry_take_nothing_of_its_envelope() {
    let mut told = Told::leading();
    told.join("s1", 11);
    let ack = told.genuine_ack("s1", 11, 0);
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    let most = told.core.max_line_bytes();
    let too_large = told.append_all(large(&told, most + 1));
    assert!(matches!(told.outcome(too_large), Some(WriteOutcome::Refused(Refusal::TooLarge { .. }))));
    let fits = told.append_all(large(&told, most));
    assert!(told.met(fits).is_some());
    assert_eq!(told.pushes(0), [(0, 1)]);
}

#[test]
fn an_entry_that_the_bus_does_not_take_any_more_is_shown_and_sent_when_it_does() {
    let mut told = Told::leading();
    told.join("s1", 11);
    let ack = told.genuine_ack("s1", 11, 0);
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    told.core.on_bus_down();
    let append = large(&told, told.core.max_line_bytes() - 1_000);
    told.append_all(append);
    told.core.on_bus_up(told.now, 1 << 16);
    told.settle();
    told.settle();
    assert_eq!(told.pushes(0), []);
    let shown = |told: &Told| told.core.secondaries(told.now).next().unwrap().too_large;
    assert_eq!(shown(&told), Some(Order::ZERO));
    let notice = |effect: &&Effect| matches!(effect, Effect::Notice(Notice::TooLargeForBus { .. }));
    assert_eq!(told.sent.iter().filter(notice).count(), 1);
    told.core.on_bus_up(told.now, 1 << 20);
    told.settle();
    assert_eq!((told.pushes(0), shown(&told)), (vec![(0, 1)], None));
}
