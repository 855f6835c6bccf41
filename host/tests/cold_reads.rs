//! Old lines of a log on disk, read beside the node for events that wait.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use replog_disk::{DiskStore, OpenMode};
use replog_host::{
    held::{Held, HeldFailure},
    parking::{Parked, Parking},
    storage::{DiskTerms, Storage},
};
use replog_shared::{
    Durability, Epoch, Identity, Incarnation, Lines, LogId, Mark, MarkKind, Message, MessageId, Order, Place,
    WallTime,
    entry::{self, EntryHead},
    store::{Cut, LogView as _, LookAhead, Span, tip_of_cut},
};
use tokio::time::timeout;

/// Entries of the log; of each ten the first begins a batch.
const ENTRIES: u64 = 100;

fn open(dir: &Path) -> Held<DiskStore> {
    let terms = DiskTerms { durability: Durability::Disk, with_ids: true, mode: OpenMode::Strict };
    Held::new(Storage::on_disk(dir, &"node1".parse().unwrap(), terms).unwrap())
}

/// A log that was written and closed, and is opened again: none of its lines is in memory.
fn reopened(dir: &Path) -> Held<DiskStore> {
    let mut held = open(dir);
    let owner = "node1".parse().unwrap();
    let epoch = Epoch { reign: 1, owner, start: 1, incarnation: Incarnation::from_random(1) };
    let number = epoch.number();
    let mark = Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO };
    held.save(&Identity { log_id: Some(LogId::from_random(1)), whole: true, ..Identity::default() });
    held.append(&Lines::of_mark(mark, held.log().tip())).unwrap();
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for order in 0..ENTRIES {
        let message = Message::from_json(Bytes::from(format!("\"{}\"", "x".repeat(1_000)))).unwrap();
        let order = Order::new(order);
        let more = order.get() % 10 < 9;
        let head = EntryHead { order, epoch: number, at: WallTime::from_ms(7), more };
        entry::encode(&mut bytes, head, &MessageId::new(&format!("id{order}")).unwrap(), &message);
        ends.push(bytes.len());
    }
    held.append(&Lines::of_entries(bytes.into(), ends, WallTime::from_ms(7), held.log().tip())).unwrap();
    held.close().unwrap();
    open(dir)
}

/// Reads for the one event that waits, and waits until that is done.
async fn read(held: &Held<DiskStore>, parking: &mut Parking<()>) -> Result<Parked<()>, HeldFailure> {
    held.read_for(parking);
    let read = async {
        loop {
            if let Some(parked) = held.have_read(parking)? {
                return Ok(parked);
            }
            held.news().notified().await;
        }
    };
    timeout(Duration::from_secs(10), read).await.unwrap()
}

/// Reads until all is there that `look` looks at, and lends it; how often it had to.
async fn read_all(held: &mut Held<DiskStore>, look: impl Fn(&LookAhead<'_>)) -> usize {
    let mut parking = Parking::default();
    let Some(lookup) = held.missing(&look) else { return 0 };
    parking.park((), 1, lookup).unwrap();
    for rounds in 1.. {
        let mut parked = read(held, &mut parking).await.unwrap();
        held.lend(std::mem::take(&mut parked.pages));
        match held.missing(&look) {
            None => return rounds,
            Some(lookup) => {
                parked.pages = held.take_back();
                parking.go_on(parked, lookup);
            }
        }
    }
    unreachable!("there is an end to a log")
}

/// Takes the log's files away: what is answered now is not read from them.
fn take_files(dir: &Path) {
    for file in fs::read_dir(dir.join("log")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            fs::rename(&path, path.with_extension("away")).unwrap();
        }
    }
}

fn place(length: u64) -> Place {
    Place::new(Order::new(length), 1)
}

#[tokio::test]
async fn what_was_read_beforehand_is_answered_without_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = reopened(dir.path());
    let expected = held.log().digest_at(place(50));
    let id = MessageId::new("id70").unwrap();
    let look = |log: &LookAhead<'_>| {
        log.find(&id);
        log.batch_end(Order::new(70));
    };
    assert!(read_all(&mut held, look).await > 0);
    take_files(dir.path());
    assert_eq!(held.log().find(&id), Some(Order::new(70)));
    assert_eq!(held.log().batch_end(Order::new(70)), Order::new(80));
    held.check().unwrap();
    drop(held.take_back());
    assert_ne!(held.log().digest_at(place(50)), expected, "nothing is kept for the next event");
}

#[tokio::test]
async fn a_cut_within_a_batch_is_made_of_what_was_read_beforehand() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = reopened(dir.path());
    let expected = tip_of_cut(held.log(), place(58), held.log().digest_at(place(58)).unwrap());
    assert_eq!(expected.batch, Some(Order::new(50)));
    assert!(read_all(&mut held, |log| log.cut(place(58))).await > 0);
    let digest = held.log().digest_at(place(58)).unwrap();
    take_files(dir.path());
    assert_eq!(tip_of_cut(held.log(), place(58), digest), expected);
    held.check().unwrap();
}

#[tokio::test]
async fn a_page_is_made_of_what_was_read_beforehand() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = reopened(dir.path());
    let end = held.log().durable();
    let span = |held: &Held<DiskStore>| Span::fitting(held.log(), Place::START, end, 20_000);
    let expected = held.part(span(&held)).unwrap();
    assert!(expected.0.entries() > 10 && expected.0.entries() < ENTRIES);
    assert_eq!(read_all(&mut held, |log| log.page(Place::START, end, 20_000)).await, 1);
    take_files(dir.path());
    let (span, page) = held.part(span(&held)).unwrap();
    assert_eq!((span, page.bytes, page.digest), (expected.0, expected.1.bytes, expected.1.digest));
}

#[tokio::test]
async fn lines_that_were_read_before_a_cut_are_not_lent() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = reopened(dir.path());
    let look = |log: &LookAhead<'_>| drop(log.entry(Order::new(30)));
    let mut parking = Parking::default();
    parking.park((), 1, held.missing(look).unwrap()).unwrap();
    held.read_for(&mut parking);
    held.truncate(place(10), Cut::Quarantine).unwrap();
    let mut parked = read(&held, &mut parking).await.unwrap();
    held.lend(std::mem::take(&mut parked.pages));
    assert_eq!(held.log().entry(Order::new(30)), None);
    assert!(held.missing(look).is_none(), "beyond the end nothing is to be read");
}

#[tokio::test]
async fn a_read_that_fails_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let held = reopened(dir.path());
    let mut parking = Parking::default();
    let lookup = held.missing(|log| drop(log.entry(Order::new(30)))).unwrap();
    parking.park((), 1, lookup).unwrap();
    take_files(dir.path());
    assert!(matches!(read(&held, &mut parking).await, Err(HeldFailure::Store(_))));
    assert!(held.check().is_err());
}
