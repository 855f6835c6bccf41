use proptest::prelude::*;

use super::*;
use crate::{
    Epoch, Incarnation, Mark, MarkKind, Message, WallTime,
    entry::{self, EntryHead},
};

fn mark(start: u32) -> Mark {
    let owner = "m".parse().unwrap();
    let epoch = Epoch { reign: 1, owner, start, incarnation: Incarnation::from_random(1) };
    Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO }
}

fn append_entries(store: &mut MemoryStore, count: u64, size: usize) {
    let tip = store.tip().clone();
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for nth in 0..count {
        let order = tip.place.length.plus(nth);
        let message = Message::from_json(Bytes::from(format!("\"{}\"", "x".repeat(size)))).unwrap();
        let id = MessageId::new(&format!("id{order}")).unwrap();
        let epoch = tip.epoch.as_ref().unwrap().number();
        let head = EntryHead { order, epoch, at: WallTime::from_ms(order.get()), more: false };
        entry::encode(&mut bytes, head, &id, &message);
        ends.push(bytes.len());
    }
    let last = WallTime::from_ms((tip.place.length.get() + count).saturating_sub(1));
    assert!(store.append(&Lines::of_entries(bytes.into(), ends, last, &tip)));
}

fn append_mark(store: &mut MemoryStore, start: u32) {
    let tip = store.tip().clone();
    assert!(store.append(&Lines::of_mark(mark(start), &tip)));
}

/// All lines, read in pages of at most `limit` bytes.
fn read_all(store: &MemoryStore, limit: usize) -> Vec<u8> {
    let (reader, mut at, mut all) = (store.reader(), Order::ZERO, Vec::new());
    loop {
        let page = reader.read(at, store.tip().place.length, limit).unwrap();
        all.extend_from_slice(&page.bytes);
        if page.to == store.tip().place.length {
            return all;
        }
        assert!(page.to > at, "a page makes progress");
        at = page.to;
    }
}

#[test]
fn pages_give_the_lines_as_they_were_appended() {
    let mut store = MemoryStore::with_ids(IdSeed::from_random(1));
    append_mark(&mut store, 0);
    append_entries(&mut store, 20_000, 100);
    append_mark(&mut store, 1);
    append_entries(&mut store, 5, 3 * crate::store::chunks::CHUNK_BYTES / 2);
    append_mark(&mut store, 2);
    for limit in [1, 1000, 100_000, usize::MAX] {
        let lines = Lines::checked(read_all(&store, limit).into(), &Tip::default()).unwrap();
        assert_eq!(lines.tip(), store.tip());
        assert_eq!(lines.marks(), store.marks());
    }
    assert_eq!(
        store.size(Order::ZERO, Order::new(20_005)) + mark(2).encode().len(),
        read_all(&store, 9999).len()
    );
}

#[test]
fn entries_are_found_by_order_and_by_id() {
    let mut store = MemoryStore::with_ids(IdSeed::from_random(1));
    append_mark(&mut store, 0);
    append_entries(&mut store, 3, 10);
    let line = store.entry(Order::new(0)).unwrap();
    assert_eq!(EntryLine::parse(&line).unwrap().order, Order::ZERO);
    assert_eq!(store.find(&MessageId::new("id2").unwrap()), Some(Order::new(2)));
    assert_eq!(store.find(&MessageId::new("id3").unwrap()), None);
    assert_eq!(store.entry(Order::new(3)), None);
}

#[test]
fn at_the_end_a_page_has_only_the_marks_there() {
    let mut store = MemoryStore::without_ids();
    append_mark(&mut store, 0);
    append_entries(&mut store, 2, 10);
    append_mark(&mut store, 1);
    let page = store.reader().read(Order::new(2), Order::new(9), 1000).unwrap();
    assert_eq!(Mark::parse(&page.bytes).unwrap(), mark(1));
    assert!(store.reader().read(Order::new(3), Order::new(9), 1000).unwrap().bytes.is_empty());
}

