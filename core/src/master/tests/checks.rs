//! Each thing that is asserted of the core can fail.

use super::*;

/// What was broken in a core that leads, with s1 admitted, is found.
fn check_broken(breaks: impl FnOnce(&mut Told)) {
    let mut told = Told::leading();
    told.join("s1", 1);
    told.append("a", "1", 3);
    told.core.check_all(&told.log);
    breaks(&mut told);
    told.core.check_all(&told.log);
}

#[test]
#[should_panic(expected = "effects are left when the next event may come")]
fn an_effect_that_is_not_done_is_found() {
    check_broken(|told| told.core.notice(Notice::DiskBehind));
}

#[test]
#[should_panic(expected = "not each secondary has its progress")]
fn a_secondary_without_progress_is_found() {
    check_broken(|told| drop(told.core.progress.pop()));
}

#[test]
#[should_panic(expected = "appends are held for a master that will not lead")]
fn an_append_that_nobody_answers_is_found() {
    let append = Append { messages: vec![], w: WriteConcern::ONE, expect_order: None, deadline: None };
    check_broken(|told| {
        told.core.on_stop(told.now, &told.log);
        told.execute();
        assert!(told.core.held.push(WaitId(7), &append));
    });
}

#[test]
#[should_panic(expected = "writes wait for a master that does not lead")]
fn a_write_that_outlives_its_reign_is_found() {
    check_broken(|told| told.core.phase = Phase::Stopped(NotLeading::Stopping));
}

#[test]
#[should_panic(expected = "a secondary is admitted by a master that does not lead")]
fn an_admission_that_outlives_its_reign_is_found() {
    check_broken(|told| {
        told.core.interrupt_all(&Interruption::Stopping);
        told.core.effects.clear();
        told.core.phase = Phase::Stopped(NotLeading::Stopping);
    });
}

#[test]
#[should_panic(expected = "a master leads without a log")]
fn a_reign_over_no_log_is_found() {
    check_broken(|told| told.core.identity.log_id = None);
}

#[test]
#[should_panic(expected = "a master leads in another epoch than its fence")]
fn a_reign_below_the_fence_is_found() {
    check_broken(|told| told.core.identity.fence.as_mut().unwrap().reign += 1);
}

#[test]
#[should_panic(expected = "a master leads in another epoch than its log ends in")]
fn a_reign_without_its_mark_is_found() {
    check_broken(|told| drop(told.log.truncate(Place::START, Cut::Drop)));
}

#[test]
#[should_panic(expected = "waits for what is not in the log")]
fn a_write_that_was_cut_is_found() {
    check_broken(|told| drop(told.log.truncate(Place::new(Order::ZERO, 1), Cut::Drop)));
}

#[test]
#[should_panic(expected = "Syncing does not say who is admitted")]
fn a_broken_progress_is_found() {
    check_broken(|told| told.core.progress[1].stage = Stage::Syncing);
}
