//! Torn writes are cut off, damage is not: whatever bit flips.

use std::path::PathBuf;

use proptest::prelude::*;
use replog_shared::{
    Lines, Order, Place,
    lines::Tip,
    store::{Cut, LogView, Store},
};

use super::support::*;
use crate::{
    DataDir, OpenError,
    files::simulated::SimulatedFiles,
    format::{HEADER_BYTES, start_of},
};

/// Opens after damage: refused, or everything is there.
fn assert_refused_or_whole(files: &SimulatedFiles, model: &Model, what: &str) -> bool {
    match Log::open(files, STRICT) {
        Ok(log) => {
            assert_eq!(log.store.tip(), &model.ends.last().unwrap().0, "{what}: nothing is lost in silence");
            assert!(log.read_all(usize::MAX) == model.bytes, "{what}");
            false
        }
        Err(OpenError::Damaged(_) | OpenError::NewerVersion { .. }) => true,
        Err(other) => panic!("{what}: {other}"),
    }
}

#[test]
fn every_flipped_bit_in_a_closed_log_is_seen() {
    let (files, model) = closed(7);
    let mut refused = 0;
    for (path, content) in segments(&files) {
        for bit in 0..content.len() * 8 {
            flip(&files, &path, bit);
            refused +=
                u32::from(assert_refused_or_whole(&files, &model, &format!("{} bit {bit}", path.display())));
            for (path, content) in segments(&files) {
                files.damage(&path, |now| *now = content);
            }
            flip(&files, &path, bit);
        }
    }
    assert!(refused > 1_000);
}

#[test]
fn a_node_that_may_cuts_at_the_damage_and_keeps_the_rest_in_quarantine() {
    let (original, model) = closed(9);
    let places: Vec<Tip> = model.all_places().into_iter().map(|(tip, _)| tip).collect();
    for (path, content) in segments(&original) {
        for bit in (0..content.len() * 8).step_by(97) {
            let files = copy(&original);
            flip(&files, &path, bit);
            if Log::open(&files, STRICT).is_ok() {
                continue;
            }
            let log = Log::open(&files, CUT_AT_DAMAGE).unwrap();
            let cut = log.report.cut_at_damage.clone().unwrap();
            assert_eq!(cut.damage.file, path);
            assert!(files.content(&root()).contains_key(&cut.quarantined[0]));
            assert!(places.contains(log.store.tip()));
            let kept = log.read_all(usize::MAX);
            assert!(model.bytes.starts_with(&kept));
            let tip = log.store.tip().clone();
            files.crash_power();
            drop(log);
            let mut log = Log::open(&files, STRICT).unwrap();
            assert_eq!((log.store.tip(), log.read_all(99) == kept), (&tip, true), "the cut is durable");
            log.append(2, 10, true);
            log.settle().unwrap();
        }
    }
}

#[test]
fn a_segment_that_is_missing_or_another_is_damage() {
    let (original, model) = closed(9);
    let all = segments(&original);
    for nth in 0..all.len() - 1 {
        let files = copy(&original);
        files.process().remove(&all[nth].0).unwrap();
        assert!(assert_refused_or_whole(&files, &model, "a missing segment"));
        let files = copy(&original);
        files.damage(&all[nth].0, |content| content.clone_from(&all[nth + 1].1));
        assert!(assert_refused_or_whole(&files, &model, "another segment's content"));
    }
}

#[test]
fn the_last_group_is_known_to_be_synced_once_the_log_was_idle() {
    let files = SimulatedFiles::new(1);
    let mut log = Log::open(&files, STRICT).unwrap();
    log.append(1, 10, true);
    log.settle().unwrap();
    let written = |files: &SimulatedFiles| {
        let (path, content) = segments(files).remove(0);
        let frames = content.windows(8).filter(|bytes| *bytes == b"\xffsynced\xff").count();
        (path, content, frames)
    };
    // The record comes some milliseconds later; its sync is news like any other.
    log.wait_until(|_| written(&files).2 > 0).unwrap();
    files.crash_process();
    drop(log);
    let (path, content, _) = written(&files);
    let at = content.windows(3).position(|bytes| bytes == b"id0").unwrap();
    flip(&files, &path, at * 8);
    assert!(matches!(Log::open(&files, STRICT), Err(OpenError::Damaged(_))));
}

