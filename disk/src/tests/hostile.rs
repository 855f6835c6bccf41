//! Whatever stands in the files: an error or a log, never a panic.

use proptest::prelude::*;
use replog_shared::{
    Digest, Order, Place,
    store::{LogView, Store},
};

use super::support::*;
use crate::{
    OpenError,
    files::simulated::SimulatedFiles,
    format::{Header, SyncRecord, put_line, put_record, segment_name},
};

fn open_with(content: &[u8]) {
    let path = root().join("log").join(segment_name(Place::START));
    for options in [STRICT, CUT_AT_DAMAGE] {
        let files = SimulatedFiles::new(1);
        files.put(&path, content);
        if let Ok(log) = Log::open(&files, options) {
            let length = log.store.tip().place.length;
            assert_eq!(log.store.entry(length), None);
            log.read_all(1_000);
            log.store.close().unwrap();
        }
    }
}

fn header() -> Vec<u8> {
    Header { salt: 9, start: Place::START, digest: Digest::EMPTY }.encode().to_vec()
}

#[test]
fn a_line_that_does_not_continue_the_digest_is_not_taken() {
    let line = mark(0).encode();
    for (before, taken) in [(Digest::EMPTY, 1), (Digest::EMPTY.extend(b"another log"), 0)] {
        let mut content = header();
        put_line(&mut content, 9, 0, &line, before.extend(&line), false);
        let files = SimulatedFiles::new(1);
        let path = root().join("log").join(segment_name(Place::START));
        files.put(&path, &content);
        assert_eq!(Log::open(&files, STRICT).unwrap().store.tip().place.marks, taken);
    }
}

/// The fuzz target `segments` found it.
#[test]
fn a_segment_that_begins_behind_more_marks_than_there_can_be_is_damage() {
    let start = Place::new(Order::ZERO, u32::MAX);
    let (mut content, line) =
        (Header { salt: 9, start, digest: Digest::EMPTY }.encode().to_vec(), mark(0).encode());
    put_line(&mut content, 9, 0, &line, Digest::EMPTY.extend(&line), false);
    let files = SimulatedFiles::new(1);
    let path = root().join("log").join(segment_name(start));
    files.put(&path, &content);
    assert!(matches!(Log::open(&files, STRICT), Err(OpenError::Damaged(_))));
    assert_eq!(Log::open(&files, CUT_AT_DAMAGE).unwrap().store.tip().place, Place::START);
}

proptest! {
    #[test]
    fn arbitrary_bytes_in_a_segment_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        open_with(&bytes);
        open_with(&[header(), bytes].concat());
    }

    #[test]
    fn sound_frames_around_any_content_never_panic(
        frames in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<u64>(), any::<bool>()), 0..6),
    ) {
        let mut content = header();
        for (line, number, is_record) in frames {
            if is_record {
                put_record(&mut content, 9, 0, SyncRecord { synced: number, digest: Digest::EMPTY });
            } else {
                put_line(&mut content, 9, 0, &line, Digest::EMPTY.extend(&line), number % 2 == 0);
            }
        }
        open_with(&content);
    }

    #[test]
    fn a_log_with_anything_appended_or_cut_off_opens_or_refuses(
        tail in proptest::collection::vec(any::<u8>(), 0..100),
        cut in any::<prop::sample::Index>(),
    ) {
        let files = SimulatedFiles::new(1);
        let mut log = Log::open(&files, STRICT).unwrap();
        log.append(3, 10, true);
        log.store.close().unwrap();
        let content = segments(&files).remove(0).1;
        open_with(&[&content[..], &tail].concat());
        open_with(&[&content[..cut.index(content.len())], &tail].concat());
    }
}
