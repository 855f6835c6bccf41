//! Measures the log on disk beside a raw, prefilled file, in the same run:
//!
//! ```sh
//! cargo run --release -p replog-disk --example measure -- /some/dir [entries]
//! ```
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for a terminal, that may stop at any surprise"
)]

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use replog_disk::{DataDir, DiskStore, OpenMode, OpenOptions, SegmentSizes};
use replog_shared::{
    Durability, Epoch, Incarnation, Lines, Mark, MarkKind, Message, MessageId, Order, WallTime,
    entry::{self, EntryHead},
    lines::Tip,
    store::{IdSeed, LogView, Store},
};

/// How long each round takes.
const TIME: Duration = Duration::from_millis(700);
/// Rounds of each figure, raw file and log in turn: other load on the machine then meets both.
const ROUNDS: usize = 5;
/// Bytes of lines made for one round.
const PREPARED_BYTES: usize = 256 * 1024 * 1024;
/// Bytes of each message, so that a line has about 200.
const MESSAGE_BYTES: usize = 100;
const OPTIONS: OpenOptions = OpenOptions {
    level: Durability::Disk,
    ids: Some(IdSeed::from_random(1)),
    mode: OpenMode::Strict,
    closed_at: None,
    segments: SegmentSizes { first: 256 * 1024, largest: 64 * 1024 * 1024 },
};

/// Lets the measuring thread wait for the store's news.
#[derive(Default)]
struct News {
    there: Mutex<bool>,
    came: Condvar,
}

impl News {
    fn tell(&self) {
        *self.there.lock().unwrap() = true;
        self.came.notify_one();
    }

    fn wait(&self) {
        let mut there = self.there.lock().unwrap();
        while !*there {
            there = self.came.wait(there).unwrap();
        }
        *there = false;
    }
}

struct Log {
    store: DiskStore,
    news: Arc<News>,
}

impl Log {
    fn open(dir: &Path) -> Log {
        let news = Arc::new(News::default());
        let to_tell = news.clone();
        let dir = DataDir::open(dir).unwrap();
        let (store, _) = replog_disk::open(&dir, OPTIONS, move || to_tell.tell()).unwrap();
        Log { store, news }
    }

    fn append(&mut self, lines: &Lines) {
        assert!(self.store.append(lines));
    }

    fn wait_below(&mut self, pending_bytes: usize) {
        self.store.refresh().unwrap();
        while self.store.pending_bytes() > pending_bytes {
            self.news.wait();
            self.store.refresh().unwrap();
        }
    }
}

fn run(tip: &Tip, count: u64) -> Lines {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    let message = Message::from_json(Bytes::from(format!("\"{}\"", "m".repeat(MESSAGE_BYTES)))).unwrap();
    for nth in 0..count {
        let order = tip.place.length.plus(nth);
        let id = MessageId::new(&format!("0189c0de-0000-7000-8000-{:012x}", order.get())).unwrap();
        let head = EntryHead {
            order,
            epoch: tip.epoch.as_ref().unwrap().number(),
            at: WallTime::from_ms(7),
            more: false,
        };
        entry::encode(&mut bytes, head, &id, &message);
        ends.push(bytes.len());
    }
    Lines::of_entries(bytes.into(), ends, WallTime::from_ms(7), tip)
}

fn begin(store: &mut DiskStore) {
    let owner = "master".parse().unwrap();
    let epoch = Epoch { reign: 1, owner, start: 0, incarnation: Incarnation::from_random(1) };
    let mark = Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO };
    let lines = Lines::of_mark(mark, store.tip());
    assert!(store.append(&lines));
}

/// Writes and syncs of a prefilled file, by one thread: entries a second and MB/s.
fn raw(dir: &Path, batch: usize, line: usize) -> (f64, f64) {
    const SIZE: u64 = 256 * 1024 * 1024;
    let path = dir.join("raw");
    let file = fs::File::create(&path).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..SIZE >> 20).for_each(|nth| file.write_all_at(&zeros, nth << 20).unwrap());
    file.sync_all().unwrap();
    let (bytes, started, mut count, mut at) = (vec![b'x'; batch * line], Instant::now(), 0, 0);
    while started.elapsed() < TIME {
        file.write_all_at(&bytes, at).unwrap();
        file.sync_data().unwrap();
        at = (at + bytes.len() as u64) % (SIZE - bytes.len() as u64);
        count += batch;
    }
    let seconds = started.elapsed().as_secs_f64();
    fs::remove_file(path).unwrap();
    (count as f64 / seconds, (count * line) as f64 / seconds / 1e6)
}

