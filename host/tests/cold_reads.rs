//! Old lines of a log on disk, read beside the node for events that wait.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use replog_core::driver::{Core, Deed, Driver, End, Environment, Failure};
use replog_disk::{DiskStore, OpenMode};
use replog_host::{
    held::{Held, Settled, settle},
    reads::ColdReads,
    storage::{DiskTerms, Storage},
};
use replog_shared::{
    Durability, Epoch, Identity, Incarnation, Lines, LogId, Mark, MarkKind, Message, MessageId, Moment,
    Order, Place, WallTime,
    entry::{self, EntryHead},
    store::{Cut, LogView, LookAhead, ReadError, Span, Store, StoreError, Ticket, tip_of_cut},
};
use tokio::time::timeout;

/// Entries of the log; of each ten the first begins a batch.
const ENTRIES: u64 = 100;

/// A core that looks at a log and tells what it saw.
struct Looker {
    effects: Vec<Effect>,
    /// The directory, whose files are taken away before it looks: what it sees then is not read from them.
    dir: Option<PathBuf>,
}

/// What is looked at, and what that tells.
#[derive(Debug)]
struct Look {
    ahead: fn(&LookAhead<'_>),
    told: fn(&dyn LogView) -> String,
}

#[derive(Debug)]
enum Effect {
    Told(String),
    Page(Span),
    Cut(Place),
}

impl Core for Looker {
    type Event = Look;
    type Effect = Effect;
    type Packet = String;
    type Answer = Infallible;
    type Notice = Infallible;
    type Why = Infallible;

    const DEADLINES_AT_ONCE: usize = 1;

    fn on(&mut self, _: Moment, look: Look, log: &dyn LogView) {
        self.dir.iter().for_each(|dir| take_files(dir));
        self.effects.push(match (look.told)(log).as_str() {
            "page" => Effect::Page(span(log)),
            "cut" => Effect::Cut(place(10)),
            told => Effect::Told(told.to_owned()),
        });
    }

    fn look_ahead(&self, look: &Look, log: &LookAhead<'_>) {
        (look.ahead)(log);
    }

    fn next_deadline(&self) -> Option<Moment> {
        None
    }

    fn on_deadline(&mut self, _: Moment, _: &dyn LogView) {}

    fn on_burst_end(&mut self, _: Moment, _: &dyn LogView) {}

    fn turn_away(&mut self, _: Moment, look: Look) {
        panic!("there is room for {look:?}");
    }

    fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.effects);
    }

    fn deed(&self, effect: Effect, log: &impl Store) -> Result<Deed<Looker>, ReadError> {
        Ok(match effect {
            Effect::Told(told) => Deed::Send(told),
            Effect::Page(span) => Deed::Send(page(span, log)?),
            Effect::Cut(place) => Deed::Truncate(place, Cut::Quarantine),
        })
    }

    fn ends(never: &Infallible) -> Option<Infallible> {
        match *never {}
    }

    fn bytes(_: &Look) -> usize {
        1
    }

    fn overdue_at(_: &Look) -> Option<Moment> {
        None
    }

    fn is_awaited(_: &Look) -> bool {
        false
    }

    fn packet_bytes(packet: &String) -> usize {
        packet.len()
    }
}

fn span(log: &dyn LogView) -> Span {
    Span::fitting(log, Place::START, log.durable(), 20_000)
}

fn page(span: Span, log: &impl Store) -> Result<String, ReadError> {
    let (span, page) = span.read(log)?;
    Ok(format!("{span:?} {:?} {}", page.digest, String::from_utf8_lossy(&page.bytes)))
}

/// What was told.
#[derive(Default)]
struct Told(Vec<String>);

impl Environment<Looker, DiskStore> for Told {
    fn save(&mut self, _: &Identity, _: &mut DiskStore) -> Option<Ticket> {
        None
    }

    fn send(&mut self, packet: String, _: &DiskStore) {
        self.0.push(packet);
    }

    fn answer(&mut self, never: Infallible, _: &DiskStore) {
        match never {}
    }

    fn notice(&mut self, never: Infallible, _: &Looker, _: &DiskStore) {
        match never {}
    }

    fn on_outbox_full(&mut self) {}
}

fn open(dir: &Path) -> Storage<DiskStore> {
    let terms = DiskTerms { durability: Durability::Disk, with_ids: true, mode: OpenMode::Strict };
    Storage::on_disk(dir, &"node1".parse().unwrap(), terms).unwrap()
}

/// A driver over a log that was written and closed, and is opened again: none of its lines is in memory.
struct Bench {
    driver: Driver<Looker, DiskStore>,
    held: Held<DiskStore>,
    cold: ColdReads<<DiskStore as Store>::Reader>,
    told: Told,
}

impl Bench {
    fn reopened(dir: &Path) -> Bench {
        write(dir);
        let (log, held) = Held::new(open(dir));
        let cold = held.cold_reads();
        let looker = Looker { effects: Vec::new(), dir: None };
        Bench { driver: Driver::new(looker, log), held, cold, told: Told::default() }
    }

