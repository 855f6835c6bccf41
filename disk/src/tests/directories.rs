//! The directory's own name, and what earlier processes left in it.

use std::path::{Path, PathBuf};

use replog_shared::store::Store;

use super::support::*;
use crate::{
    DataDir,
    files::simulated::{Contents, PowerLoss, SimulatedFiles},
};

/// Nothing is on the disk but what was synced.
const ALL_IS_LOST: PowerLoss = PowerLoss { contents: Contents::None, names: 0 };

#[test]
fn each_directory_that_was_created_is_on_the_disk_with_those_above_it() {
    let files = SimulatedFiles::new(1);
    let nested = Path::new("/var/lib/replog/node1");
    drop(DataDir::on(files.process(), nested).unwrap());
    files.put(&nested.join("node.json"), b"facts");
    files.lose_power(ALL_IS_LOST);
    assert_eq!(files.content(nested).into_keys().collect::<Vec<_>>(), [nested.join("node.json")]);
    let names = files.process().list(nested).unwrap();
    assert!(names.contains(&"log".to_owned()), "{names:?}");
}

#[test]
fn a_directory_whose_name_a_process_did_not_come_to_sync_is_synced_by_the_next() {
    let files = SimulatedFiles::new(1);
    assert!(files.process().create_dir(Path::new("/data")).unwrap());
    files.crash_process();
    drop(DataDir::on(files.process(), &root()).unwrap());
    files.lose_power(ALL_IS_LOST);
    assert!(!files.process().create_dir(Path::new("/data")).unwrap(), "it is there");
}

#[test]
fn what_was_not_put_into_place_is_removed_at_the_next_start() {
    let (files, model) = closed(9);
    let left: Vec<PathBuf> = [
        "node.json.tmp",
        "log/spare-3.tmp",
        "log/1.tmp",
        "quarantine/1-3-9.ndjson.tmp",
        "quarantine/2-x.log.tmp",
    ]
    .map(|name| root().join(name))
    .into();
    let kept = [root().join("quarantine/1-3-9.ndjson"), root().join("operators.txt")];
    left.iter().chain(&kept).for_each(|path| files.put(path, b"something"));
    let log = Log::open(&files, STRICT).unwrap();
    assert_holds(&log, &model);
    log.store.close().unwrap();
    let there = files.content(&root());
    assert!(left.iter().all(|path| !there.contains_key(path)), "{:?}", there.keys());
    assert!(kept.iter().all(|path| there.contains_key(path)), "{:?}", there.keys());
}

#[test]
fn a_start_that_refuses_changes_nothing() {
    let (files, _) = closed(9);
    files.put(&root().join("quarantine/1-3-9.ndjson.tmp"), b"something");
    let (path, content) = segments(&files).remove(1);
    flip(&files, &path, content.len() * 4);
    let before = files.content(&root());
    assert!(Log::open(&files, STRICT).is_err());
    assert_eq!(files.content(&root()), before);
}
