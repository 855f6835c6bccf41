//! A log on a simulated disk, and what it must hold.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

use bytes::Bytes;
use replog_shared::{
    Durability, Epoch, Incarnation, Lines, Mark, MarkKind, Message, MessageId, Order, Place, WallTime,
    entry::{self, EntryHead},
    lines::Tip,
    store::{IdSeed, LogView, Reader, Store, StoreError},
};

use crate::{
    DataDir, DiskStore, OpenError, OpenMode, OpenOptions, OpenReport, SegmentSizes,
    files::simulated::SimulatedFiles,
    format::{Frame, HEADER_BYTES, Header, Stretch, Walker},
};

/// Segments so small that a few entries fill one.
pub(super) const SMALL: SegmentSizes = SegmentSizes { first: 700, largest: 1_000 };

pub(super) const STRICT: OpenOptions = OpenOptions {
    level: Durability::Disk,
    ids: Some(IdSeed::from_random(1)),
    mode: OpenMode::Strict,
    closed_at: None,
    segments: SMALL,
};

pub(super) const CUT_AT_DAMAGE: OpenOptions = OpenOptions { mode: OpenMode::CutAtDamage, ..STRICT };

/// Longer than any test waits for anything that happens.
const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn root() -> PathBuf {
    "/data".into()
}

pub(super) fn mark(start: u32) -> Mark {
    let owner = "m".parse().unwrap();
    let epoch = Epoch { reign: 1, owner, start, incarnation: Incarnation::from_random(1) };
    Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO }
}

/// A run of `count` entries that continues `tip`, behind a mark if asked for.
pub(super) fn run(tip: &Tip, count: u64, size: usize, with_mark: bool) -> Lines {
    let mut bytes = Vec::new();
    let mut number = tip.epoch.as_ref().map(Epoch::number);
    if with_mark {
        let next = mark(number.map_or(0, |number| number.start + 1));
        number = Some(next.epoch.number());
        bytes.extend_from_slice(&next.encode());
    }
    for nth in 0..count {
        let order = tip.place.length.plus(nth);
        let message = Message::from_json(Bytes::from(format!("\"{}\"", "x".repeat(size)))).unwrap();
        let id = id_of(order);
        let head = EntryHead { order, epoch: number.unwrap(), at: WallTime::from_ms(7), more: false };
        entry::encode(&mut bytes, head, &id, &message);
    }
    Lines::checked(bytes.into(), tip).unwrap()
}

pub(super) fn id_of(order: Order) -> MessageId {
    MessageId::new(&format!("id{order}")).unwrap()
}

/// A store, and what it says when it has news.
pub(super) struct Log {
    pub(super) store: DiskStore,
    pub(super) report: OpenReport,
    news: Receiver<()>,
}

impl Log {
    pub(super) const fn new(store: DiskStore, report: OpenReport, news: Receiver<()>) -> Log {
        Log { store, report, news }
    }

    pub(super) fn open(files: &SimulatedFiles, options: OpenOptions) -> Result<Log, OpenError> {
        let dir = DataDir::on(files.process(), &root()).map_err(|error| OpenError::Io(error.to_string()))?;
        Log::open_in(&dir, options)
    }

    pub(super) fn open_in(dir: &DataDir, options: OpenOptions) -> Result<Log, OpenError> {
        let (sender, news) = sync_channel(1);
        let wake = move || {
            // One piece of news that waits is enough.
            let _ = sender.try_send(());
        };
        let (store, report) = crate::open(dir, options, wake)?;
        Ok(Log { store, report, news })
    }

    pub(super) fn append(&mut self, count: u64, size: usize, with_mark: bool) {
        let lines = run(self.store.tip(), count, size, with_mark);
        assert!(self.store.append(&lines));
    }

    /// Waits until everything is durable.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        let tip = self.store.tip().place;
        self.wait_until(|store| store.durable() == tip)
    }

    pub(super) fn wait_until(&mut self, holds: impl Fn(&DiskStore) -> bool) -> Result<(), StoreError> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.store.refresh()?;
            if holds(&self.store) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.news.recv_timeout(left).expect("news of the store");
        }
    }

    /// All lines, read in pages.
    pub(super) fn read_all(&self, limit: usize) -> Vec<u8> {
        read_all(&self.store, limit)
    }
}

pub(super) fn read_all<S: Store>(store: &S, limit: usize) -> Vec<u8> {
    let (reader, mut at, mut all) = (store.reader(), Order::ZERO, Vec::new());
    let length = store.tip().place.length;
    loop {
        let page = reader.read(at, length, limit).unwrap();
        all.extend_from_slice(&page.bytes);
        if page.to == length {
            return all;
        }
        assert!(page.to > at, "a page makes progress");
        at = page.to;
    }
}

/// What was appended: the log as it must be at each end of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) bytes: Vec<u8>,
    /// The tip, and how many bytes are before it: at each place where the log may end after a crash.
    pub(super) ends: Vec<(Tip, usize)>,
}

impl Model {
    pub(super) fn new() -> Model {
        Model { bytes: Vec::new(), ends: vec![(Tip::default(), 0)] }
    }

    pub(super) fn on_append(&mut self, lines: &Lines) {
        self.bytes.extend_from_slice(lines.bytes());
        self.ends.push((lines.tip().clone(), self.bytes.len()));
    }

    /// The log ends at `tip` now, which must be a place where it may.
    pub(super) fn cut(&mut self, tip: &Tip) {
        let at = self.ends.iter().position(|(end, _)| end == tip);
        let at = at.unwrap_or_else(|| panic!("the log ends at {:?}, within a run", tip.place));
        self.ends.truncate(at + 1);
        self.bytes.truncate(self.ends[at].1);
    }

