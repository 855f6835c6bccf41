//! Each thing that is asserted of the core can fail.

use replog_shared::OrderRange;

use super::*;
use crate::secondary::state::{Attempt, Session};

/// What was broken in a core that streams is found.
fn check_broken(breaks: impl FnOnce(&mut SecondaryCore)) {
    let mut secondary = Secondary::caught_up_with(&Master::with(3));
    secondary.core.check_all(&secondary.store);
    breaks(&mut secondary.core);
    secondary.core.check_all(&secondary.store);
}

fn session(core: &mut SecondaryCore) -> &mut Session {
    let State::Joined(session) = &mut core.state else { panic!("no session") };
    session
}

/// A unit that begins at this order.
fn unit(from: u64) -> reorder_buffer::Unit {
    let (from, to) = (order(from), order(from + 1));
    reorder_buffer::Unit { from, marks_before: 0, to, lines: Bytes::new(), digest: Digest::EMPTY }
}

#[test]
#[should_panic(expected = "effects are left when the next event may come")]
fn an_effect_that_is_not_done_is_found() {
    check_broken(|core| core.effects.push(Effect::Notice(Notice::DiskBehind)));
}

#[test]
#[should_panic(expected = "envelopes are kept outside of a session")]
fn an_envelope_that_outlives_its_session_is_found() {
    check_broken(|core| {
        _ = core.buffer.insert(unit(7));
        core.state = State::Waiting;
    });
}

#[test]
#[should_panic(expected = "entries are asked for outside of a session")]
fn a_fetch_that_outlives_its_session_is_found() {
    check_broken(|core| {
        core.fetcher.start(Moment::default(), 1, OrderRange::new(order(3), order(4)));
        core.state = State::Waiting;
    });
}

#[test]
#[should_panic(expected = "a blank node is in a session")]
fn a_session_over_no_log_is_found() {
    check_broken(|core| core.identity.log_id = None);
}

#[test]
#[should_panic(expected = "the session is of another epoch than the fence")]
fn a_session_below_the_fence_is_found() {
    check_broken(|core| core.identity.fence = Some(epoch(2, 0)));
}

#[test]
#[should_panic(expected = "the log ends in a higher epoch than the session's")]
fn a_log_that_outranks_its_master_is_found() {
    check_broken(|core| {
        session(core).epoch = epoch(0, 0);
        core.identity.fence = Some(epoch(0, 0));
    });
}

#[test]
#[should_panic(expected = "a log without the epoch's mark streams")]
fn a_stream_without_the_mark_is_found() {
    check_broken(|core| {
        session(core).epoch = epoch(2, 0);
        core.identity.fence = Some(epoch(2, 0));
    });
}

#[test]
#[should_panic(expected = "a lower epoch is a suitor")]
fn a_suitor_that_is_no_better_is_found() {
    check_broken(|core| session(core).suitor = Some(Attempt::new(epoch(1, 0), 2, Moment::default())));
}

#[test]
#[should_panic(expected = "more is pulled than the master is known to have")]
fn a_goal_that_nobody_can_reach_is_found() {
    check_broken(|core| session(core).goal = order(9));
}

#[test]
#[should_panic(expected = "what the log has reached waits in the reorder buffer")]
fn an_envelope_that_would_wait_for_ever_is_found() {
    check_broken(|core| _ = core.buffer.insert(unit(3)));
}

#[test]
#[should_panic(expected = "a range has 0 entries")]
fn a_broken_fetcher_is_found() {
    check_broken(|core| {
        core.fetcher = Fetcher::new(PullLimits { range_entries: 0, ..PullLimits::default() });
    });
}

#[test]
#[should_panic(expected = "a unit without an entry is kept")]
fn a_broken_buffer_is_found() {
    check_broken(|core| _ = core.buffer.insert(reorder_buffer::Unit { to: order(7), ..unit(7) }));
}
