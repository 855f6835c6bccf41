//! Data directories that a program of format 1 left behind (`tests/data/version1`).

use std::{fs, path::Path};

use replog_shared::{
    Durability, Lines, NodeName, Order, Place, WallTime,
    entry::EntryLine,
    lines::Tip,
    store::{IdSeed, LogView, Store},
};

use super::support::{read_all, run};
use crate::{
    CheckReport, DataDir, DiskStore, NodeFile, OpenMode, OpenOptions, OpenReport, SegmentSizes, check, open,
};

fn kept(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/version1").join(name)
}

/// A copy that may be written to.
fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("log")).unwrap();
    fs::copy(kept(name).join("node.json"), dir.path().join("node.json")).unwrap();
    for file in fs::read_dir(kept(name).join("log")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join("log").join(file.file_name())).unwrap();
    }
    dir
}

fn opened(dir: &Path, node: &NodeName) -> (DiskStore, OpenReport, NodeFile) {
    let dir = DataDir::open(dir).unwrap();
    let file = NodeFile::open(&dir, node, Durability::Disk).unwrap();
    let (level, mode, segments) = (Durability::Disk, OpenMode::Strict, SegmentSizes::default());
    let closed_at = file.facts().log_end;
    let options = OpenOptions { level, ids: Some(IdSeed::from_random(1)), mode, closed_at, segments };
    let (store, report) = open(&dir, options, || {}).unwrap();
    (store, report, file)
}

fn ids(store: &DiskStore) -> Vec<String> {
    let line = |order| store.entry(Order::new(order)).unwrap();
    let id = |order| String::from_utf8(EntryLine::parse(&line(order)).unwrap().id_text().to_vec()).unwrap();
    (0..store.tip().place.length.get()).map(id).collect()
}

const IDS: [&str; 10] =
    ["id0", "id1", "batch0", "batch1", "batch2", "quo\"te", "promoted0", "promoted1", "last", "killed"];

#[test]
fn directories_of_format_1_open_and_hold_what_was_written() {
    for (name, node, length) in
        [("master-closed", "b", 9), ("secondary-closed", "a", 9), ("master-killed", "b", 10)]
    {
        let dir = copy(name);
        let (store, report, file) = opened(dir.path(), &node.parse().unwrap());
        assert_eq!(report.cut_at_damage, None, "{name}");
        assert_eq!(ids(&store), &IDS[..length], "{name}");
        assert_eq!(store.visible_through(), Order::new(length as u64), "{name}");
        assert_eq!((store.tip().at, store.tip().batch), (None, None), "{name}");
        assert!(file.facts().whole && file.facts().log_id.is_some(), "{name}");
        assert!(store.marks().iter().all(|placed| placed.mark.first == Order::ZERO), "{name}");
    }
}

#[test]
fn a_log_of_format_1_goes_on_in_format_2_and_opens_again() {
    let dir = copy("master-killed");
    let node = "b".parse().unwrap();
    let (mut store, _, file) = opened(dir.path(), &node);
    let before = read_all(&store, usize::MAX);
    let lines = run(store.tip(), 3, 10, false);
    assert!(store.append(&lines));
    let tip = store.tip().clone();
    assert_eq!(tip.at, Some(WallTime::from_ms(7)));
    store.close().unwrap();
    drop(file);
    let (store, report, _file) = opened(dir.path(), &node);
    assert_eq!((store.tip(), report.place), (&tip, tip.place));
    let all = read_all(&store, usize::MAX);
    assert_eq!(all[..before.len()], before, "what was written by format 1 is served as it is");
    assert_eq!(Lines::checked(all.into(), &Tip::default()).unwrap().tip(), &tip);
}

#[test]
fn a_check_reads_format_1_and_changes_nothing() {
    let dir = copy("secondary-closed");
    let data_dir = DataDir::open(dir.path()).unwrap();
    let CheckReport { place, .. } = check(&data_dir, None).unwrap();
    assert_eq!(place, Place::new(Order::new(9), 3));
    for file in fs::read_dir(kept("secondary-closed").join("log")).unwrap() {
        let file = file.unwrap();
        let now = fs::read(dir.path().join("log").join(file.file_name())).unwrap();
        assert_eq!(now, fs::read(file.path()).unwrap());
    }
}
