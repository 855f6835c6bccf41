//! An empty master takes over the log that its secondaries hold.

use replog_shared::store::Reader as _;

use super::*;

/// The log that s1 and s2 hold: `messages` entries.
pub(super) fn held(messages: u64) -> Told {
    let mut told = Told::leading();
    for id in 0..messages {
        told.append(&id.to_string(), "x", 1);
    }
    told
}

impl Told {
    /// The answer of `node`, which holds the log of `holder`, to the last question or the last promise.
    pub(super) fn answer_for(&mut self, node: &str, holder: &Told, promised: Option<Epoch>) {
        let state = self.state_of(node, holder, promised);
        self.core.on_state(self.now, state, &self.log);
        self.settle();
    }

    /// The same answer, not told yet.
    pub(super) fn state_of(&self, node: &str, holder: &Told, promised: Option<Epoch>) -> wire::State {
        let asked = self.sent.iter().rev().find_map(|effect| match effect {
            Effect::Ask(ask) => Some(ask.request),
            Effect::Promise(_, promise) => Some(promise.request),
            _ => None,
        });
        let identity = Identity { whole: true, ..holder.saved.clone() };
        let sender = Sender { log_id: identity.log_id, ..self.sender(node, 11) };
        let told_marks = self.core.settings.outline_marks;
        wire::State::of(sender, asked.unwrap(), promised, &identity, &holder.log, None, told_marks)
    }

    pub(super) fn promise_asked(&self) -> Option<Epoch> {
        self.sent.iter().rev().find_map(|effect| match effect {
            Effect::Promise(_, promise) => Some(promise.epoch.clone()),
            _ => None,
        })
    }

    fn read_asked(&self) -> Option<(String, wire::Read)> {
        self.sent.iter().rev().find_map(|effect| match effect {
            Effect::Read(node, read) => Some((node.to_string(), read.clone())),
            _ => None,
        })
    }

    /// All that `holder` has, from where it was asked.
    pub(super) fn read_from(&mut self, holder: &Told) {
        self.read_page(holder, usize::MAX);
    }

    /// A page of at most so many bytes, or of one entry.
    pub(super) fn read_page(&mut self, holder: &Told, bytes: usize) {
        let (header, bytes) = self.page_asked(holder, bytes);
        self.core.on_read_answer(self.now, &header, &bytes, &self.log);
        self.settle();
    }

    /// The answer to the last question for a page.
    pub(super) fn page_asked(&self, holder: &Told, bytes: usize) -> (wire::EntriesHeader, Bytes) {
        let (node, read) = self.read_asked().expect("it reads");
        let (from, length) = (read.from.length, holder.log.durable().length);
        let page = holder.log.reader().read(from, length, bytes).unwrap();
        let header = wire::EntriesHeader {
            sender: Sender { log_id: holder.core.log_id(), ..self.sender(&node, 11) },
            epoch: read.epoch,
            from,
            marks_before: None,
            count: page.to.since(from),
            length,
            digest: page.digest,
            request: Some(read.request),
            traces: Vec::new(),
        };
        (header, page.bytes)
    }
}

/// An empty master that both have told what they hold, and promised.
pub(super) fn promised(holder: &Told) -> Told {
    let mut told = Told::recovering();
    told.pass(1);
    told.answer_for("s1", holder, None);
    told.answer_for("s2", holder, None);
    let epoch = told.promise_asked();
    assert!(epoch.is_some(), "everybody holds all of one log");
    told.answer_for("s1", holder, epoch.clone());
    told.answer_for("s2", holder, epoch);
    told
}

#[test]
fn an_empty_master_leads_on_in_the_log_that_was_promised() {
    let holder = held(3);
    let mut told = promised(&holder);
    told.read_from(&holder);
    assert_eq!(told.core.log_id(), holder.core.log_id());
    let epoch = told.core.epoch().expect("it leads");
    assert!(epoch.reign > holder.core.epoch().unwrap().reign);
    assert_eq!(told.log.durable(), Place::new(Order::new(3), 2));
}

#[test]
fn what_reached_the_winners_disk_after_its_promise_is_not_taken_over() {
    let mut holder = held(3);
    let mut told = promised(&holder);
    holder.append("late", "x", 1);
    told.read_from(&holder);
    assert!(told.core.epoch().is_some(), "{:?}", told.core.not_leading());
    assert_eq!(told.log.durable(), Place::new(Order::new(3), 2));
}

/// The node s3 that holds, whole, the first entry of `holder`'s log; it is promoted over all three, and s1 and s2
/// have promised.
pub(super) fn behind(holder: &Told, saved: Identity, log: MemoryStore) -> Told {
    let mut told = Told::started(2, saved, log);
    told.core.settings.name = name("s3");
    told.core.settings.start = StartTerms { promote: true, reach: Some(3), ..StartTerms::default() };
    told.pass(1);
    told.answer_for("s1", holder, None);
    told.answer_for("s2", holder, None);
    let epoch = told.promise_asked();
    assert!(epoch.is_some(), "{:?}", told.core.not_leading());
    told.answer_for("s1", holder, epoch.clone());
    told.answer_for("s2", holder, epoch);
    told
}

