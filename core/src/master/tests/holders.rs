//! Who counts as a holder, and until when.

use super::*;

impl Told {
    /// s1 has joined and acked `0..through`, and the ack that it sent.
    fn with_acked(through: u64, durability: Durability) -> (Told, Ack) {
        let mut told = Told::leading();
        told.join("s1", 11);
        for nth in 0..through {
            told.append(&nth.to_string(), "x", 1);
        }
        let ack = Ack { durability, joined: Some(told.joins), ..told.genuine_ack("s1", 11, through) };
        assert_eq!(told.ack(&ack), AckOutcome::Counted);
        let wait = told.waits_for(0);
        assert!(told.met(wait).is_some());
        (told, ack)
    }

    /// A caller that waits for two nodes to hold an entry.
    fn waits_for(&mut self, order: u64) -> usize {
        self.waits += 1;
        let w = WriteConcern::checked(Some(2), 3).unwrap();
        self.core.on_wait(WaitId(self.waits), Order::new(order), w, None, &self.log);
        self.settle();
        self.waits
    }
}

#[test]
fn what_a_process_acked_before_it_joined_again_counts_no_more() {
    let (mut told, before) = Told::with_acked(3, Durability::Disk);
    assert_eq!(told.join("s1", 11), Verdict::Admitted);
    let wait = told.waits_for(2);
    assert!(told.outcome(wait).is_none(), "it may have begun its log afresh");
    assert_eq!(told.ack(&before), AckOutcome::Heard, "what comes late is of the log it had");
    assert!(told.outcome(wait).is_none());
    let ack = Ack { joined: Some(told.joins), ..told.genuine_ack("s1", 11, 2) };
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    assert!(told.outcome(wait).is_none());
    assert_eq!(told.ack(&Ack { joined: Some(told.joins), ..before }), AckOutcome::Counted);
    assert!(told.met(wait).is_some());
}

#[test]
fn a_join_that_comes_late_or_twice_changes_nothing() {
    let (mut told, _) = Told::with_acked(3, Durability::Disk);
    let late = wire::Join { request: told.joins, ..told.next_join("s1", 11) };
    told.core.on_join(told.now, &late, "inbox".into(), &told.log);
    let wait = told.waits_for(2);
    assert!(told.met(wait).is_some());
}

#[test]
fn what_is_in_the_memory_of_a_node_that_seems_dead_does_not_count() {
    for (durability, counts) in
        [(Durability::Memory, false), (Durability::Os, true), (Durability::Disk, true)]
    {
        let (mut told, ack) = Told::with_acked(3, durability);
        told.pass(250 * 12);
        let wait = told.waits_for(2);
        assert_eq!(told.outcome(wait).is_some(), counts, "{durability:?}");
        // It was only not heard.
        let _counted = told.ack(&ack);
        assert!(told.met(wait).is_some());
    }
}

#[test]
fn what_is_in_the_memory_of_a_node_that_is_only_suspected_counts() {
    let (mut told, _) = Told::with_acked(3, Durability::Memory);
    told.pass(250 * 6);
    let wait = told.waits_for(2);
    assert!(told.met(wait).is_some());
}

#[test]
fn a_node_that_diverged_from_another_masters_epoch_stops_only_that_one() {
    let (mut told, ack) = Told::with_acked(3, Durability::Disk);
    let own = told.core.epoch().cloned();
    let other = Epoch { start: 7, incarnation: Incarnation::from_random(99), ..own.clone().unwrap() };
    let diverged =
        |from| Ack { state: SecondaryState::Diverged, joined: None, diverged_from: from, ..ack.clone() };
    let _heard = told.ack(&diverged(Some(other)));
    assert_eq!(told.core.not_leading(), None);
    assert_eq!(told.ack(&diverged(own)), AckOutcome::Mismatch);
    assert_eq!(told.core.not_leading(), Some(NotLeading::Diverged { node: name("s1") }));
}
