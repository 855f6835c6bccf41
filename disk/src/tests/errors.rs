//! A disk that says no: the store stops for good, and nothing is durable that is not on the disk.

use replog_shared::store::{Cut, LogView, Reader, Store, StoreError};

use super::support::*;
use crate::files::simulated::SimulatedFiles;

/// A log with one durable run, and what it must hold after whatever comes.
fn begun(files: &SimulatedFiles) -> (Log, Model) {
    let (mut log, mut model) = (Log::open(files, STRICT).unwrap(), Model::new());
    let lines = run(log.store.tip(), 2, 10, true);
    assert!(log.store.append(&lines));
    model.on_append(&lines);
    log.settle().unwrap();
    (log, model)
}

fn assert_failed_for_good(log: &mut Log, files: &SimulatedFiles) {
    let durable = log.store.durable();
    let syncs = files.syncs(".log");
    for _ in 0..3 {
        let lines = run(log.store.tip(), 1, 10, false);
        assert!(!log.store.append(&lines), "a store that failed takes nothing");
        assert!(matches!(log.store.refresh(), Err(StoreError::Failed { .. })));
        assert!(matches!(log.store.truncate(place(1, 1), Cut::Drop), Err(StoreError::Failed { .. })));
    }
    assert_eq!(log.store.durable(), durable, "and nothing becomes durable");
    assert!(log.store.failure().is_some());
    assert_eq!(files.syncs(".log"), syncs, "and nothing is synced again");
}

#[test]
fn a_sync_that_failed_is_never_tried_again() {
    for seed in 0..20 {
        let files = SimulatedFiles::new(seed);
        let (mut log, model) = begun(&files);
        files.hold_syncs(true);
        log.append(1, 10, false);
        files.fail_syncs(1, ".log");
        files.hold_syncs(false);
        assert!(matches!(log.settle(), Err(StoreError::Failed { .. })));
        assert_eq!(log.store.durable(), place(2, 1));
        assert_failed_for_good(&mut log, &files);
        files.crash_power();
        drop(log);
        assert_holds(&Log::open(&files, STRICT).unwrap(), &model);
    }
}

#[test]
fn a_full_disk_stops_the_store_and_loses_nothing() {
    for free in [0, 1, 40, 100] {
        let files = SimulatedFiles::new(free);
        let (mut log, model) = begun(&files);
        files.fill_up(free);
        // More than there are zeros in the segment and its spare.
        log.append(3, 900, false);
        assert!(log.settle().is_err());
        assert_failed_for_good(&mut log, &files);
        files.crash_process();
        drop(log);
        assert_holds(&Log::open(&files, STRICT).unwrap(), &model);
    }
}

/// A sync fails, its process dies, and the system shows what is not on the disk as if it were: the next sync of it
/// would write nothing.
#[test]
fn what_a_failed_sync_lost_is_written_once_more_by_the_next_start() {
    for seed in 0..20 {
        let files = SimulatedFiles::new(seed);
        let (mut log, mut model) = begun(&files);
        let lines = run(log.store.tip(), 2, 10, false);
        files.hold_syncs(true);
        assert!(log.store.append(&lines));
        wait_until_written(&files, b"id3");
        files.fail_syncs(1, ".log");
        files.hold_syncs(false);
        assert!(log.settle().is_err());
        files.crash_process();
        drop(log);
        let log = Log::open(&files, STRICT).unwrap();
        model.on_append(&lines);
        assert_holds(&log, &model);
        // All that a log holds when it is open is on the disk: it may be acked at once.
        files.crash_power();
        drop(log);
        assert_holds(&Log::open(&files, STRICT).unwrap(), &model);
    }
}

#[test]
fn a_disk_that_is_full_needs_no_room_for_a_log_that_was_closed_or_killed() {
    for closed in [false, true] {
        let files = SimulatedFiles::new(1);
        let (mut log, model) = begun(&files);
        log.settle().unwrap();
        match closed {
            true => log.store.close().unwrap(),
            false => {
                files.crash_process();
                drop(log);
            }
        }
        files.fill_up(0);
        let log = Log::open(&files, STRICT).unwrap();
        assert_holds(&log, &model);
        files.crash_power();
        drop(log);
        assert_holds(&Log::open(&files, STRICT).unwrap(), &model);
    }
}

#[test]
fn short_writes_are_continued() {
    let files = SimulatedFiles::new(1);
    files.write_short(true);
    let (log, model) = begun(&files);
    assert_holds(&log, &model);
    drop(log);
    assert_holds(&Log::open(&files, STRICT).unwrap(), &model);
}

#[test]
fn an_id_that_cannot_be_read_is_not_unknown() {
    let files = SimulatedFiles::new(1);
    let (log, _) = begun(&files);
    log.store.close().unwrap();
    let mut log = Log::open(&files, STRICT).unwrap();
    let (path, content) = segments(&files).remove(0);
    let at = content.windows(3).position(|bytes| bytes == b"id1").unwrap();
    flip(&files, &path, at * 8);
    assert_eq!(log.store.find(&id_of(replog_shared::Order::new(1))), None);
    assert!(log.store.failure().is_some(), "the node learns of it before it executes what its core decided");
    assert!(log.store.reader().read(place(0, 0).length, place(2, 0).length, 999).is_err());
    assert_failed_for_good(&mut log, &files);
}

#[test]
fn damage_is_never_read() {
    let files = SimulatedFiles::new(1);
    let (log, model) = begun(&files);
    log.store.close().unwrap();
    let (path, content) = segments(&files).remove(0);
    // Behind the segment's header, which was checked when the log was opened.
    for bit in 64 * 8..content.len() * 8 {
        let log = Log::open(&files, STRICT).unwrap();
        flip(&files, &path, bit);
        if let Ok(page) = log.store.reader().read(place(0, 0).length, place(2, 0).length, 9_999) {
            assert!(page.bytes == model.bytes, "bit {bit}");
        } else {
            assert!(log.store.failure().is_some());
        }
        flip(&files, &path, bit);
    }
}