pub(super) fn first_entry_of(holder: &Told) -> (Identity, MemoryStore) {
    let mut log = MemoryStore::with_ids(IdSeed::from_random(1));
    let page = holder.log.reader().read(Order::ZERO, Order::new(1), 1).unwrap();
    assert!(log.append(&Lines::checked(page.bytes, &Tip::default()).unwrap()));
    (Identity { whole: true, ..holder.saved.clone() }, log)
}

#[test]
fn a_takeover_that_breaks_off_leaves_the_node_whole_and_goes_on_behind_what_it_fetched() {
    let holder = held(5);
    let (saved, log) = first_entry_of(&holder);
    let mut told = behind(&holder, saved, log);
    told.read_page(&holder, 1);
    told.read_page(&holder, 1);
    told.pass(6_000);
    assert!(matches!(told.core.not_leading(), Some(NotLeading::NotPromoted { .. })));
    assert!(told.saved.whole, "nothing was cut");
    assert_eq!(told.log.tip().place.length, Order::new(3), "what was fetched stays");
    let mut again = behind(&holder, told.saved, told.log);
    let (_, read) = again.read_asked().unwrap();
    assert_eq!(read.from, Place::new(Order::new(3), 1), "and is not fetched again");
    again.read_from(&holder);
    assert!(again.core.epoch().is_some(), "{:?}", again.core.not_leading());
    assert_eq!(again.log.tip().place, Place::new(Order::new(5), 2));
}

#[test]
fn an_empty_node_whose_takeover_breaks_off_goes_on_behind_what_it_fetched() {
    let holder = held(5);
    let mut told = promised(&holder);
    told.read_page(&holder, 1);
    let abandoned = told.read_asked().unwrap().1.request;
    told.pass(6_000);
    assert_eq!(told.log.tip().place.length, Order::new(1));
    assert!(!told.saved.whole);
    told.answer_for("s1", &holder, None);
    told.answer_for("s2", &holder, None);
    let epoch = told.promise_asked();
    told.answer_for("s1", &holder, epoch.clone());
    told.answer_for("s2", &holder, epoch);
    let (_, read) = told.read_asked().unwrap();
    assert_ne!(read.request, abandoned, "it is another attempt");
    assert_eq!(read.from, Place::new(Order::new(1), 1));
    told.read_from(&holder);
    assert!(told.core.epoch().is_some(), "{:?}", told.core.not_leading());
}

#[test]
fn the_time_in_which_a_node_is_stopped_is_not_the_others_silence() {
    let holder = held(5);
    let (saved, log) = first_entry_of(&holder);
    let mut told = behind(&holder, saved, log);
    told.read_page(&holder, 1);
    told.stand_still(3_600_000);
    told.read_from(&holder);
    assert!(told.core.epoch().is_some(), "{:?}", told.core.not_leading());

    let mut asking = Told::recovering();
    asking.stand_still(3_600_000);
    assert!(asking.core.epoch().is_none(), "the answers may be there and not be read yet");
    asking.pass(1_100);
    assert!(asking.core.epoch().is_some());
}

#[test]
fn what_is_not_the_promised_log_is_given_back() {
    let holder = held(5);
    let (saved, log) = first_entry_of(&holder);
    let mut told = behind(&holder, saved, log);
    let mut other = held(1);
    for id in 1..5 {
        other.append(&id.to_string(), "other", 1);
    }
    // In several pages: what the earlier ones brought is in the log by the time the last one shows the difference.
    for _ in 1..5 {
        told.read_page(&other, 1);
    }
    let Some(NotLeading::NotPromoted { reason, .. }) = told.core.not_leading() else { panic!("it leads") };
    assert!(matches!(reason, Reason::AnotherLog(_)), "{reason:?}");
    assert_eq!(told.log.tip().place, Place::new(Order::new(1), 1));
    assert!(told.saved.whole);
}

/// How the log of a node that is promoted over `holder`'s was cut.
fn cut_by_a_promotion_over(holder: &Told, saved: Identity, log: MemoryStore) -> Option<Cut> {
    let told = behind(holder, saved, log);
    told.sent.iter().find_map(|effect| match effect {
        Effect::Truncate(_, cut) => Some(*cut),
        _ => None,
    })
}

#[test]
fn what_a_clean_gave_up_is_dropped_by_a_promotion_and_all_else_is_kept() {
    let mut holder = held(3);
    let (saved, log) = first_entry_of(&holder);
    let clean = Append { messages: vec![], w: WriteConcern::ONE, expect_order: None, deadline: None };
    holder.core.on_clean(holder.now, WaitId(99), clean, &holder.log);
    holder.settle();
    assert_eq!(cut_by_a_promotion_over(&holder, saved, log), Some(Cut::Drop));

    // Its log went on in another hand behind the first entry.
    let short = held(1);
    let mut holder = promised(&short);
    holder.read_from(&short);
    let Told { saved, log, .. } = held(3);
    assert_eq!(cut_by_a_promotion_over(&holder, saved, log), Some(Cut::Quarantine));
}
