//! The log as its node sees it, while nothing fails.

use replog_shared::{
    Durability, Order,
    store::{Cut, LogView, Reader, Store},
};

use super::support::*;
use crate::{DataDir, DataDirError, OpenError, OpenOptions, SegmentSizes, files::simulated::SimulatedFiles};

fn filled(files: &SimulatedFiles, options: OpenOptions) -> (Log, Model) {
    let (mut log, mut model) = (Log::open(files, options).unwrap(), Model::new());
    for nth in 0..20 {
        let lines = run(log.store.tip(), nth % 4, 20, nth % 5 == 0);
        assert!(log.store.append(&lines));
        model.on_append(&lines);
    }
    log.settle().unwrap();
    (log, model)
}

#[test]
fn what_was_appended_is_there_before_and_after_a_restart() {
    let files = SimulatedFiles::new(1);
    let (log, model) = filled(&files, STRICT);
    assert_holds(&log, &model);
    log.store.close().unwrap();
    let log = Log::open(&files, STRICT).unwrap();
    assert!(segments(&files).len() >= 3, "several segments were written");
    assert_eq!(log.report.torn_tail, None);
    assert_holds(&log, &model);
}

#[test]
fn a_log_goes_on_after_a_restart() {
    let files = SimulatedFiles::new(1);
    let (log, mut model) = filled(&files, STRICT);
    drop(log);
    for _ in 0..3 {
        let mut log = Log::open(&files, STRICT).unwrap();
        let lines = run(log.store.tip(), 3, 30, true);
        assert!(log.store.append(&lines));
        model.on_append(&lines);
        assert_holds(&log, &model);
    }
    assert_holds(&Log::open(&files, STRICT).unwrap(), &model);
}

#[test]
fn a_log_that_is_opened_and_closed_does_not_grow() {
    let files = SimulatedFiles::new(1);
    drop(filled(&files, STRICT));
    let before = files.content(&root());
    for _ in 0..3 {
        Log::open(&files, STRICT).unwrap().store.close().unwrap();
    }
    assert!(files.content(&root()) == before);
}

#[test]
fn durable_moves_only_when_it_is_asked_for() {
    let files = SimulatedFiles::new(1);
    let mut log = Log::open(&files, STRICT).unwrap();
    files.hold_syncs(true);
    log.append(1, 10, true);
    log.store.refresh().unwrap();
    assert_eq!(log.store.durable(), place(0, 0));
    assert!(log.store.pending_bytes() > 0);
    files.hold_syncs(false);
    log.settle().unwrap();
    assert_eq!(log.store.durable(), place(1, 1));
    assert_eq!(log.store.pending_bytes(), 0);
}

#[test]
fn at_level_os_written_is_durable() {
    let files = SimulatedFiles::new(1);
    let options = OpenOptions { level: Durability::Os, segments: SegmentSizes::default(), ..STRICT };
    let mut log = Log::open(&files, options).unwrap();
    log.append(1, 10, true);
    log.settle().unwrap();
    log.append(5, 10, false);
    files.hold_syncs(true);
    log.settle().unwrap();
    files.crash_process();
    drop(log);
    assert_eq!(Log::open(&files, STRICT).unwrap().store.tip().place, place(6, 1));
}

#[test]
fn a_cut_log_is_the_log_before_at_every_place() {
    let files = SimulatedFiles::new(1);
    let (log, model) = filled(&files, STRICT);
    drop(log);
    for (tip, bytes) in model.all_places() {
        let files = SimulatedFiles::new(1);
        let (mut log, mut model) = filled(&files, STRICT);
        let entries_go = tip.place.length < log.store.tip().place.length;
        let cut = if entries_go { model.bytes[bytes..].to_vec() } else { Vec::new() };
        log.cut(tip.place, Cut::Quarantine);
        assert_eq!(!quarantine(&files).is_empty(), entries_go, "marks alone are nobody's loss");
        model.cut_within(&tip, bytes);
        assert_holds(&log, &model);
        files.crash_power();
        assert!(quarantined(&files) == cut, "what was cut is in quarantine, durable");
        drop(log);
        let mut log = Log::open(&files, STRICT).unwrap();
        assert_holds(&log, &model);
        log.append(2, 10, true);
        log.settle().unwrap();
    }
}

