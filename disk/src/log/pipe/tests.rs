use std::path::Path;

use replog_shared::{Digest, Order, store::Cut};

use super::*;
use crate::{files::simulated::SimulatedFiles, log::cut::CutAt};

fn written(write: u64) -> Written {
    let file = SimulatedFiles::new(1).process().create(Path::new("/file")).unwrap();
    let place = Place::new(Order::new(write), 0);
    Written { write, place, line_bytes: 10 * write, file, lines_end: 100 * write }
}

#[test]
fn a_new_segment_has_nothing_synced_in_it() {
    let pipe = Pipe::new(Durability::Disk, Place::START, || {});
    assert!(pipe.on_written(&written(1)));
    pipe.on_synced(&written(1), Duration::ZERO);
    assert_eq!(pipe.synced_lines_end(), 100);
    pipe.on_segment();
    assert_eq!(pipe.synced_lines_end(), 0);
}

#[test]
fn a_write_is_durable_when_it_is_synced_and_never_two_threads_sync() {
    let pipe = Pipe::new(Durability::Disk, Place::START, || {});
    assert!(pipe.on_written(&written(1)), "nothing waits: the writer syncs");
    assert!(!pipe.on_written(&written(2)), "while somebody syncs, nobody else does");
    assert_eq!(pipe.reached().map(|reached| reached.durable), Ok(Place::START));
    pipe.on_synced(&written(1), Duration::ZERO);
    assert_eq!(pipe.reached().map(|reached| reached.durable), Ok(Place::new(Order::new(1), 0)));
    assert_eq!(pipe.next_sync().unwrap().write, 2);
}

#[test]
fn a_cut_that_is_done_makes_nothing_durable_that_a_later_cut_takes_away() {
    let place = |length| Place::new(Order::new(length), 0);
    let pipe = Pipe::new(Durability::Disk, place(9), || {});
    let durable = || pipe.reached().map(|reached| reached.durable);
    let cut = |length| {
        let at = CutAt::new(place(length), Digest::EMPTY, Order::new(9), &[]);
        pipe.give(Errand::Cut(at, Cut::Drop))
    };
    let [first, second, third] = [cut(7), cut(2), cut(4)];
    assert_eq!(durable(), Ok(place(2)));
    pipe.on_done(first);
    assert_eq!(durable(), Ok(place(2)), "the next cut is still to come");
    pipe.on_done(second);
    assert_eq!(durable(), Ok(place(2)));
    pipe.on_done(third);
    assert_eq!(durable(), Ok(place(4)));
}

#[test]
fn after_a_failure_nothing_moves() {
    let pipe = Pipe::new(Durability::Disk, Place::START, || {});
    assert!(pipe.on_written(&written(1)));
    pipe.fail(&"the disk is gone");
    pipe.fail(&"another reason");
    pipe.on_synced(&written(1), Duration::ZERO);
    let reason = "the disk is gone".to_owned();
    assert_eq!(pipe.reached(), Err(StoreError::Failed { reason }));
    assert!(pipe.next_sync().is_none());
    assert!(matches!(pipe.next_work(None), Work::Stop));
    assert!(pipe.sync_all().is_err());
}

#[test]
fn a_sync_is_told_with_its_time_and_the_entries_that_it_made_durable() {
    let pipe = Pipe::new(Durability::Disk, Place::new(Order::new(3), 0), || {});
    assert!(pipe.on_written(&written(7)));
    pipe.on_synced(&written(7), Duration::from_millis(3));
    // The end of a segment is synced again.
    pipe.on_synced(&written(7), Duration::from_millis(1));
    let StoreFigures { group_entries, sync_times, .. } = pipe.figures();
    assert_eq!((group_entries.count(), group_entries.sum()), (1, 4));
    assert_eq!((sync_times.count(), sync_times.sum()), (2, 4_000_000));
}

#[test]
fn below_level_disk_groups_are_told_and_no_syncs() {
    let pipe = Pipe::new(Durability::Os, Place::START, || {});
    assert!(!pipe.on_written(&written(5)));
    let StoreFigures { group_entries, sync_times, .. } = pipe.figures();
    assert_eq!((group_entries.sum(), sync_times.count()), (5, 0));
}
