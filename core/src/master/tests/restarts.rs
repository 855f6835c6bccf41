//! A master that starts again and again.

use super::*;

impl Told {
    /// The next process over the same log. Nobody answers it.
    pub(super) fn restarted(self, incarnation: u64) -> Told {
        let mut told = self.died(incarnation);
        told.pass(1_100);
        assert!(told.core.epoch().is_some(), "{:?}", told.core.not_leading());
        told
    }

    /// The next process, which has done nothing yet.
    pub(super) fn died(self, incarnation: u64) -> Told {
        Told::started(incarnation, self.saved, self.log)
    }

    fn marks(&self) -> Vec<String> {
        self.log.marks().iter().map(|placed| placed.mark.epoch.number().to_string()).collect()
    }
}

#[test]
fn starts_without_an_append_leave_one_mark() {
    let mut told = Told::leading();
    told.append("a", "x", 1);
    for nth in 2..10_002 {
        told = told.restarted(nth);
    }
    assert_eq!(told.marks(), ["1.0", "1.10000"]);
    told.append("b", "x", 1);
    assert_eq!(told.restarted(20_000).marks(), ["1.0", "1.10000", "1.10001"]);
}

#[test]
fn the_first_mark_of_a_log_and_that_of_a_clean_stay() {
    assert_eq!(Told::leading().restarted(2).restarted(3).marks(), ["1.0", "1.2"]);
    let mut told = Told::leading();
    let clean = Append { messages: vec![], w: WriteConcern::ONE, expect_order: None, deadline: None };
    told.core.on_clean(told.now, WaitId(1), clean, &told.log);
    told.settle();
    assert_eq!(told.restarted(2).restarted(3).marks(), ["1.1", "1.3"]);
}

#[test]
fn who_dies_between_the_cut_and_the_next_mark_leads_on_alone() {
    let mut told = Told::leading();
    told.append("a", "x", 1);
    let mut told = told.restarted(2).died(3);
    told.pass(950);
    told.now = told.now.plus(Duration::from_millis(100));
    told.core.on_deadline(told.now, &told.log);
    let mut effects = Vec::new();
    told.core.take_effects(&mut effects);
    let steps = effects.into_iter().filter(|effect| !matches!(effect, Effect::Ask(_) | Effect::Notice(_)));
    let [Effect::Save(saved), Effect::Truncate(place, _), Effect::Append(_)] = &steps.collect::<Vec<_>>()[..]
    else {
        panic!("the fence, then the cut, then the mark")
    };
    told.saved = saved.clone();
    told.log.truncate(*place, Cut::Drop).unwrap();
    let told = told.restarted(4);
    assert_eq!(told.marks(), ["1.0", "1.3"]);
    assert_eq!(told.log.tip().place.length, Order::new(1));
}

impl Told {
    /// The answer to a join of s1 that tells of this log.
    fn joined_with(&mut self, outline: Outline) -> wire::JoinAnswer {
        let join = wire::Join { outline, whole: true, ..self.next_join("s1", 11) };
        self.core.on_join(self.now, &join, "inbox".into(), &self.log);
        self.settle();
        let answer = self.sent.iter().rev().find_map(|effect| match effect {
            Effect::JoinAnswer { answer, .. } => Some((**answer).clone()),
            _ => None,
        });
        answer.unwrap()
    }

    fn outline(&self, most: usize) -> Outline {
        Outline::of(self.log.marks(), self.log.durable(), most)
    }

    /// So many more starts, each with an append.
    fn restarted_with_appends(mut self, starts: std::ops::Range<u64>) -> Told {
        for nth in starts {
            self = self.restarted(nth);
            self.append(&nth.to_string(), "x", 1);
        }
        self
    }
}

#[test]
fn a_join_without_a_known_mark_is_not_admitted_but_asked_for_older_ones() {
    let common = Told::leading().restarted_with_appends(2..6);
    let shared = common.outline(usize::MAX);
    let mut told = common.restarted_with_appends(6..9);
    let foreign = |marks_before| {
        let mut outline = shared.clone();
        outline.marks.iter_mut().for_each(|mark| mark.epoch.reign = 9);
        Outline { marks_before, ..outline }
    };
    let answer = told.joined_with(foreign(4));
    assert_eq!((answer.verdict, answer.fork), (Verdict::OlderMarks, Place::START));
    assert!(told.core.secondaries(told.now).all(|secondary| secondary.stage != Stage::Streaming));
    let stranger = told.genuine_ack("s1", 11, 0);
    assert_eq!(told.ack(&stranger), AckOutcome::BeforeJoin, "it is not admitted");
    let answer = told.joined_with(shared.clone());
    assert_eq!((answer.verdict, answer.fork), (Verdict::Admitted, Place::new(Order::new(4), 5)));
    assert_eq!(answer.turn, None);
    let nothing_common = told.joined_with(foreign(0));
    assert_eq!((nothing_common.verdict, nothing_common.fork), (Verdict::Admitted, Place::START));
}
