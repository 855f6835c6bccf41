use proptest::prelude::*;

use super::*;
use crate::{
    Epoch, EpochNumber, Incarnation, Lines, MarkKind, Message, MessageId, WallTime,
    entry::{self, EntryHead},
    lines::{self, Tip},
    store::{MemoryStore, Reader as _},
};

/// A log that has so many marks before each entry, and so many at its end.
fn log(marks_at: &[u32]) -> MemoryStore {
    let mut log = MemoryStore::without_ids();
    let mut reign = 0;
    for (order, marks) in marks_at.iter().enumerate() {
        for _ in 0..*marks {
            reign += 1;
            let owner = "m".parse().unwrap();
            let epoch = Epoch { reign, owner, start: 0, incarnation: Incarnation::from_random(1) };
            let mark = Mark {
                epoch,
                kind: MarkKind::Promotion,
                reached: vec![],
                members: vec![],
                first: Order::ZERO,
            };
            assert!(log.append(&Lines::of_mark(mark, log.tip())));
        }
        if order + 1 < marks_at.len() {
            let message = Message::from_json(Bytes::from_static(b"\"x\"")).unwrap();
            let id = MessageId::new(&format!("id{order}")).unwrap();
            let mut line = Vec::new();
            let (order, epoch) = (Order::new(order as u64), EpochNumber { reign, start: 0 });
            let head = EntryHead { order, epoch, at: WallTime::from_ms(7), more: false };
            entry::encode(&mut line, head, &id, &message);
            let end = line.len();
            assert!(log.append(&Lines::of_entries(line.into(), [end], WallTime::from_ms(7), log.tip())));
        }
    }
    log
}

fn read(log: &MemoryStore, span: Span) -> (Span, Page) {
    let (from, to, bytes) = span.to_read();
    span.part_of(log, log.reader().read(from, to, bytes).unwrap())
}

/// Copies a log part by part; returns the copy and the sizes of the parts.
fn copied(log: &MemoryStore, bytes: usize) -> (MemoryStore, Vec<usize>) {
    let mut copy = MemoryStore::without_ids();
    let mut sizes = Vec::new();
    while copy.tip().place != log.tip().place {
        let span = Span::fitting(log, copy.tip().place, log.tip().place, bytes);
        assert!(!span.is_empty(), "it goes on at {:?}", copy.tip().place);
        let (planned, size) = (span, span.size(log));
        let (span, page) = read(log, span);
        assert_eq!(span, planned, "a page of a log in memory does not end sooner");
        assert_eq!((page.bytes.len(), page.to.since(span.from.length)), (size, span.entries()));
        let unseen = lines::unseen(&page.bytes, span.from, copy.tip()).unwrap();
        let run = Lines::checked(unseen, copy.tip()).unwrap();
        assert_eq!((run.tip().place, run.tip().digest), (span.to, page.digest));
        assert!(copy.append(&run));
        sizes.push(page.bytes.len());
    }
    (copy, sizes)
}

#[test]
fn marks_at_one_order_are_sent_in_parts_and_never_with_what_does_not_fit() {
    let log = log(&[1, 0, 500, 0, 300]);
    for bytes in [1, 200, 1_000, 20_000, usize::MAX] {
        let (copy, sizes) = copied(&log, bytes);
        assert_eq!(copy.tip(), log.tip());
        let most = sizes.iter().max().unwrap();
        assert!(*most <= bytes.max(250), "{most} of {bytes}");
    }
}

#[test]
fn entries_for_a_node_that_has_the_marks_come_without_them() {
    let log = log(&[1, 0, 500, 0, 0]);
    let span = Span::of_entries(&log, Order::new(2), Order::new(4), usize::MAX);
    assert_eq!((span.from, span.to), (Place::new(Order::new(2), 501), Place::new(Order::new(4), 501)));
    let (span, page) = read(&log, span);
    assert!(page.bytes.starts_with(b"{\"order\":2") && page.bytes.len() == span.size(&log));
    let exactly = Span::of_entries(&log, Order::new(2), Order::new(4), page.bytes.len());
    assert_eq!(exactly.to, span.to, "the marks take nothing of their room");
    let behind_marks = Span::fitting(&log, span.from, log.tip().place, page.bytes.len());
    assert_eq!(behind_marks.to, span.to);
    let one = Span::of_entries(&log, Order::new(2), Order::new(4), 1);
    assert_eq!(one.to, Place::new(Order::new(3), 501));
    assert!(Span::of_entries(&log, Order::new(4), Order::new(4), 1).is_empty());
}