#[test]
fn a_sound_frame_behind_an_unsound_one_is_no_damage_by_itself() {
    let files = SimulatedFiles::new(1);
    let mut log = Log::open(&files, STRICT).unwrap();
    log.append(1, 10, true);
    log.settle().unwrap();
    log.wait_until(|_| segments(&files)[0].1.windows(8).any(|bytes| bytes == b"\xffsynced\xff")).unwrap();
    let durable = log.store.tip().clone();
    files.hold_syncs(true);
    log.append(2, 10, false);
    wait_until_written(&files, b"id2");
    // The first of the two pages that nobody had synced did not reach the disk; the second did.
    let (path, content) = segments(&files).remove(0);
    let at = content.windows(3).position(|bytes| bytes == b"id1").unwrap();
    files.damage(&path, |content| content[at - 50..at + 10].fill(0));
    files.crash_process();
    drop(log);
    let log = Log::open(&files, STRICT).unwrap();
    assert_eq!(log.store.tip(), &durable);
    assert!(log.report.torn_tail.is_some());
}

#[test]
fn a_torn_tail_does_not_come_back_to_life() {
    let files = SimulatedFiles::new(1);
    let mut log = Log::open(&files, STRICT).unwrap();
    log.append(1, 10, true);
    log.settle().unwrap();
    files.hold_syncs(true);
    let first = run(log.store.tip(), 1, 10, false);
    log.append(2, 10, false);
    wait_until_written(&files, b"id2");
    let (path, content) = segments(&files).remove(0);
    let at = content.windows(3).position(|bytes| bytes == b"id1").unwrap();
    files.damage(&path, |content| content[at] ^= 1);
    files.crash_process();
    drop(log);
    // The client tries again, the same bytes are written in the same place, and the node crashes again.
    let mut log = Log::open(&files, STRICT).unwrap();
    assert_eq!(log.store.tip().place, place(1, 1));
    assert!(log.store.append(&Lines::checked(first.bytes().clone(), log.store.tip()).unwrap()));
    log.settle().unwrap();
    files.crash_process();
    drop(log);
    assert_eq!(Log::open(&files, STRICT).unwrap().store.tip().place, place(2, 1));
}

/// A log of which some segment, with another one behind it, is not closed by a record: its last lines and the first of
/// the next were written as one group. The place where that next one begins, and its path.
fn without_record() -> (SimulatedFiles, Place, PathBuf) {
    let files = SimulatedFiles::new(3);
    let mut log = Log::open(&files, STRICT).unwrap();
    files.hold_syncs(true);
    (0..30).for_each(|nth| log.append(1, 40, nth == 0));
    files.hold_syncs(false);
    log.settle().unwrap();
    log.store.close().unwrap();
    let all = segments(&files);
    let is_closed = |content: &[u8]| content[content.len() - 24..].starts_with(b"\xffsynced\xff");
    let open =
        all.iter().position(|(_, content)| !is_closed(content)).expect("a segment that a group overran");
    let path = all[open + 1].0.clone();
    (files, start_of(&name_of(&path)).unwrap(), path)
}

/// What the log says of itself behind a power failure, when a bit of its last line has flipped.
fn with_last_line_damaged(files: &SimulatedFiles, length: Order) -> Result<Log, OpenError> {
    files.crash_power();
    let (path, content) = segments(files).pop().unwrap();
    let id = format!("\"id{}\"", length.get() - 1);
    let at = content.windows(id.len()).rposition(|bytes| bytes == id.as_bytes()).unwrap();
    flip(files, &path, at * 8);
    Log::open(files, STRICT)
}

