//! A log on the simulated disk: opened, read whole, and opened again.

use std::path::PathBuf;

use bytes::Bytes;
use replog_disk::{
    DataDir, DiskStore, LogEnd, OpenError, OpenMode, OpenOptions, SegmentSizes, check,
    files::simulated::SimulatedFiles, open,
};
use replog_shared::{
    Durability, Message, MessageId, Order, WallTime,
    entry::{self, EntryHead},
    lines::{Lines, Tip},
    store::{IdSeed, LogView, Reader, Store},
};

/// Segments so small that a few entries fill one.
pub(super) const STRICT: OpenOptions = OpenOptions {
    level: Durability::Disk,
    ids: Some(IdSeed::from_random(1)),
    mode: OpenMode::Strict,
    closed_at: None,
    segments: SegmentSizes { first: 700, largest: 1_000 },
};

pub(super) const CUT_AT_DAMAGE: OpenOptions = OpenOptions { mode: OpenMode::CutAtDamage, ..STRICT };

pub(super) fn root() -> PathBuf {
    "/data".into()
}

/// The path of a segment of this name.
pub(super) fn segment(name: &str) -> PathBuf {
    root().join("log").join(name)
}

/// A disk with these segments.
pub(super) fn disk(segments: &[(PathBuf, Vec<u8>)]) -> SimulatedFiles {
    let files = SimulatedFiles::new(1);
    for (path, content) in segments {
        files.put(path, content);
    }
    files
}

/// The segments on a disk, oldest first.
pub(super) fn segments(files: &SimulatedFiles) -> Vec<(PathBuf, Vec<u8>)> {
    let all = files.content(&root().join("log")).into_iter();
    all.filter(|(path, _)| path.extension().is_some_and(|extension| extension == "log")).collect()
}

pub(super) fn store(files: &SimulatedFiles, options: OpenOptions) -> Result<DiskStore, OpenError> {
    let dir = DataDir::on(files.process(), &root()).expect("the last process is gone");
    open(&dir, options, || {}).map(|(store, _)| store)
}

/// All lines of a store, and its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) tip: Tip,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn content(store: &DiskStore) -> Content {
    let (reader, tip) = (store.reader(), store.tip().clone());
    let length = tip.place.length;
    let (mut at, mut bytes) = (Order::ZERO, Vec::new());
    loop {
        let page = reader.read(at, length, 300).expect("what was checked can be read");
        bytes.extend_from_slice(&page.bytes);
        if page.to == length {
            return Content { tip, bytes };
        }
        assert!(page.to > at, "a page makes progress");
        at = page.to;
    }
}

/// Opens the log and holds it to what is true whatever stood on the disk:
///
/// - a check finds what an opening finds, and changes nothing;
/// - what is opened is a run of lines, of which each is found by its order;
/// - it is on the disk then: the next opening finds the same, also behind a power failure;
/// - an entry can be appended, and is there after a close.
///
/// `None`: refused, as damaged or of a newer version.
pub(super) fn opened(files: &SimulatedFiles, options: OpenOptions, appends: bool) -> Option<Content> {
    let checked = checked(files, options.closed_at);
    let store = match store(files, options) {
        Ok(store) => store,
        Err(OpenError::Damaged(_) | OpenError::NewerVersion { .. }) => {
            assert!(checked.is_none(), "a check is content with what is not opened");
            return None;
        }
        Err(other) => panic!("{other}"),
    };
    let found = content(&store);
    if options.mode == OpenMode::Strict {
        assert_eq!(checked.as_ref(), Some(&found.tip), "a check finds what an opening finds");
    }
    for order in 0..found.tip.place.length.get() {
        assert!(store.entry(Order::new(order)).is_some());
    }
    assert_eq!(store.entry(found.tip.place.length), None);
    files.crash_power();
    drop(store);
    let mut again = reopened(files);
    assert_eq!(content(&again), found, "what was opened is on the disk");
    if appends {
        let lines = next_entry(again.tip());
        let expected = lines.as_ref().map_or(again.tip(), Lines::tip).clone();
        assert!(lines.is_none_or(|lines| again.append(&lines)));
        again.close().unwrap();
        assert_eq!(reopened(files).tip(), &expected, "what was appended is there after a close");
    }
    Some(found)
}

fn reopened(files: &SimulatedFiles) -> DiskStore {
    store(files, STRICT).expect("what was opened can be opened again")
}

/// The end of the log as a check finds it; none if it refuses.
fn checked(files: &SimulatedFiles, closed_at: Option<LogEnd>) -> Option<Tip> {
    let before = files.content(&root());
    let dir = DataDir::on(files.process(), &root()).expect("the last process is gone");
    let report = check(&dir, closed_at);
    assert!(
        files
            .content(&root())
            .into_iter()
            .filter(|(path, _)| !path.ends_with("lock"))
            .eq(before.into_iter().filter(|(path, _)| !path.ends_with("lock"))),
        "a check changes nothing"
    );
    report.ok().map(|report| Tip {
        place: report.place,
        digest: report.digest,
        epoch: report.epoch,
        at: report.at,
        batch: report.batch,
    })
}

/// An entry that continues a log; none where no mark stands before it.
fn next_entry(tip: &Tip) -> Option<Lines> {
    let (order, mut line) = (tip.place.length, Vec::new());
    let message = Message::from_json(Bytes::from_static(b"\"next\"")).unwrap();
    let id = MessageId::new(&format!("next{order}")).unwrap();
    let head =
        EntryHead { order, epoch: tip.epoch.as_ref()?.number(), at: WallTime::from_ms(7), more: false };
    entry::encode(&mut line, head, &id, &message);
    Lines::checked(line.into(), tip).ok()
}