    /// Any place within the log becomes one where it may end: it was cut there.
    pub(super) fn cut_within(&mut self, tip: &Tip, bytes: usize) {
        self.ends.retain(|(end, _)| end.place < tip.place);
        self.ends.push((tip.clone(), bytes));
        self.bytes.truncate(bytes);
    }

    /// Every line's end: the tip behind it, and bytes before that.
    pub(super) fn all_places(&self) -> Vec<(Tip, usize)> {
        let (mut tip, mut at, mut places) = (Tip::default(), 0, vec![(Tip::default(), 0)]);
        for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            tip = Lines::checked(Bytes::copy_from_slice(line), &tip).unwrap().tip().clone();
            at += line.len();
            places.push((tip.clone(), at));
        }
        places
    }
}

/// The store holds exactly what the model says, by every way to ask.
pub(super) fn assert_holds(log: &Log, model: &Model) {
    let (tip, _) = model.ends.last().unwrap();
    assert_eq!(log.store.tip(), tip);
    for limit in [1, 300, usize::MAX] {
        assert!(
            log.read_all(limit) == model.bytes,
            "what is read with a limit of {limit} is what was appended"
        );
    }
    let lines = Lines::checked(model.bytes.clone().into(), &Tip::default()).unwrap();
    assert_eq!(log.store.marks(), lines.marks());
    for (nth, line) in lines.entry_lines().enumerate() {
        let order = Order::new(nth as u64);
        assert_eq!(log.store.entry(order).as_deref(), Some(line));
        assert_eq!(log.store.find(&id_of(order)), Some(order));
    }
    assert_eq!(log.store.find(&id_of(tip.place.length)), None);
    for (place, _) in model.all_places() {
        assert_eq!(log.store.digest_at(place.place), Some(place.digest), "{:?}", place.place);
    }
    let size: usize = log.store.size(Order::ZERO, tip.place.length);
    let trailing = log.store.reader().read(tip.place.length, tip.place.length, 1).unwrap().bytes.len();
    assert_eq!(size + trailing, model.bytes.len());
    assert_eq!(log.store.failure(), None);
}

/// A closed log of several segments.
pub(super) fn closed(runs: u64) -> (SimulatedFiles, Model) {
    let files = SimulatedFiles::new(3);
    let (mut log, mut model) = (Log::open(&files, STRICT).unwrap(), Model::new());
    for nth in 0..runs {
        let lines = run(log.store.tip(), 1 + nth % 3, 25, nth % 4 == 0);
        assert!(log.store.append(&lines));
        model.on_append(&lines);
        log.settle().unwrap();
    }
    log.store.close().unwrap();
    (files, model)
}

pub(super) fn copy(files: &SimulatedFiles) -> SimulatedFiles {
    let other = SimulatedFiles::new(4);
    files.content(&root()).iter().for_each(|(path, content)| other.put(path, content));
    other
}

/// The segments, oldest first.
pub(super) fn segments(files: &SimulatedFiles) -> Vec<(PathBuf, Vec<u8>)> {
    let all = files.content(&root().join("log")).into_iter();
    all.filter(|(path, _)| path.extension().is_some_and(|extension| extension == "log")).collect()
}

/// The files in quarantine, by name.
pub(super) fn quarantine(files: &SimulatedFiles) -> Vec<(PathBuf, Vec<u8>)> {
    files.content(&root().join("quarantine")).into_iter().collect()
}

/// The lines in quarantine: those of a segment of which the beginning stays, then those of whole segments.
pub(super) fn quarantined(files: &SimulatedFiles) -> Vec<u8> {
    let (whole, copied): (Vec<_>, Vec<_>) = quarantine(files)
        .into_iter()
        .partition(|(path, _)| path.extension().is_some_and(|extension| extension == "log"));
    let process = files.process();
    let lines_of = |path: &PathBuf| {
        let file = process.open(path).unwrap();
        let mut header = [0; HEADER_BYTES];
        file.read_at(&mut header, 0).unwrap();
        let (salt, to) = (Header::decode(&header).unwrap().salt, file.length().unwrap());
        let mut walker = Walker::new(Stretch { file, salt, from: HEADER_BYTES as u64, to }, 1_000);
        let mut lines = Vec::new();
        // Behind the last frame there may be zeros.
        while let Ok(Some(frame)) = walker.next() {
            if let Frame::Line { line, .. } = frame {
                lines.extend_from_slice(line);
            }
        }
        lines
    };
    let copied = copied.into_iter().flat_map(|(_, content)| content);
    copied.chain(whole.iter().flat_map(|(path, _)| lines_of(path))).collect()
}

/// Waits until these bytes are in a segment, synced or not.
pub(super) fn wait_until_written(files: &SimulatedFiles, wanted: &[u8]) {
    let deadline = Instant::now() + DEADLINE;
    let is_there = |content: &[u8]| content.windows(wanted.len()).any(|bytes| bytes == wanted);
    while !segments(files).iter().any(|(_, content)| is_there(content)) {
        assert!(Instant::now() < deadline, "something is written in time");
        std::thread::yield_now();
    }
}

pub(super) fn flip(files: &SimulatedFiles, path: &Path, bit: usize) {
    files.damage(path, |content| content[bit / 8] ^= 1 << (bit % 8));
}

pub(super) fn place(length: u64, marks: u32) -> Place {
    Place::new(Order::new(length), marks)
}