/// Runs that continue `tip`, made before the clock starts.
fn runs(tip: &Tip, batch: u64) -> Vec<Lines> {
    let (mut runs, mut bytes, mut tip) = (Vec::new(), 0, tip.clone());
    while bytes < PREPARED_BYTES {
        let lines = run(&tip, batch);
        bytes += lines.bytes().len();
        tip = lines.tip().clone();
        runs.push(lines);
    }
    runs
}

/// The log, appended to in batches: `window` bytes may wait (0: each batch is waited for).
fn log(dir: &Path, batch: u64, window: usize) -> (f64, f64) {
    let path = dir.join("log");
    let mut log = Log::open(&path);
    begin(&mut log.store);
    log.wait_below(0);
    let runs = runs(log.store.tip(), batch);
    let (started, mut count, mut bytes) = (Instant::now(), 0, 0);
    for lines in runs.iter().take_while(|_| started.elapsed() < TIME) {
        (count, bytes) = (count + batch, bytes + lines.bytes().len());
        log.append(lines);
        log.wait_below(window);
    }
    log.wait_below(0);
    let seconds = started.elapsed().as_secs_f64();
    drop(log);
    fs::remove_dir_all(path).unwrap();
    (count as f64 / seconds, bytes as f64 / seconds / 1e6)
}

fn resident_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn measure_open(dir: &Path, entries: u64) {
    let path = dir.join("log");
    let mut log = Log::open(&path);
    begin(&mut log.store);
    let started = Instant::now();
    while log.store.tip().place.length.get() < entries {
        let lines = run(log.store.tip(), 256);
        log.append(&lines);
        log.wait_below(32 << 20);
    }
    log.wait_below(0);
    println!("filled with {entries} entries in {:.1} s", started.elapsed().as_secs_f64());
    println!("  resident while open: {} MB", resident_mb());
    log.store.close().unwrap();
    let bytes: u64 =
        fs::read_dir(path.join("log")).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    for _ in 0..2 {
        let before = resident_mb();
        let started = Instant::now();
        let log = Log::open(&path);
        let seconds = started.elapsed().as_secs_f64();
        assert!(log.store.tip().place.length.get() >= entries);
        println!(
            "opened {:.0} MB in {seconds:.2} s: {:.2} GB/s; resident {} MB (before: {before})",
            bytes as f64 / 1e6,
            bytes as f64 / seconds / 1e9,
            resident_mb(),
        );
    }
    fs::remove_dir_all(path).unwrap();
}

/// The medians of some rounds of `raw` and `log`, measured in turn.
fn in_turn(mut raw: impl FnMut() -> f64, mut log: impl FnMut() -> f64) -> (f64, f64) {
    let (mut of_raw, mut of_log): (Vec<f64>, Vec<f64>) = (0..ROUNDS).map(|_| (raw(), log())).unzip();
    of_raw.sort_by(f64::total_cmp);
    of_log.sort_by(f64::total_cmp);
    (of_raw[ROUNDS / 2], of_log[ROUNDS / 2])
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("a directory to measure in");
    let entries = arguments.next().map_or(1_000_000, |text| text.parse().expect("a number of entries"));
    let dir = Path::new(&dir);
    fs::create_dir_all(dir).unwrap();
    let line = run(&tip_of_epoch(), 1).bytes().len();
    println!("lines of {line} bytes; raw: a prefilled file, written and synced by one thread; medians");
    // First, while nothing else of this program is in memory.
    if entries > 0 {
        measure_open(dir, entries);
    }
    for batch in [1, 32, 256] {
        let (raw, log) = in_turn(|| raw(dir, batch, line).0, || log(dir, batch as u64, 0).0);
        println!("batches of {batch:4}: {log:9.0}/s, raw {raw:9.0}/s, ratio {:.2}", log / raw);
    }
    let (raw, log) = in_turn(|| raw(dir, 5_000, line).1, || log(dir, 256, 8 << 20).1);
    println!("bulk: {log:.0} MB/s, raw with 1 MB a sync {raw:.0} MB/s, ratio {:.2}", log / raw);
}

fn tip_of_epoch() -> Tip {
    let owner = "master".parse().unwrap();
    let epoch = Epoch { reign: 1, owner, start: 0, incarnation: Incarnation::from_random(1) };
    Tip { epoch: Some(epoch), ..Tip::default() }
}
