//! What a store is given takes effect in order, and nobody waits for it.

use std::sync::{Arc, Mutex};

use replog_shared::store::{Cut, LogView, Reader, Store, StoreError, Ticket};

use super::support::*;
use crate::files::simulated::SimulatedFiles;

/// Bytes of messages that are cut, which no other message has.
const CUT_SIZE: usize = 31;

/// Notes whether lines with messages of [`CUT_SIZE`] are in the log when its turn comes.
fn look(log: &mut Log, files: &SimulatedFiles, seen: &Arc<Mutex<Vec<bool>>>) -> Ticket {
    let (files, seen) = (files.clone(), seen.clone());
    let wanted = "x".repeat(CUT_SIZE).into_bytes();
    log.store.run(Box::new(move || {
        let is_there = |content: &[u8]| content.windows(CUT_SIZE).any(|bytes| bytes == wanted);
        seen.lock().unwrap().push(segments(&files).iter().any(|(_, content)| is_there(content)));
        Ok(())
    }))
}

#[test]
fn nothing_waits_for_a_disk_that_stands_still() {
    for kept in [Cut::Quarantine, Cut::Drop] {
        let files = SimulatedFiles::new(1);
        let mut log = Log::open(&files, STRICT).unwrap();
        log.append(3, 10, true);
        log.settle().unwrap();
        files.hold_syncs(true);
        log.append(4, CUT_SIZE, false);
        let seen = Arc::default();
        let before = look(&mut log, &files, &seen);
        let cut = log.store.truncate(place(2, 1), kept).unwrap();
        log.append(5, 10, true);
        let after = look(&mut log, &files, &seen);
        log.store.refresh().unwrap();
        assert!(Ticket::NONE < before && before < cut && cut < after && log.store.done() < cut);
        assert_eq!(log.store.tip().place, place(7, 2), "the view is cut at once, and goes on");
        assert!(log.store.durable() <= place(2, 1) && log.store.pending_bytes() > 0);
        let page = log.store.reader().read(place(0, 0).length, place(7, 0).length, usize::MAX).unwrap();
        assert_eq!(page.to, place(7, 0).length, "readers see what was appended behind the cut");
        files.hold_syncs(false);
        log.wait_until(|store| store.done() == after && store.durable() == store.tip().place).unwrap();
        assert_eq!(*seen.lock().unwrap(), [true, false], "each in its turn");
        let all = log.read_all(usize::MAX);
        drop(log);
        assert!(Log::open(&files, STRICT).unwrap().read_all(usize::MAX) == all);
    }
}

#[test]
fn what_was_given_before_a_chore_is_on_the_disk_and_what_comes_later_is_not() {
    let files = SimulatedFiles::new(1);
    let mut log = Log::open(&files, STRICT).unwrap();
    let seen = Arc::default();
    look(&mut log, &files, &seen);
    log.append(3, CUT_SIZE, true);
    look(&mut log, &files, &seen);
    log.store.truncate(place(0, 0), Cut::Drop).unwrap();
    let last = look(&mut log, &files, &seen);
    log.append(1, 10, true);
    log.wait_until(|store| store.done() == last).unwrap();
    assert_eq!(*seen.lock().unwrap(), [false, true, false]);
}

#[test]
fn a_chore_that_fails_fails_the_store_and_nothing_after_it_is_done() {
    let files = SimulatedFiles::new(1);
    let mut log = Log::open(&files, STRICT).unwrap();
    log.append(1, 10, true);
    log.settle().unwrap();
    files.hold_syncs(true);
    log.append(1, 10, false);
    let failing = log.store.run(Box::new(|| Err("it cannot be saved".to_owned())));
    log.store.truncate(place(0, 0), Cut::Drop).unwrap();
    files.hold_syncs(false);
    let failed = log.wait_until(|store| store.done() >= failing);
    assert_eq!(failed, Err(StoreError::Failed { reason: "it cannot be saved".to_owned() }));
    let never = log.store.run(Box::new(|| panic!("a store that failed does nothing")));
    assert!(log.store.done() < never);
    drop(log);
    assert!(Log::open(&files, STRICT).unwrap().store.tip().place >= place(1, 1), "nothing is cut");
}

#[test]
fn a_cut_that_a_crash_overtakes_leaves_the_log_as_it_was_as_it_is_to_be_or_between() {
    for seed in 0..200u32 {
        let (files, model) = closed(12);
        let mut log = Log::open(&files, STRICT).unwrap();
        let places = model.all_places();
        let (tip, _) = places[seed as usize * 7 % places.len()].clone();
        let kept = if seed.is_multiple_of(2) { Cut::Quarantine } else { Cut::Drop };
        log.store.truncate(tip.place, kept).unwrap();
        log.append(2, 10, true);
        let new = log.store.tip().clone();
        (0..seed % 60).for_each(|_| std::thread::yield_now());
        files.crash_power();
        log.store.refresh().ok();
        let durable = log.store.durable();
        drop(log);
        let log = Log::open(&files, STRICT).unwrap();
        let left = log.store.tip();
        let was = model.ends.iter().any(|(end, _)| end == left && end.place >= tip.place);
        assert!(was || *left == tip || *left == new, "{left:?} is left of a log cut at {:?}", tip.place);
        assert!(left.place >= durable, "what was durable before the crash is there");
    }
}
