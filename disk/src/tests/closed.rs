//! A log that was closed has no torn end: whatever it lacks then was there.

use std::path::Path;

use replog_shared::store::Store;

use super::support::*;
use crate::{
    DataDir, LogEnd, OpenError, OpenOptions, files::simulated::SimulatedFiles, format::RECORD_BYTES,
};

fn closed_at(model: &Model) -> Option<LogEnd> {
    model.ends.last().map(|(tip, _)| tip.into())
}

/// Opens a log that was closed with all of `model` in it: it is refused, or it has all. Then the node that may
/// cut at damage keeps what is sound, and says so.
fn is_refused(original: &SimulatedFiles, model: &Model, spoil: impl Fn(&SimulatedFiles)) -> bool {
    let strict = OpenOptions { closed_at: closed_at(model), ..STRICT };
    let files = copy(original);
    spoil(&files);
    let before = files.content(&root());
    match Log::open(&files, strict) {
        Ok(log) => {
            assert_holds(&log, model);
            return false;
        }
        Err(OpenError::Damaged(_)) => assert!(files.content(&root()) == before, "nothing was changed"),
        Err(other) => panic!("{other}"),
    }
    let dir = DataDir::on(files.process(), &root()).unwrap();
    assert!(matches!(crate::check(&dir, strict.closed_at), Err(OpenError::Damaged(_))));
    drop(dir);
    let log = Log::open(&files, OpenOptions { mode: CUT_AT_DAMAGE.mode, ..strict }).unwrap();
    assert!(log.report.cut_at_damage.is_some());
    let kept = log.read_all(usize::MAX);
    assert!(model.bytes.starts_with(&kept) && kept.len() < model.bytes.len());
    true
}

fn cut_file(path: &Path, length: usize) -> impl Fn(&SimulatedFiles) {
    move |files| files.damage(path, |content| content.truncate(length))
}

#[test]
fn a_file_that_is_cut_short_after_a_clean_stop_is_damage() {
    let (files, model) = closed(7);
    let (path, content) = segments(&files).pop().unwrap();
    let refused = (0..content.len()).filter(|length| is_refused(&files, &model, cut_file(&path, *length)));
    // All but the record at the end, which no line stands behind.
    assert_eq!(refused.count(), content.len() - RECORD_BYTES);
}

#[test]
fn without_the_clean_stop_the_same_file_is_torn() {
    let (files, _) = closed(7);
    let (path, content) = segments(&files).pop().unwrap();
    cut_file(&path, content.len() - RECORD_BYTES - 1)(&files);
    let log = Log::open(&files, STRICT).unwrap();
    assert!(log.report.torn_tail.is_some());
}

#[test]
fn zeros_over_the_last_lines_after_a_clean_stop_are_damage() {
    let (files, model) = closed(7);
    let (path, content) = segments(&files).pop().unwrap();
    for from in 0..content.len() - RECORD_BYTES {
        let zeros = |files: &SimulatedFiles| files.damage(&path, |content| content[from..].fill(0));
        assert!(is_refused(&files, &model, zeros), "from {from}");
    }
}

#[test]
fn last_segments_that_are_gone_after_a_clean_stop_are_damage() {
    let (files, model) = closed(9);
    let all = segments(&files);
    for first_gone in 0..all.len() {
        let remove = |files: &SimulatedFiles| {
            all[first_gone..].iter().for_each(|(path, _)| files.process().remove(path).unwrap());
        };
        assert!(is_refused(&files, &model, remove), "from segment {first_gone} on");
    }
}

#[test]
fn another_log_of_the_same_length_is_damage() {
    let (files, model) = closed(7);
    let end = LogEnd { digest: replog_shared::Digest::EMPTY, ..closed_at(&model).unwrap() };
    let options = OpenOptions { closed_at: Some(end), ..STRICT };
    assert!(matches!(Log::open(&files, options), Err(OpenError::Damaged(_))));
}

#[test]
fn what_stands_behind_a_closed_log_is_nothing() {
    let (files, model) = closed(7);
    let (path, content) = segments(&files).pop().unwrap();
    let garbage = |files: &SimulatedFiles| files.damage(&path, |content| content.extend_from_slice(&[7; 99]));
    assert!(!is_refused(&files, &model, garbage));
    for at in content.len() - RECORD_BYTES..content.len() {
        let spoil = |files: &SimulatedFiles| files.damage(&path, |content| content[at] ^= 1);
        assert!(!is_refused(&files, &model, spoil), "the record, at {at}");
    }
}

#[test]
fn what_was_cut_at_damage_opens_again() {
    let (files, model) = closed(7);
    let (path, content) = segments(&files).pop().unwrap();
    cut_file(&path, content.len() - RECORD_BYTES - 1)(&files);
    let may_cut = OpenOptions { closed_at: closed_at(&model), ..CUT_AT_DAMAGE };
    // A crash before the cut is noted: it is still known where the log ended.
    for _ in 0..2 {
        let log = Log::open(&files, may_cut).unwrap();
        assert!(log.report.cut_at_damage.is_some());
        drop(log);
        files.crash_power();
    }
    let mut log = Log::open(&files, STRICT).unwrap();
    assert_eq!(log.report.torn_tail, None);
    log.append(2, 10, true);
    log.settle().unwrap();
    log.store.close().unwrap();
}