/// The fuzz target `segments` found it: that a segment followed was all that said that the one before it was synced,
/// and then it was removed.
#[test]
fn an_empty_segment_that_is_removed_leaves_behind_what_it_proved() {
    let (files, place, path) = without_record();
    // As a power failure leaves it right behind the beginning of a segment: no line, no record.
    for (later, _) in segments(&files).iter().filter(|(later, _)| *later > path) {
        files.process().remove(later).unwrap();
    }
    files.damage(&path, |content| content.truncate(HEADER_BYTES));
    assert_eq!(Log::open(&files, STRICT).unwrap().store.tip().place, place);
    assert!(!files.content(&root()).contains_key(&path), "a segment without lines is removed");
    let refused = with_last_line_damaged(&files, place.length);
    assert!(matches!(refused, Err(OpenError::Damaged(_))), "what was synced was cut off in silence");
}

#[test]
fn a_cut_between_two_segments_leaves_behind_what_the_second_proved() {
    let (files, place, _) = without_record();
    let mut log = Log::open(&files, STRICT).unwrap();
    log.cut(place, Cut::Drop);
    let refused = with_last_line_damaged(&files, place.length);
    assert!(matches!(refused, Err(OpenError::Damaged(_))), "what was synced was cut off in silence");
}

/// The fuzz target `damaged_log` found it.
#[test]
fn what_is_kept_behind_damage_needs_no_second_cut() {
    let (original, _) = closed(9);
    let all = segments(&original);
    // Nothing of the first segment is sound, and a copy of it stands where the second was.
    let files = copy(&original);
    files.damage(&all[1].0, |content| content.clone_from(&all[0].1));
    files.damage(&all[0].0, |content| content[HEADER_BYTES] ^= 1);
    let tip = Log::open(&files, CUT_AT_DAMAGE).unwrap().store.tip().clone();
    assert_eq!(Log::open(&files, STRICT).unwrap().store.tip(), &tip);
    // Behind the lines of the first segment stands junk, which is nothing as long as the second one continues it.
    let files = copy(&original);
    files.damage(&all[0].0, |content| content.extend(b"junk"));
    files.damage(&all[1].0, |content| content[HEADER_BYTES] ^= 1);
    let log = Log::open(&files, CUT_AT_DAMAGE).unwrap();
    let (tip, place) = (log.store.tip().clone(), start_of(&name_of(&all[1].0)).unwrap());
    drop(log);
    assert_eq!((Log::open(&files, STRICT).unwrap().store.tip(), tip.place), (&tip, place));
}

fn name_of(path: &std::path::Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Zeroed sectors and garbage in a log that was closed. Only if they reach over its very end, with the
    /// record there, can they not be told from a write that was torn.
    #[test]
    fn damage_in_a_closed_log_is_refused(
        pick in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bytes in proptest::collection::vec(any::<u8>(), 1..200),
        zeros in any::<bool>(),
    ) {
        let (files, model) = closed(6);
        let all = segments(&files);
        let (path, content) = pick.get(&all);
        let at = at.index(content.len());
        files.damage(path, |content| {
            let end = (content.len() - 32).min(at + bytes.len());
            let at = at.min(end);
            for (to, from) in content[at..end].iter_mut().zip(&bytes) {
                *to = if zeros { 0 } else { *from };
            }
        });
        assert_refused_or_whole(&files, &model, "damage");
    }
}

#[test]
fn a_check_sees_what_an_opening_sees_and_changes_nothing() {
    let (files, model) = closed(7);
    let check = |files: &SimulatedFiles| {
        let dir = DataDir::on(files.process(), &root()).unwrap();
        crate::check(&dir, None)
    };
    let before = files.content(&root());
    let report = check(&files).unwrap();
    let end = &model.ends.last().unwrap().0;
    assert_eq!((report.place, report.digest, report.torn_tail), (end.place, end.digest, None));
    assert_eq!(files.content(&root()), before);
    let (path, content) = segments(&files).swap_remove(0);
    flip(&files, &path, content.len() * 4);
    assert!(matches!(check(&files), Err(OpenError::Damaged(damage)) if damage.file == path));
}
