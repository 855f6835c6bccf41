//! A batch is everywhere as a whole or not at all.

use replog_shared::{WallTime, entry::EntryLine, store::Reader as _};

use super::*;

pub(super) fn batch(ids: &[&str], w: u64) -> Append {
    Append {
        messages: ids.iter().map(|id| new_message(id, "x")).collect(),
        w: WriteConcern::checked(Some(w), 3).unwrap(),
        expect_order: None,
        deadline: None,
    }
}

/// When each entry was appended, and whether its batch goes on.
fn stamps(told: &Told) -> Vec<(u64, bool)> {
    let entry = |order| told.log.entry(Order::new(order)).unwrap();
    let stamp = |order| {
        let line = entry(order);
        let parsed = EntryLine::parse(&line).unwrap();
        (parsed.at.unwrap().as_ms(), parsed.more)
    };
    (0..told.log.tip().place.length.get()).map(stamp).collect()
}

#[test]
fn all_but_the_last_of_a_batch_say_that_it_goes_on() {
    let mut told = Told::leading();
    told.core.on_wall_clock(WallTime::from_ms(5));
    told.append("a", "x", 1);
    told.append_all(batch(&["b", "c", "d"], 1));
    assert_eq!(stamps(&told), [(5, false), (5, true), (5, true), (5, false)]);
}

#[test]
fn no_entry_is_older_than_the_one_before_it_also_after_a_restart() {
    let mut told = Told::leading();
    for wall in [9, 4, 11] {
        told.core.on_wall_clock(WallTime::from_ms(wall));
        told.append(&wall.to_string(), "x", 1);
    }
    assert_eq!(stamps(&told), [(9, false), (9, false), (11, false)]);
    let mut again = Told::started(2, Identity { whole: true, ..told.saved.clone() }, told.log);
    again.pass(1100);
    again.core.on_wall_clock(WallTime::from_ms(3));
    again.append("d", "x", 1);
    assert_eq!(stamps(&again).last(), Some(&(11, false)));
}

#[test]
fn a_part_of_a_batch_is_held_where_all_of_it_is() {
    let mut told = Told::leading();
    told.append_all(batch(&["a", "b", "c"], 1));
    told.join("s1", 11);
    let ack = told.genuine_ack("s1", 11, 2);
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    let again = told.append("b", "x", 2);
    told.waits += 1;
    let wait = told.waits;
    let w = WriteConcern::checked(Some(2), 3).unwrap();
    told.core.on_wait(WaitId(wait), Order::new(0), w, None, &told.log);
    told.settle();
    assert_eq!((told.outcome(again), told.outcome(wait)), (None, None), "s1 holds two of the three");
    let one = told.append("a", "x", 1);
    match told.outcome(one) {
        Some(WriteOutcome::Met { holders, .. }) => assert_eq!(holders.count(), 0, "it shows none of it"),
        other => panic!("{other:?}"),
    }
    let ack = told.genuine_ack("s1", 11, 3);
    assert_eq!(told.ack(&ack), AckOutcome::Counted);
    assert_eq!((told.met(again).unwrap().count, told.met(wait).unwrap().count), (1, 1));
}

/// The log of a node that got `entries` of what `master` has.
pub(super) fn part_of(master: &Told, entries: u64) -> MemoryStore {
    let mut log = MemoryStore::with_ids(IdSeed::from_random(1));
    while log.tip().place.length < Order::new(entries) {
        let page = master.log.reader().read(log.tip().place.length, Order::new(entries), usize::MAX).unwrap();
        let lines = Lines::checked(page.bytes, log.tip()).unwrap();
        assert!(log.append(&lines));
    }
    log
}

