use replog_shared::limits::ANSWER_TIMEOUT;

use super::*;

impl Secondary {
    fn set_faults(&mut self, faults: Faults) {
        self.event(|core, now, _| core.set_faults(now, faults));
    }
}

fn ready(master: &Master, faults: Faults) -> Secondary {
    let mut secondary = Secondary::caught_up_with(master);
    secondary.set_faults(faults);
    secondary
}

#[test]
fn an_error_is_answered_although_the_entry_is_stored() {
    let mut master = Master::with(1);
    let mut secondary = ready(&master, Faults { error_rate: 1.0, ..Faults::default() });
    master.append(1);
    secondary.receive(master.entries(1, 2, None));
    secondary.end_burst();
    secondary.assert_equals(&master);
    let acks = secondary.acks();
    assert_eq!(acks.len(), 1);
    assert!(acks[0].error.is_some());
    secondary.pass(HEARTBEAT_INTERVAL * 2);
    let acks = secondary.acks();
    assert!(!acks.is_empty() && acks.iter().all(|ack| ack.error.is_some()), "{acks:?}");
    secondary.set_faults(Faults::default());
    secondary.pass(HEARTBEAT_INTERVAL * 2);
    let acks = secondary.acks();
    assert!(acks.iter().any(|ack| ack.error.is_none() && ack.through == order(2)), "{acks:?}");
}

#[test]
fn what_is_dropped_was_never_there() {
    let mut master = Master::with(1);
    let mut secondary = ready(&master, Faults { drop_rate: 1.0, ..Faults::default() });
    master.append(1);
    secondary.receive(master.entries(1, 2, None));
    assert_eq!((secondary.length(), secondary.status().counters.fault_drops), (1, 1));
    secondary.set_faults(Faults::default());
    secondary.receive(master.entries(1, 2, None));
    secondary.assert_equals(&master);
}

#[test]
fn a_delay_holds_entries_back_in_order() {
    let delay = Duration::from_secs(3);
    let mut master = Master::with(1);
    let mut secondary = ready(&master, Faults { delay, ..Faults::default() });
    master.append(3);
    for at in 1..4 {
        secondary.receive(master.entries(at, at + 1, None));
    }
    secondary.pass(delay - Duration::from_millis(1));
    assert_eq!(secondary.length(), 1);
    secondary.pass(Duration::from_millis(1));
    secondary.assert_equals(&master);
    assert_eq!(secondary.status().counters.out_of_order, 0);
}

#[test]
fn a_delayed_fetch_is_not_asked_for_again() {
    let delay = ANSWER_TIMEOUT * 10;
    let master = Master::with(10);
    let mut secondary = Secondary::with(Faults { delay, ..Faults::default() });
    secondary.join(&master);
    let fetch = secondary.fetches().pop().unwrap();
    secondary.receive(master.fetched(&fetch));
    secondary.pass(delay);
    secondary.assert_equals(&master);
    assert!(secondary.fetches().is_empty());
}

/// A secondary that rejoins fetches what it missed, and after that what was appended meanwhile.
#[test]
fn a_delay_counts_once_over_all_that_was_heard_of_at_one_time() {
    let delay = Duration::from_secs(5);
    let mut master = Master::with(10);
    let mut secondary = Secondary::with(Faults { delay, ..Faults::default() });
    secondary.join(&master);
    let fetch = secondary.fetches().pop().unwrap();
    master.append(3);
    secondary.hear(&master.heartbeat());
    secondary.receive(master.entries(fetch.from.get(), 10, Some(fetch.request)));
    secondary.pass(delay);
    assert_eq!(secondary.length(), 10);
    secondary.receive(master.entries(10, 13, None));
    secondary.pass(Duration::ZERO);
    secondary.assert_equals(&master);
    // What is new waits as long as ever.
    master.append(1);
    secondary.receive(master.entries(13, 14, None));
    secondary.pass(delay - Duration::from_millis(1));
    assert_eq!(secondary.length(), 13);
    secondary.pass(Duration::from_millis(1));
    secondary.assert_equals(&master);
}

#[test]
fn a_delay_that_begins_later_counts_from_the_arrival() {
    let delay = Duration::from_secs(5);
    let mut master = Master::with(1);
    let mut secondary = ready(&master, Faults::default());
    master.append(1);
    secondary.hear(&master.heartbeat());
    secondary.set_faults(Faults { delay, ..Faults::default() });
    secondary.receive(master.entries(1, 2, None));
    secondary.pass(delay - Duration::from_millis(1));
    assert_eq!(secondary.length(), 1);
    secondary.pass(Duration::from_millis(1));
    secondary.assert_equals(&master);
}

#[test]
fn a_shorter_delay_lets_go_what_waits() {
    let mut master = Master::with(1);
    let mut secondary = ready(&master, Faults { delay: Duration::from_secs(3_600), ..Faults::default() });
    master.append(2);
    secondary.receive(master.entries(1, 2, None));
    secondary.set_faults(Faults::default());
    secondary.receive(master.entries(2, 3, None));
    secondary.pass(Duration::ZERO);
    secondary.assert_equals(&master);
}

#[test]
fn what_is_lost_during_a_delay_is_missed_once_it_ends() {
    let mut master = Master::with(1);
    let mut secondary = ready(&master, Faults { delay: Duration::from_secs(3_600), ..Faults::default() });
    master.append(2);
    secondary.receive(master.entries(1, 2, None));
    secondary.hear(&master.heartbeat());
    secondary.set_faults(Faults::default());
    secondary.pass(ANSWER_TIMEOUT);
    secondary.serve_fetches(&master);
    secondary.assert_equals(&master);
}