#[test]
fn marks_between_two_chunks_survive_a_cut_behind_them() {
    let mut store = MemoryStore::with_ids(IdSeed::from_random(1));
    append_mark(&mut store, 0);
    append_entries(&mut store, 1, 3 * crate::store::chunks::CHUNK_BYTES / 2);
    append_mark(&mut store, 1);
    let (tip, before) = (store.tip().clone(), read_all(&store, usize::MAX));
    append_entries(&mut store, 1, 10);
    assert_eq!(store.truncate(tip.place, Cut::Drop), Ok(Ticket::NONE));
    assert_eq!(read_all(&store, usize::MAX), before);
}

proptest! {
    /// Cutting at any place gives the log that ended there.
    #[test]
    fn a_cut_log_is_the_log_before(steps in proptest::collection::vec((0..4u64, any::<bool>()), 1..12), pick in any::<prop::sample::Index>()) {
        let mut store = MemoryStore::with_ids(IdSeed::from_random(1));
        let mut tips = vec![(store.tip().clone(), Vec::new())];
        append_mark(&mut store, 0);
        for (nth, (entries, with_mark)) in steps.iter().enumerate() {
            tips.push((store.tip().clone(), read_all(&store, 50)));
            append_entries(&mut store, *entries, 10);
            if *with_mark {
                tips.push((store.tip().clone(), read_all(&store, 50)));
                append_mark(&mut store, nth as u32 + 1);
            }
        }
        let (tip, bytes) = pick.get(&tips);
        prop_assert_eq!(store.digest_at(tip.place), Some(tip.digest));
        prop_assert_eq!(store.truncate(tip.place, Cut::Drop), Ok(Ticket::NONE));
        prop_assert_eq!(store.tip(), tip);
        prop_assert_eq!(&read_all(&store, 50), bytes);
        prop_assert_eq!(store.find(&MessageId::new(&format!("id{}", tip.place.length)).unwrap()), None);
        append_mark(&mut store, 99);
        append_entries(&mut store, 1, 5);
        prop_assert!(Lines::checked(read_all(&store, 50).into(), &Tip::default()).is_ok());
    }
}

/// Appends entries that all say that their batch goes on, and perhaps its last one.
fn append_batch(store: &mut MemoryStore, count: u64, ends: bool) {
    let tip = store.tip().clone();
    let mut bytes = Vec::new();
    for nth in 0..count {
        let order = tip.place.length.plus(nth);
        let (id, message) =
            (MessageId::new(&format!("id{order}")).unwrap(), Message::from_json("1".into()).unwrap());
        let more = !ends || nth + 1 < count;
        let (epoch, at) = (tip.epoch.as_ref().unwrap().number(), WallTime::from_ms(7));
        entry::encode(&mut bytes, EntryHead { order, epoch, at, more }, &id, &message);
    }
    assert!(store.append(&Lines::checked(bytes.into(), &tip).unwrap()));
}

#[test]
fn of_a_batch_all_is_visible_or_nothing() {
    let mut store = MemoryStore::with_ids(IdSeed::from_random(1));
    append_mark(&mut store, 0);
    append_entries(&mut store, 2, 1);
    append_batch(&mut store, 3, false);
    assert_eq!((store.visible_through(), store.durable().length), (Order::new(2), Order::new(5)));
    append_batch(&mut store, 2, true);
    assert_eq!(store.visible_through(), Order::new(7));
    for within in 2..7 {
        assert_eq!(store.batch_end(Order::new(within)), Order::new(7), "{within}");
    }
    assert_eq!(store.batch_end(Order::new(1)), Order::new(2));
}

#[test]
fn a_log_cut_within_a_batch_shows_nothing_of_it() {
    let mut store = MemoryStore::with_ids(IdSeed::from_random(1));
    append_mark(&mut store, 0);
    append_entries(&mut store, 2, 1);
    append_batch(&mut store, 4, true);
    store.truncate(Place::new(Order::new(4), 1), Cut::Drop).unwrap();
    assert_eq!((store.tip().batch, store.visible_through()), (Some(Order::new(2)), Order::new(2)));
    assert_eq!(store.tip().at, Some(WallTime::from_ms(7)));
    store.truncate(Place::new(Order::new(2), 1), Cut::Drop).unwrap();
    assert_eq!((store.tip().batch, store.visible_through()), (None, Order::new(2)));
    assert_eq!(store.tip().at, Some(WallTime::from_ms(1)), "that of the last entry that stays");
}
