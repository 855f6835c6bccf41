//! What a node must not forget, while clients have every file descriptor: a process of its own, because the limit is one
//! of the process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs::File, iter, sync::mpsc, thread, time::Duration};

use replog_disk::{DataDir, NodeFile};
use replog_shared::Durability;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Opens files until there is no descriptor left.
fn take_all_descriptors() -> Vec<File> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
    iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[test]
fn a_node_has_kept_the_descriptor_that_a_save_needs() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    let mut file = NodeFile::open(&dir, &"node1".parse().unwrap(), Durability::Disk).unwrap();
    file.begin_run(false).unwrap();
    let taken = take_all_descriptors();
    let (saved, hears) = mpsc::sync_channel(1);
    // It writes a new file, and syncs its directory behind it: one at a time.
    thread::spawn(move || saved.send(file.update(|facts| facts.whole = true).is_ok()));
    let saved = hears.recv_timeout(Duration::from_secs(10));
    drop(taken);
    assert_eq!(saved, Ok(true), "it waits for a descriptor that others have");
}