/// A master with the log of `holder` up to `entries`, that is promoted; the others hold `theirs` entries of it.
fn promoted(holder: &Told, entries: u64, theirs: u64) -> Told {
    let saved = Identity { whole: true, ..holder.saved.clone() };
    let mut told = Told::started(2, saved.clone(), part_of(holder, entries));
    told.core.settings.name = name("s3");
    told.core.settings.start = StartTerms { promote: true, ..StartTerms::default() };
    let other = part_of(holder, theirs);
    for _ in 0..2 {
        told.pass(1);
        for node in ["s1", "s2"] {
            told.answer_of(node, &saved, &other);
        }
    }
    if told.core.epoch().is_none() {
        told.read_of(&other, &saved);
    }
    told
}

impl Told {
    fn answer_of(&mut self, node: &str, identity: &Identity, log: &MemoryStore) {
        let promise = self.sent.iter().rev().find_map(|effect| match effect {
            Effect::Promise(_, promise) => Some((promise.request, promise.epoch.clone())),
            _ => None,
        });
        let ask = self.sent.iter().rev().find_map(|effect| match effect {
            Effect::Ask(ask) => Some(ask.request),
            _ => None,
        });
        let sender = Sender { log_id: identity.log_id, ..self.sender(node, 11) };
        let (request, promised) =
            promise.map_or((ask.unwrap(), None), |(request, epoch)| (request, Some(epoch)));
        let state = wire::State::of(sender, request, promised, identity, log, None, OUTLINE_MARKS);
        self.core.on_state(self.now, state, &self.log);
        self.settle();
    }

    fn read_of(&mut self, log: &MemoryStore, identity: &Identity) {
        let read = self.sent.iter().rev().find_map(|effect| match effect {
            Effect::Read(node, read) => Some((node.clone(), read.clone())),
            _ => None,
        });
        let (node, read) = read.expect("it reads");
        let (from, length) = (read.from.length, log.durable().length);
        let page = log.reader().read(from, length, usize::MAX).unwrap();
        let header = wire::EntriesHeader {
            sender: Sender { log_id: identity.log_id, ..self.sender(node.as_str(), 11) },
            epoch: read.epoch,
            from,
            marks_before: None,
            count: page.to.since(from),
            length,
            digest: page.digest,
            request: Some(read.request),
            traces: Vec::new(),
        };
        self.core.on_read_answer(self.now, &header, &page.bytes, &self.log);
        self.settle();
    }
}

/// One entry, a batch of four, one entry.
fn holder() -> Told {
    let mut told = Told::leading();
    told.append("a", "x", 1);
    told.append_all(batch(&["b", "c", "d", "e"], 1));
    told.append("f", "x", 1);
    told
}

#[test]
fn a_promotion_whose_log_ends_within_a_batch_opens_where_that_begins() {
    let whole = holder();
    // (what the promoted node holds, what the others hold, what is kept)
    for (own, theirs, kept) in [(3, 2, 1), (2, 4, 1), (0, 3, 1), (1, 4, 1), (5, 2, 5), (2, 5, 5), (3, 6, 6)] {
        let mut told = promoted(&whole, own, theirs);
        let case = format!("{own} and {theirs}");
        assert!(told.core.epoch().is_some(), "{case}: {:?}", told.core.not_leading());
        assert_eq!(told.log.tip().place, Place::new(Order::new(kept), 2), "{case}");
        assert_eq!(told.log.tip().batch, None, "{case}");
        let notices =
            told.sent.iter().any(|effect| matches!(effect, Effect::Notice(Notice::BatchCut { .. })));
        assert_eq!(notices, kept == 1 && own.max(theirs) > 1, "{case}");
        let again = told.append_all(batch(&["b", "c", "d", "e"], 1));
        let (first, duplicate) = (told.met(again).unwrap().first, told.met(again).unwrap().duplicate);
        assert_eq!((first, duplicate), (Order::new(1), kept > 1), "{case}: wholly known or wholly new");
    }
}

#[test]
fn a_master_whose_log_ends_within_a_batch_does_not_lead_on_alone() {
    let whole = holder();
    let saved = Identity { whole: true, ..whole.saved.clone() };
    let mut told = Told::started(2, saved, part_of(&whole, 3));
    told.pass(1100);
    assert_eq!(told.core.epoch(), None, "a master appends a batch as a whole: something is missing");
}