#[test]
fn a_whole_log_is_cut_without_room_for_a_copy() {
    for kept in [Cut::Quarantine, Cut::Drop] {
        let files = SimulatedFiles::new(1);
        let (mut log, model) = filled(&files, STRICT);
        log.store.close().unwrap();
        log = Log::open(&files, STRICT).unwrap();
        let before: usize = segments(&files).iter().map(|(_, content)| content.len()).sum();
        files.fill_up(0);
        log.cut(place(0, 0), kept);
        let moved: usize = quarantine(&files).iter().map(|(_, content)| content.len()).sum();
        files.crash_power();
        let all = if kept == Cut::Quarantine { (before, model.bytes) } else { (0, Vec::new()) };
        assert_eq!(moved, all.0, "{kept:?}: as they were");
        assert!(quarantined(&files) == all.1, "{kept:?}: and nothing twice");
        drop(log);
        assert_eq!(Log::open(&files, STRICT).unwrap().store.tip(), &replog_shared::lines::Tip::default());
    }
}

#[test]
fn a_cut_elsewhere_is_refused_and_changes_nothing() {
    let files = SimulatedFiles::new(1);
    let (mut log, model) = filled(&files, STRICT);
    assert!(log.store.truncate(place(99, 1), Cut::Drop).is_err());
    assert!(log.store.truncate(place(3, 4), Cut::Drop).is_err());
    assert_holds(&log, &model);
}

#[test]
fn a_page_ends_where_it_should() {
    let files = SimulatedFiles::new(1);
    let (log, _) = filled(&files, STRICT);
    drop(log);
    let log = Log::open(&files, STRICT).unwrap();
    let (store, length) = (&log.store, log.store.tip().place.length);
    for from in 0..length.get() {
        let from = Order::new(from);
        for limit in [1, 150, 400, 5_000] {
            let (end, page) = (store.fit(from, limit), store.reader().read(from, length, limit).unwrap());
            assert!(end > from && page.to > from);
            assert!(end == from.next() || store.size(from, end) <= limit);
            assert!(page.to == from.next() || page.bytes.len() <= limit || page.to == length);
            assert_eq!(store.reader().read(from, from.next(), limit).unwrap().to, from.next());
        }
    }
}

#[test]
fn what_is_in_memory_is_had_without_the_disk() {
    let files = SimulatedFiles::new(1);
    let (log, _) = filled(&files, STRICT);
    drop(log);
    let mut log = Log::open(&files, STRICT).unwrap();
    let before = log.store.tip().place.length;
    log.append(3, 10, true);
    let (reader, length) = (log.store.reader(), log.store.tip().place.length);
    for from in (0..=length.get()).map(Order::new) {
        let (recent, read) = (reader.recent(from, length, 100), reader.read(from, length, 100).unwrap());
        assert_eq!(recent.is_some(), from >= before, "{from}");
        assert!(recent.is_none_or(|page| (page.bytes, page.to) == (read.bytes, read.to)));
    }
}

#[test]
fn a_directory_belongs_to_one_process() {
    let files = SimulatedFiles::new(1);
    let dir = DataDir::on(files.process(), &root()).unwrap();
    assert!(matches!(DataDir::on(files.process(), &root()), Err(DataDirError::InUse { .. })));
    let log = Log::open_in(&dir, STRICT).unwrap();
    drop(dir);
    assert!(DataDir::on(files.process(), &root()).is_err(), "the store keeps it");
    drop(log);
    assert!(DataDir::on(files.process(), &root()).is_ok());
}

#[test]
fn the_level_memory_is_refused() {
    let files = SimulatedFiles::new(1);
    let options = OpenOptions { level: Durability::Memory, ..STRICT };
    assert!(matches!(Log::open(&files, options), Err(OpenError::NotOnDisk)));
}

#[test]
fn real_files_hold_a_log_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = Model::new();
    for _ in 0..3 {
        let dir = DataDir::open(folder.path()).unwrap();
        assert!(DataDir::open(folder.path()).is_err(), "the directory is locked");
        let mut log = Log::open_in(&dir, STRICT).unwrap();
        for _ in 0..20 {
            let lines = run(log.store.tip(), 4, 30, true);
            assert!(log.store.append(&lines));
            model.on_append(&lines);
        }
        log.settle().unwrap();
        assert_holds(&log, &model);
        let (tip, bytes) = model.all_places()[model.all_places().len() - 4].clone();
        log.cut(tip.place, Cut::Quarantine);
        model.cut_within(&tip, bytes);
        assert_holds(&log, &model);
        log.store.close().unwrap();
    }
}
