//! What is to be read of a log before an event is brought, and that the event looks at no more.

use std::ops::Range;

use replog_shared::{
    PlacedMark,
    lines::Tip,
    store::{LookAhead, Lookup},
};

use super::{
    batches::{batch, part_of},
    takeovers::{behind, first_entry_of, held, promised},
    *,
};

/// A log of which no line is in memory but those that were lent.
struct Old<'a> {
    log: &'a MemoryStore,
    lent: Range<u64>,
}

impl LogView for Old<'_> {
    fn tip(&self) -> &Tip {
        self.log.tip()
    }

    fn durable(&self) -> Place {
        self.log.durable()
    }

    fn pending_bytes(&self) -> usize {
        0
    }

    fn visible_through(&self) -> Order {
        self.log.visible_through()
    }

    fn marks(&self) -> &[PlacedMark] {
        self.log.marks()
    }

    fn digest_at(&self, place: Place) -> Option<Digest> {
        self.log.digest_at(place)
    }

    fn find(&self, id: &MessageId) -> Option<Order> {
        self.log.find(id)
    }

    fn entry(&self, order: Order) -> Option<Bytes> {
        self.log.entry(order)
    }

    fn size(&self, from: Order, to: Order) -> usize {
        self.log.size(from, to)
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        self.log.fit(from, bytes)
    }

    fn recent_from(&self) -> Order {
        self.tip().place.length
    }

    fn has_at_hand(&self, from: Order, to: Order) -> bool {
        let until = to.min(self.recent_from());
        from >= until || self.lent.contains(&from.get()) && until.get() <= self.lent.end
    }

    fn candidates(&self, id: &MessageId, show: &mut dyn FnMut(Order)) {
        self.log.find(id).into_iter().for_each(show);
    }
}

/// Where the log is cut that has to be read for.
const fn cut(at: u64) -> Option<Lookup> {
    Some(Lookup::Cut { at: Order::new(at) })
}

