//! Batches that a node gets in parts.

use replog_shared::{
    Lines, Message, MessageId, Order, Place, WallTime,
    entry::{self, EntryHead},
    lines::Tip,
    store::{Cut, LogView, Store},
};

use super::support::{Log, STRICT, run};
use crate::files::simulated::SimulatedFiles;

/// A part of a batch behind `tip`; `ends`: its last entry ends the batch.
fn part(tip: &Tip, count: u64, ends: bool) -> Lines {
    let mut bytes = Vec::new();
    for nth in 0..count {
        let order = tip.place.length.plus(nth);
        let id = MessageId::new(&format!("id{order}")).unwrap();
        let message = Message::from_json(format!("\"{}\"", "x".repeat(200)).into()).unwrap();
        let epoch = tip.epoch.as_ref().unwrap().number();
        let head = EntryHead { order, epoch, at: WallTime::from_ms(9), more: !ends || nth + 1 < count };
        entry::encode(&mut bytes, head, &id, &message);
    }
    Lines::checked(bytes.into(), tip).unwrap()
}

fn append(log: &mut Log, lines: &Lines) {
    assert!(log.store.append(lines));
    log.settle().unwrap();
}

#[test]
fn nothing_of_a_batch_is_visible_before_all_of_it_is_durable_also_after_a_restart() {
    let files = SimulatedFiles::new(1);
    let mut log = Log::open(&files, STRICT).unwrap();
    let first = run(log.store.tip(), 2, 10, true);
    append(&mut log, &first);
    // So large that its parts lie in several segments.
    for _ in 0..3 {
        let lines = part(log.store.tip(), 4, false);
        append(&mut log, &lines);
        assert_eq!(log.store.visible_through(), Order::new(2));
    }
    log.store.close().unwrap();
    let mut log = Log::open(&files, STRICT).unwrap();
    assert!(log.report.segments > 2, "{} segments", log.report.segments);
    assert_eq!((log.store.tip().batch, log.store.visible_through()), (Some(Order::new(2)), Order::new(2)));
    assert_eq!(log.store.batch_end(Order::new(3)), Order::new(14), "as far as it is there");
    let last = part(log.store.tip(), 2, true);
    append(&mut log, &last);
    assert_eq!(log.store.visible_through(), Order::new(16));
    for within in [2, 9, 15] {
        assert_eq!(log.store.batch_end(Order::new(within)), Order::new(16));
    }
    log.store.truncate(Place::new(Order::new(9), 1), Cut::Drop).unwrap();
    assert_eq!((log.store.tip().batch, log.store.visible_through()), (Some(Order::new(2)), Order::new(2)));
    log.store.truncate(Place::new(Order::new(2), 1), Cut::Drop).unwrap();
    assert_eq!((log.store.tip().batch, log.store.visible_through()), (None, Order::new(2)));
}