/// The same log with its marks as format 1 has them.
fn of_format_1(log: &MemoryStore) -> MemoryStore {
    let mut old = MemoryStore::without_ids();
    let all = log.reader().read(Order::ZERO, log.tip().place.length, usize::MAX).unwrap().bytes;
    for line in String::from_utf8(all.to_vec()).unwrap().split_inclusive('\n') {
        let line = line.replace(",\"first\":0", "");
        assert!(old.append(&Lines::checked(line.into(), old.tip()).unwrap()));
    }
    old
}

#[test]
fn marks_of_format_1_before_a_part_are_counted_as_they_are() {
    let new = log(&[1, 0, 5, 0, 0]);
    let old = of_format_1(&new);
    assert_eq!(old.tip().place, new.tip().place);
    assert!(old.size(Order::ZERO, Order::new(4)) < new.size(Order::ZERO, Order::new(4)));
    let planned = Span::of_entries(&old, Order::new(2), Order::new(4), usize::MAX);
    let (span, page) = read(&old, planned);
    assert_eq!((span, page.bytes.len()), (planned, planned.size(&old)));
}

#[test]
fn a_part_that_begins_between_two_marks_has_marks_alone() {
    let log = log(&[1, 0, 5, 0, 0]);
    let (tip, at) = (log.tip().place, |marks| Place::new(Order::new(2), marks));
    let between = Span::fitting(&log, at(3), tip, usize::MAX);
    assert_eq!((between.from, between.to), (at(3), at(6)));
    assert_eq!(between.to_read().2, 0, "no page of entries is read for it");
    let (before, after) =
        (Span::fitting(&log, at(1), tip, usize::MAX), Span::fitting(&log, at(6), tip, usize::MAX));
    assert_eq!((before.to, after.to), (tip, tip));
}

#[test]
fn the_last_part_of_a_log_has_the_marks_at_its_end_as_far_as_they_fit() {
    let (log, longer) = (log(&[1, 0, 3]), log(&[1, 0, 3, 0]));
    let (tip, whole) = (log.tip().place, copied(&log, usize::MAX).1);
    assert_eq!(whole.len(), 1);
    let short = Span::fitting(&log, Place::START, tip, whole[0] - 1);
    assert_eq!(short.to, Place::new(tip.length, tip.marks - 1));
    // Of marks that an entry follows a page has none at its end.
    let span = Span::fitting(&longer, Place::START, Place::new(Order::new(2), 3), usize::MAX);
    assert_eq!(span.to, Place::new(Order::new(2), 1));
}

#[test]
fn a_part_begins_and_ends_within_the_log() {
    let log = log(&[2, 3, 2]);
    let end = Place::new(Order::new(1), 4);
    for from in [Place::new(Order::new(9), 0), Place::new(Order::new(1), 77), Place::new(Order::new(1), 4)] {
        let span = Span::fitting(&log, from, end, 1_000);
        assert_eq!((span.from, span.to), (end, end));
    }
    let early = Span::fitting(&log, Place::new(Order::new(1), 0), end, usize::MAX);
    assert_eq!((early.from, early.to), (Place::new(Order::new(1), 2), end));
}

proptest! {
    #[test]
    fn any_log_is_copied_in_parts_that_fit(
        marks in proptest::collection::vec(0..5u32, 1..12), bytes in 1..2_000usize,
    ) {
        let mut marks = marks;
        marks[0] += 1;
        let log = log(&marks);
        let (copy, sizes) = copied(&log, bytes);
        prop_assert_eq!(copy.tip(), log.tip());
        prop_assert!(sizes.iter().all(|size| *size <= bytes.max(150)));
    }

    #[test]
    fn a_part_from_any_place_to_any_place_is_what_stands_between(
        marks in proptest::collection::vec(0..4u32, 1..8), from in 0..40usize, to in 0..40usize,
    ) {
        let mut marks = marks;
        marks[0] += 1;
        let log = log(&marks);
        let mut tips = vec![Tip::default()];
        let all = log.reader().read(Order::ZERO, log.tip().place.length, usize::MAX).unwrap().bytes;
        for line in all.split_inclusive(|byte| *byte == b'\n') {
            let run = Lines::checked(Bytes::copy_from_slice(line), tips.last().unwrap()).unwrap();
            tips.push(run.tip().clone());
        }
        let (from, to) = (from % tips.len(), to % tips.len());
        let (from, to) = (from.min(to), from.max(to));
        let planned = Span::fitting(&log, tips[from].place, tips[to].place, usize::MAX);
        let (span, page) = read(&log, planned);
        prop_assert_eq!((span, page.bytes.len()), (planned, planned.size(&log)));
        let run = Lines::checked(page.bytes, &tips[from]).unwrap();
        prop_assert_eq!((run.tip().place, run.tip().digest), (span.to, page.digest));
        prop_assert!(span.to <= tips[to].place && (span.to > span.from || from == to));
    }
}
