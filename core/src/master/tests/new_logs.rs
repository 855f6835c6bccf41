//! A log that began while others were silent, and one of those turns up with a log of its own.

use super::*;

/// What s1 and s2 hold: another log, of `messages` entries.
fn other_log(messages: u64) -> Told {
    let mut holder = takeovers::held(messages);
    holder.saved.log_id = Some(LogId::from_random(99));
    holder
}

impl Told {
    /// `node`, which holds the log of `holder`, asks to join.
    fn joined_by(&mut self, node: &str, holder: &Told) {
        let join = wire::Join {
            sender: Sender { log_id: holder.saved.log_id, ..self.sender(node, 11) },
            request: 1,
            epoch: self.core.epoch().unwrap().clone(),
            outline: Outline::of(holder.log.marks(), holder.log.durable(), OUTLINE_MARKS),
            fence: holder.saved.fence.clone(),
            whole: true,
        };
        self.core.on_join(self.now, &join, "inbox".into(), &self.log);
        self.settle();
    }

    fn takes_over(&mut self, holder: &Told) {
        self.pass(1);
        self.answer_for("s1", holder, None);
        self.answer_for("s2", holder, None);
        let epoch = self.promise_asked();
        assert!(epoch.is_some(), "{:?}", self.core.not_leading());
        assert_eq!(self.log.tip().place, Place::START, "its own marks rank nowhere");
        self.answer_for("s1", holder, epoch.clone());
        self.answer_for("s2", holder, epoch);
        self.read_from(holder);
        assert_eq!((self.core.log_id(), self.saved.log_id), (holder.saved.log_id, holder.saved.log_id));
        let length = holder.log.tip().place.length;
        assert_eq!(self.log.tip().place, Place::new(length, 2));
        assert!(self.core.epoch().is_some(), "{:?}", self.core.not_leading());
    }

    fn stage(&self, index: usize) -> Stage {
        self.core.secondaries(self.now).nth(index).unwrap().stage
    }
}

#[test]
fn a_new_log_without_an_entry_gives_way_to_that_of_a_node_that_was_silent() {
    let holder = other_log(3);
    let mut told = Told::leading();
    told.joined_by("s1", &holder);
    assert!(matches!(told.core.not_leading(), Some(NotLeading::Recovering { .. })));
    told.takes_over(&holder);
}

/// The fence of a reign that is far above.
fn higher_reign() -> Option<Epoch> {
    Some(Epoch { reign: 9, owner: name("s2"), start: 0, incarnation: Incarnation::from_random(5) })
}

#[test]
fn a_new_log_without_an_entry_gives_way_although_the_other_nodes_fence_is_above_its_reign() {
    let mut holder = other_log(3);
    holder.saved.fence = higher_reign();
    let mut told = Told::leading();
    told.joined_by("s1", &holder);
    assert!(matches!(told.core.not_leading(), Some(NotLeading::Recovering { .. })));
    told.takes_over(&holder);
    assert!(told.core.epoch().unwrap().reign > 9);
}

#[test]
fn who_asks_to_join_below_its_own_fence_is_not_answered() {
    let mut holder = other_log(3);
    holder.saved.fence = higher_reign();
    let mut told = Told::leading();
    told.append("a", "x", 1);
    told.joined_by("s1", &holder);
    let of_this_log =
        Told { saved: Identity { log_id: told.core.log_id(), ..holder.saved.clone() }, ..holder };
    told.joined_by("s2", &of_this_log);
    let is_answer = |effect: &Effect| matches!(effect, Effect::JoinAnswer { .. });
    assert!(!told.sent.iter().any(is_answer), "its master is another one");
    assert!(told.core.epoch().is_some());
    assert_eq!([0, 1].map(|index| told.stage(index)), [Stage::Absent, Stage::Absent]);
}

#[test]
fn a_node_that_is_gone_again_leaves_the_new_log_leading() {
    let mut told = Told::leading();
    let log_id = told.core.log_id();
    told.joined_by("s1", &other_log(3));
    assert!(told.core.epoch().is_none());
    told.pass(1_100);
    assert!(told.core.epoch().is_some(), "alone it leads after the wait");
    assert_eq!(told.core.log_id(), log_id);
    let first = told.append("a", "x", 1);
    assert_eq!(told.met(first).unwrap().first, Order::ZERO);
}

#[test]
fn a_new_log_with_an_entry_stays_and_the_other_one_is_foreign() {
    let holder = other_log(3);
    let mut told = Told::leading();
    told.append("a", "x", 1);
    told.joined_by("s1", &holder);
    assert!(told.core.epoch().is_some());
    assert_eq!(told.stage(0), Stage::Foreign(holder.saved.log_id.unwrap()));
    let mut told = told.restarted(2);
    told.joined_by("s1", &holder);
    assert!(told.core.epoch().is_some());
}

#[test]
fn a_clean_log_gives_way_to_none() {
    let mut told = Told::leading();
    let clean = Append { messages: vec![], w: WriteConcern::ONE, expect_order: None, deadline: None };
    told.core.on_clean(told.now, WaitId(1), clean, &told.log);
    told.settle();
    told.joined_by("s1", &other_log(3));
    assert!(told.core.epoch().is_some());
}

#[test]
fn a_log_that_began_while_everybody_was_heard_gives_way_to_none() {
    let mut told = Told::recovering();
    told.pass(1);
    told.state("s1", None);
    told.state("s2", None);
    assert!(told.core.epoch().is_some());
    told.joined_by("s1", &other_log(3));
    assert!(told.core.epoch().is_some());
}

#[test]
fn a_restart_over_a_log_without_an_entry_takes_over_the_log_that_it_finds() {
    let holder = other_log(3);
    let mut told = Told::leading().restarted(2).died(3);
    told.takes_over(&holder);
    let mut told = Told::leading().died(2);
    told.saved.whole = false;
    told.log.truncate(Place::START, Cut::Drop).unwrap();
    let mut told = told.died(3);
    told.takes_over(&holder);
}