    fn bring(&mut self, look: Look) {
        self.driver.bring(Moment::default(), look, 0, &mut self.told);
    }

    /// Waits until the disk has done all.
    async fn settle(&mut self) {
        let news = self.held.news().clone();
        let settled = settle(&mut self.driver, &mut self.told, &news).await.unwrap();
        assert!(matches!(settled, Settled::Durable { .. }));
    }

    /// Has old lines read until nothing waits for any.
    async fn read_all(&mut self) -> Option<End<Infallible>> {
        let news = self.held.news().clone();
        let read = async {
            while self.driver.parked().0 > 0 {
                let notified = news.notified();
                self.cold.begin(&mut self.driver);
                self.cold.deliver(Moment::default(), &mut self.driver, &mut self.told);
                if let Some(end) = self.driver.take_end() {
                    return Some(end);
                }
                if self.driver.parked().0 > 0 {
                    notified.await;
                }
            }
            None
        };
        timeout(Duration::from_secs(10), read).await.unwrap()
    }
}

fn write(dir: &Path) {
    let mut storage = open(dir);
    let owner = "node1".parse().unwrap();
    let epoch = Epoch { reign: 1, owner, start: 1, incarnation: Incarnation::from_random(1) };
    let number = epoch.number();
    let mark = Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO };
    let identity = Identity { log_id: Some(LogId::from_random(1)), whole: true, ..Identity::default() };
    let _durable_once_closed = storage.store.run(storage.keeper.save(&identity).unwrap());
    assert!(storage.store.append(&Lines::of_mark(mark, storage.store.tip())));
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for order in 0..ENTRIES {
        let message = Message::from_json(Bytes::from(format!("\"{}\"", "x".repeat(1_000)))).unwrap();
        let order = Order::new(order);
        let more = order.get() % 10 < 9;
        let head = EntryHead { order, epoch: number, at: WallTime::from_ms(7), more };
        entry::encode(&mut bytes, head, &MessageId::new(&format!("id{order}")).unwrap(), &message);
        ends.push(bytes.len());
    }
    let run = Lines::of_entries(bytes.into(), ends, WallTime::from_ms(7), storage.store.tip());
    assert!(storage.store.append(&run));
    storage.close().unwrap();
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

/// What waits for old lines tells, when they were read, what the whole log tells; and takes nothing from the disk then.
async fn is_told_without_the_disk(look: Look) {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::reopened(dir.path());
    let expected = match (look.told)(bench.driver.log()) {
        asked if asked == "page" => page(span(bench.driver.log()), bench.driver.log()).unwrap(),
        told => told,
    };
    bench.driver.core_mut().dir = Some(dir.path().to_owned());
    bench.bring(look);
    assert_eq!(bench.driver.parked().0, 1);
    assert_eq!(bench.read_all().await, None);
    assert_eq!(bench.told.0, [expected]);
    assert_eq!(bench.driver.log().failure(), None);
}

#[tokio::test]
async fn an_id_and_a_batch_are_found() {
    is_told_without_the_disk(Look {
        ahead: |log| {
            log.find(&MessageId::new("id70").unwrap());
            log.batch_end(Order::new(70));
        },
        told: |log| {
            let found = log.find(&MessageId::new("id70").unwrap());
            assert_eq!((found, log.batch_end(Order::new(70))), (Some(Order::new(70)), Order::new(80)));
            format!("{found:?}")
        },
    })
    .await;
}

#[tokio::test]
async fn a_cut_within_a_batch_is_found() {
    is_told_without_the_disk(Look {
        ahead: |log| log.cut(place(58)),
        told: |log| {
            let tip = tip_of_cut(log, place(58), log.digest_at(place(58)).unwrap());
            assert_eq!(tip.batch, Some(Order::new(50)));
            format!("{tip:?}")
        },
    })
    .await;
}

#[tokio::test]
async fn a_page_is_read() {
    is_told_without_the_disk(Look {
        ahead: |log| log.page(Place::START, log.durable(), 20_000),
        told: |_| "page".to_owned(),
    })
    .await;
}

#[tokio::test]
async fn lines_that_were_read_before_a_cut_are_not_lent() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::reopened(dir.path());
    bench.bring(Look {
        ahead: |log| drop(log.entry(Order::new(30))),
        told: |log| format!("{:?}", log.entry(Order::new(30))),
    });
    bench.cold.begin(&mut bench.driver);
    bench.bring(Look { ahead: |_| (), told: |_| "cut".to_owned() });
    assert_eq!(bench.read_all().await, None);
    bench.settle().await;
    assert_eq!(bench.told.0, ["None"], "beyond the end nothing is to be read");
}

#[tokio::test]
async fn a_read_that_fails_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::reopened(dir.path());
    bench.bring(Look { ahead: |log| drop(log.entry(Order::new(30))), told: |_| "read".to_owned() });
    take_files(dir.path());
    let end = bench.read_all().await;
    assert!(matches!(end, Some(End::Failed(Failure::Store(StoreError::Failed { .. })))), "{end:?}");
    assert!(bench.told.0.is_empty());
}
