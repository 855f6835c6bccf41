//! A log with nothing in it gives way to another one; what its node promised stays.

use replog_shared::limits::{ANSWER_TIMEOUT, RETRY_MAX, UNHEALTHY_AFTER_INTERVALS};

use super::*;

/// A master of another log, which has entries.
fn other_log(epoch: Epoch) -> Master {
    let mut other = Master::with(7);
    other.log_id = LogId::from_random(2);
    if epoch != other.epoch {
        other.open(epoch, MarkKind::Promotion);
    }
    other
}

/// A master whose log has the mark of this epoch and no entry.
fn bare_log(epoch: Epoch) -> Master {
    let mut master = Master::with(0);
    master.store = MemoryStore::without_ids();
    master.open(epoch, MarkKind::Start);
    master
}

impl Secondary {
    /// Its master falls silent, and that of another log is heard.
    fn turn_to(&mut self, other: &Master) {
        self.pass(HEARTBEAT_INTERVAL * UNHEALTHY_AFTER_INTERVALS);
        self.said.clear();
        self.hear(&other.heartbeat());
    }

    fn promise(&mut self, master: &Master, epoch: Epoch) {
        let promise = wire::Promise { sender: master.sender("s2"), request: 5, epoch, forced: true };
        self.event(|core, now, log| core.on_promise(now, promise, "inbox".into(), log));
    }

    #[track_caller]
    fn assert_follows(&mut self, other: &Master) {
        self.turn_to(other);
        self.pass(ANSWER_TIMEOUT + RETRY_MAX);
        let answer = other.answer(&self.joins().pop().expect("it asks for admission"));
        self.event(|core, now, log| core.on_join_answer(now, answer, log));
        self.serve_fetches(other);
        self.assert_equals(other);
    }
}

#[test]
fn a_log_without_an_entry_gives_way_to_another_one_that_has_some() {
    let (own, other) = (Master::with(0), other_log(epoch(1, 0)));
    let mut secondary = Secondary::caught_up_with(&own);
    secondary.pass(HEARTBEAT_INTERVAL * UNHEALTHY_AFTER_INTERVALS);
    let bare = wire::Heartbeat { length: order(0), ..other.heartbeat() };
    secondary.hear(&bare);
    assert_eq!(secondary.status().state, SecondaryState::Foreign, "of two that have none nobody moves here");
    secondary.hear(&other.heartbeat());
    assert_eq!((secondary.saved.log_id, secondary.saved.whole), (None, false));
    assert_eq!(secondary.store.tip().place, Place::START);
    secondary.pass(Duration::ZERO);
    let join = secondary.joins().pop().expect("it asks as a blank node");
    assert_eq!((join.sender.log_id, join.outline.marks.len()), (None, 0));
    let answer = other.answer(&join);
    secondary.event(|core, now, log| core.on_join_answer(now, answer, log));
    secondary.serve_fetches(&other);
    secondary.assert_equals(&other);
    assert_eq!(secondary.saved.log_id, Some(other.log_id));
}

#[test]
fn that_a_log_was_followed_is_forgotten_with_it() {
    let mut secondary = Secondary::caught_up_with(&bare_log(epoch(3, 0)));
    assert_eq!(secondary.saved.fence, Some(epoch(3, 0)));
    secondary.turn_to(&other_log(epoch(4, 0)));
    assert_eq!((secondary.saved.log_id, secondary.saved.fence.clone()), (None, None));
    secondary.assert_follows(&other_log(epoch(1, 0)));
}

#[test]
fn a_first_reign_that_was_followed_is_forgotten_although_its_mark_never_came() {
    let mut own = bare_log(epoch(1, 0));
    let mut secondary = Secondary::caught_up_with(&own);
    own.open(epoch(1, 1), MarkKind::Start);
    secondary.join(&own);
    assert_eq!(secondary.saved.fence, Some(epoch(1, 1)));
    assert_eq!(secondary.store.tip().epoch, Some(epoch(1, 0)));
    secondary.turn_to(&other_log(epoch(2, 0)));
    assert_eq!((secondary.saved.log_id, secondary.saved.fence.clone()), (None, None));
    secondary.assert_follows(&other_log(epoch(1, 0)));
}

#[test]
fn a_promise_outlives_the_log_in_which_it_was_given() {
    let own = bare_log(epoch(1, 0));
    let mut secondary = Secondary::caught_up_with(&own);
    secondary.promise(&own, epoch(2, 0));
    secondary.turn_to(&other_log(epoch(3, 0)));
    assert_eq!((secondary.saved.log_id, secondary.saved.fence.clone()), (None, Some(epoch(2, 0))));
    secondary.turn_to(&other_log(epoch(1, 9)));
    assert!(secondary.joins().is_empty(), "who was promised counts on it that nobody older is followed");
    assert_eq!(secondary.acks().pop().unwrap().fence, Some(epoch(2, 0)));
    secondary.assert_follows(&other_log(epoch(3, 0)));
}

#[test]
fn a_log_stays_beside_a_master_below_its_nodes_fence() {
    let own = bare_log(epoch(1, 0));
    let mut secondary = Secondary::caught_up_with(&own);
    secondary.promise(&own, epoch(2, 0));
    secondary.turn_to(&other_log(epoch(1, 9)));
    assert_eq!(secondary.status().state, SecondaryState::Foreign);
    assert_eq!(
        (secondary.saved.log_id, secondary.saved.fence.clone()),
        (Some(own.log_id), Some(epoch(2, 0)))
    );
    secondary.assert_equals(&own);
}
