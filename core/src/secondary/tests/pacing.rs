//! A disk that is behind paces what is asked for and taken.

use replog_shared::limits::PULL_PENDING_BYTES;

use super::*;
use crate::behind::Behind;

const FULL: usize = PULL_PENDING_BYTES;

impl Secondary {
    /// An event while so many bytes wait to become durable.
    fn event_behind(&mut self, pending: usize, event: impl FnOnce(&mut SecondaryCore, Moment, &dyn LogView)) {
        event(&mut self.core, self.now, &Behind(&self.store, pending));
        self.execute();
    }
}

#[test]
fn nothing_is_asked_for_while_the_disk_is_behind() {
    let master = Master::with(20);
    let mut secondary = Secondary::new();
    secondary.hear(&master.heartbeat());
    let answer = master.answer(&secondary.joins().pop().unwrap());
    secondary.event_behind(FULL, |core, now, log| core.on_join_answer(now, answer, log));
    secondary.event_behind(FULL, |core, now, log| core.on_burst_end(now, log));
    assert_eq!(secondary.fetches().len(), 0);
    secondary.event_behind(FULL - 1, |core, now, log| core.on_burst_end(now, log));
    let asked = secondary.fetches();
    assert_eq!(asked.len(), 1, "as soon as there is room, and without a timer");
    secondary.receive(master.fetched(&asked[0]));
    secondary.serve_fetches(&master);
    secondary.assert_equals(&master);
}

#[test]
fn a_push_that_the_disk_has_no_room_for_is_dropped_and_comes_another_way() {
    let mut master = Master::with(4);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(2);
    let (header, lines) = master.entries(4, 6, None);
    let push = (header.clone(), lines.clone());
    secondary.event_behind(FULL, |core, now, log| core.on_entries(now, header, lines, log));
    assert_eq!((secondary.length(), secondary.status().counters.overflowed), (4, 1));
    secondary.event_behind(FULL - 1, |core, now, log| core.on_entries(now, push.0, push.1, log));
    secondary.assert_equals(&master);
}

/// A secondary that keeps two envelopes which its log has reached, as its disk is behind, and their master.
fn keeping_what_is_reached() -> (Secondary, Master) {
    let mut master = Master::with(4);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append(3);
    secondary.receive(master.entries(5, 6, None));
    secondary.receive(master.entries(6, 7, None));
    secondary.fetches();
    let (mut header, lines) = master.entries(4, 5, None);
    header.length = order(7);
    // What is appended now fills what the disk may have to do.
    let nearly = FULL - lines.len();
    secondary.event_behind(nearly, |core, now, log| core.on_entries(now, header, lines, log));
    assert_eq!(secondary.length(), 5);
    secondary.event_behind(FULL, |core, now, log| core.on_burst_end(now, log));
    assert_eq!(secondary.length(), 5);
    secondary.said.clear();
    (secondary, master)
}

#[test]
fn what_waits_behind_a_gap_goes_on_as_the_disk_does_and_is_acked() {
    let (mut secondary, master) = keeping_what_is_reached();
    secondary.event_behind(0, |core, now, log| core.on_burst_end(now, log));
    secondary.assert_equals(&master);
    secondary.end_burst();
    assert_eq!(secondary.acks().pop().map(|ack| ack.through), Some(order(7)));
}

#[test]
fn what_is_reached_goes_to_the_log_whatever_event_finds_that_the_disk_has_come_further() {
    let (mut secondary, master) = keeping_what_is_reached();
    secondary.event_behind(0, |core, now, log| core.on_deadline(now, log));
    secondary.assert_equals(&master);
}
