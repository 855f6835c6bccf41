use std::path::Path;

use replog_shared::Order;

use super::*;
use crate::files::simulated::SimulatedFiles;

fn written(write: u64) -> Written {
    let file = SimulatedFiles::new(1).process().create(Path::new("/file")).unwrap();
    let place = Place::new(Order::new(write), 0);
    Written { write, place, line_bytes: 10 * write, file, lines_end: 100 * write }
}

#[test]
fn a_new_segment_has_nothing_synced_in_it() {
    let pipe = Pipe::new(Durability::Disk, Place::START, || {});
    assert!(pipe.on_written(&written(1)));
    pipe.on_synced(&written(1));
    assert_eq!(pipe.synced_lines_end(), 100);
    pipe.on_segment();
    assert_eq!(pipe.synced_lines_end(), 0);
}

#[test]
fn a_write_is_durable_when_it_is_synced_and_never_two_threads_sync() {
    let pipe = Pipe::new(Durability::Disk, Place::START, || {});
    assert!(pipe.on_written(&written(1)), "nothing waits: the writer syncs");
    assert!(!pipe.on_written(&written(2)), "while somebody syncs, nobody else does");
    assert_eq!(pipe.durable(), Ok(Place::START));
    pipe.on_synced(&written(1));
    assert_eq!(pipe.durable(), Ok(Place::new(Order::new(1), 0)));
    assert_eq!(pipe.next_sync().unwrap().write, 2);
}

#[test]
fn after_a_failure_nothing_moves() {
    let pipe = Pipe::new(Durability::Disk, Place::START, || {});
    assert!(pipe.on_written(&written(1)));
    pipe.fail(&"the disk is gone");
    pipe.fail(&"another reason");
    pipe.on_synced(&written(1));
    let reason = "the disk is gone".to_owned();
    assert_eq!(pipe.durable(), Err(StoreError::Failed { reason }));
    assert!(pipe.next_sync().is_none());
    assert!(matches!(pipe.next_work(None), Work::Stop));
    assert!(pipe.sync_all().is_err());
}