impl Told {
    /// What has to be read before an event, once these lines were lent.
    fn missing(&self, lent: Range<u64>, look: impl FnOnce(&MasterCore, &LookAhead<'_>)) -> Option<Lookup> {
        let log = Old { log: &self.log, lent };
        let ahead = LookAhead::new(&log);
        look(&self.core, &ahead);
        ahead.missing()
    }

    /// Brings an event to which these lines are lent; what it lacked.
    fn bring(
        &mut self,
        lent: Range<u64>,
        event: impl FnOnce(&mut MasterCore, &LookAhead<'_>),
    ) -> Option<Lookup> {
        let log = Old { log: &self.log, lent };
        let ahead = LookAhead::new(&log);
        event(&mut self.core, &ahead);
        let missing = ahead.missing();
        self.execute();
        missing
    }

    /// Where the log was cut.
    fn cuts(&self) -> Vec<u64> {
        let cut = |effect: &Effect| match effect {
            Effect::Truncate(place, _) => Some(place.length.get()),
            _ => None,
        };
        self.sent.iter().filter_map(cut).collect()
    }
}

#[test]
fn the_rest_of_a_batch_is_read_before_a_part_of_it_is_told_to_be_held() {
    let mut told = Told::leading();
    told.append_all(batch(&["a", "b", "c"], 1));
    told.append("d", "x", 1);
    let missing_from = |lent: Range<u64>| {
        let lookup = told.missing(lent, |core, log| core.look_ahead_append(&batch(&["b"], 2), log));
        lookup.map(|lookup| match lookup {
            Lookup::Lines { from, .. } => from.get(),
            Lookup::Cut { .. } => panic!("{lookup:?}"),
        })
    };
    assert_eq!(missing_from(0..0), Some(1), "the entry of that id");
    assert_eq!(missing_from(1..2), Some(2), "the end of its batch");
    assert_eq!(missing_from(1..3), None);
}

#[test]
fn where_a_takeover_began_is_read_before_its_last_page_which_may_be_given_back() {
    let holder = held(5);
    let (saved, log) = first_entry_of(&holder);
    let mut told = behind(&holder, saved, log);
    let mut other = held(1);
    for id in 1..5 {
        other.append(&id.to_string(), "other", 1);
    }
    for _ in 1..4 {
        let (page, _) = told.page_asked(&other, 1);
        assert_eq!(told.missing(0..0, |core, log| core.look_ahead_read_answer(&page, log)), None);
        told.read_page(&other, 1);
    }
    let (page, bytes) = told.page_asked(&other, 1);
    let missing = |told: &Told, lent| told.missing(lent, |core, log| core.look_ahead_read_answer(&page, log));
    assert_eq!(missing(&told, 0..0), cut(1));
    assert_eq!(missing(&told, 0..2), None);
    let now = told.now;
    assert_eq!(told.bring(0..2, |core, log| core.on_read_answer(now, &page, &bytes, log)), None);
    assert_eq!(told.cuts(), [1], "it was not the log that was promised");
}

#[test]
fn the_beginning_of_a_batch_that_a_takeover_does_not_complete_is_read_before_its_last_page() {
    let mut whole = held(2);
    whole.append_all(batch(&["a", "b", "c", "d"], 1));
    // The log that wins ends within the batch.
    let holder = Told { log: part_of(&whole, 5), ..whole };
    let (saved, log) = first_entry_of(&holder);
    let mut told = behind(&holder, saved, log);
    for _ in 1..4 {
        told.read_page(&holder, 1);
    }
    let (page, bytes) = told.page_asked(&holder, 1);
    let missing = |told: &Told, lent| told.missing(lent, |core, log| core.look_ahead_read_answer(&page, log));
    assert_eq!(missing(&told, 0..2), cut(2), "of what is there the batch goes on");
    assert_eq!(missing(&told, 0..3), None);
    let now = told.now;
    assert_eq!(told.bring(0..3, |core, log| core.on_read_answer(now, &page, &bytes, log)), None);
    assert_eq!(told.cuts(), [2]);
    assert!(told.core.epoch().is_some(), "{:?}", told.core.not_leading());
}

/// Who holds a log that went on under another master after its first entry; and a node, s3, with two more entries of the
/// master before, that is promoted and has asked s1 and s2, of which one is enough.
fn parted() -> (Told, Told) {
    let short = held(1);
    let mut holder = promised(&short);
    holder.read_from(&short);
    assert!(holder.core.epoch().is_some(), "{:?}", holder.core.not_leading());
    let Told { saved, log, .. } = held(3);
    let saved = Identity { whole: true, ..saved };
    let mut told = Told::started(2, saved, log);
    told.core.settings.name = name("s3");
    told.core.settings.start = StartTerms { promote: true, reach: Some(2), ..StartTerms::default() };
    told.pass(1);
    told.answer_for("s1", &holder, None);
    told.answer_for("s2", &holder, None);
    (holder, told)
}

#[test]
fn where_two_logs_part_is_read_before_a_promise_by_which_one_of_them_may_win() {
    let (holder, mut told) = parted();
    let epoch = told.promise_asked();
    told.answer_for("s1", &holder, epoch.clone());
    let state = told.state_of("s2", &holder, epoch);
    let missing = |told: &Told, lent| told.missing(lent, |core, log| core.look_ahead_state(&state, log));
    assert_eq!(missing(&told, 0..0), cut(1));
    assert_eq!(missing(&told, 0..2), None);
    let now = told.now;
    assert_eq!(told.bring(0..2, |core, log| core.on_state(now, state.clone(), log)), None);
    assert_eq!(told.cuts(), [1]);
}

#[test]
fn where_a_log_parts_from_the_first_that_was_promised_is_read_before_that_promise() {
    let (holder, told) = parted();
    let state = told.state_of("s1", &holder, told.promise_asked());
    assert_eq!(told.missing(0..0, |core, log| core.look_ahead_state(&state, log)), cut(1));
}

#[test]
fn where_two_logs_part_is_read_before_the_time_of_a_silent_node_is_over() {
    let (holder, mut told) = parted();
    told.answer_for("s1", &holder, told.promise_asked());
    // Not all at once: the time in which a node looks at no clock is not the others' silence.
    told.pass(4_960);
    let over = told.now.plus(Duration::from_millis(60));
    let missing = |told: &Told, lent| told.missing(lent, |core, log| core.look_ahead_deadline(over, log));
    assert_eq!(missing(&told, 0..0), cut(1));
    assert_eq!(missing(&told, 0..2), None);
    let early = told.missing(0..0, |core, log| core.look_ahead_deadline(told.now, log));
    assert_eq!(early, None, "nothing is due");
    assert!(told.cuts().is_empty());
    assert_eq!(told.bring(0..2, |core, log| core.on_deadline(over, log)), None);
    assert_eq!(told.cuts(), [1]);
}
