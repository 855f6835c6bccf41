//! Puts the segments together, and decides what the end of the log is: whole, torn or damaged. Nothing is changed.
//!
//! A torn write and a damaged disk look alike: bytes whose checksum does not match. What tells them apart is
//! what was known to be on the disk. Records in the log say so, and so does a following segment, which is
//! begun only when the one before it is synced; and a log that was closed was on the disk up to its end. Sound
//! frames behind unsound ones say nothing: pages that were not synced reach the disk in any order.

use std::path::{Path, PathBuf};

use replog_shared::{
    Digest, Order, Place, PlacedMark, WallTime,
    store::{IdIndex, IdSeed},
};

use super::{
    CheckReport, DataDir, LogEnd, OpenMode, OpenOptions, TornTail,
    judged::{Judged, Loss},
    parallel::Scans,
    repair::{Repair, Seal},
    scan::{Scan, ScanError, scan},
};
use crate::{
    error::{Damage, Failed, OpenError},
    files::{Files, read_full},
    format::{HEADER_BYTES, Header, HeaderError, start_of},
    log::Segment,
};

/// A log as it was found, and as it will be once it is repaired.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) segments: Vec<Segment>,
    pub(super) marks: Vec<PlacedMark>,
    pub(super) ids: Option<IdIndex>,
    pub(super) place: Place,
    pub(super) digest: Digest,
    /// The digest through the last entry, and the lines of the marks behind it.
    pub(super) entry_digest: Digest,
    pub(super) trailing_marks: Vec<u8>,
    /// When the last entry was appended, if that says so.
    pub(super) at: Option<WallTime>,
    /// Where the batch begins in the middle of which the log ends.
    pub(super) batch: Option<Order>,
    /// Where it must not end before.
    closed_at: Option<LogEnd>,
}

/// What a segment turned out to be.
enum Verdict {
    Sound(Scan),
    /// The end of a write is missing. What is kept, is sound.
    Torn(Scan, TornTail),
    /// What was on the disk is not sound. What is before it, is.
    Damaged(Damage, Option<Scan>),
}

/// Checks everything in the directory: what the log is, and what is to be done to it before it can be used.
pub(super) fn judge(dir: &DataDir, options: OpenOptions) -> Result<Judged, OpenError> {
    let paths = dir.segments()?;
    let mut recovered = Recovered::new(options.ids, options.closed_at, &paths);
    let (mut loss, mut repair) = (Loss::Nothing, Repair::Nothing);
    let mut scans = Scans::start(&dir.files, &paths, options.ids);
    for (nth, path) in paths.iter().enumerate() {
        let scanned =
            scans.next().ok_or_else(|| OpenError::Io("a thread that checks the log died".into()))?;
        match recovered.judge(dir, &paths, nth, scanned)? {
            Verdict::Sound(scan) if nth + 1 < paths.len() => recovered.take(path, scan),
            Verdict::Sound(scan) => repair = recovered.end_with(path, scan),
            Verdict::Torn(kept, torn) => {
                loss = Loss::Torn(torn);
                repair = recovered.end_with(path, kept);
            }
            Verdict::Damaged(damage, sound) => {
                loss = Loss::Damaged(damage);
                repair = recovered.end_before_damage(&paths[nth..], sound);
                break;
            }
        }
    }
    if let Some(damage) = recovered.damage_of_nothing(dir, &paths) {
        loss = Loss::Damaged(damage);
    }
    match loss {
        Loss::Damaged(damage) if options.mode == OpenMode::Strict => Err(OpenError::Damaged(damage)),
        loss => Ok(Judged { dir: dir.clone(), options, checked: paths.len(), recovered, loss, repair }),
    }
}

/// Checks everything in the directory and changes nothing.
pub(super) fn check(dir: &DataDir, closed_at: Option<LogEnd>) -> Result<CheckReport, OpenError> {
    let paths = dir.segments()?;
    let mut recovered = Recovered::new(None, closed_at, &paths);
    let mut torn_tail = None;
    let mut scans = Scans::start(&dir.files, &paths, None);
    for (nth, path) in paths.iter().enumerate() {
        let scanned =
            scans.next().ok_or_else(|| OpenError::Io("a thread that checks the log died".into()))?;
        let scan = match recovered.judge(dir, &paths, nth, scanned)? {
            Verdict::Sound(scan) => scan,
            Verdict::Torn(kept, torn) => {
                torn_tail = Some(torn);
                kept
            }
            Verdict::Damaged(damage, _) => return Err(OpenError::Damaged(damage)),
        };
        recovered.take(path, scan);
    }
    if let Some(damage) = recovered.damage_of_nothing(dir, &paths) {
        return Err(OpenError::Damaged(damage));
    }
    let epoch = recovered.marks.last().map(|placed| placed.mark.epoch.clone());
    let bytes = recovered.segments.iter().map(|one| one.end).sum();
    let Recovered { place, digest, at, batch, .. } = recovered;
    Ok(CheckReport { place, epoch, digest, at, batch, segments: paths.len(), bytes, torn_tail })
}

fn torn(path: &Path, scan: &Scan, keep: u64) -> TornTail {
    let flaw = scan.flaw.as_ref();
    TornTail {
        file: path.to_owned(),
        offset: keep,
        bytes: scan.end - keep + flaw.map_or(0, |flaw| flaw.bytes),
        reason: flaw.map_or_else(|| "the rest of its run is missing".to_owned(), |flaw| flaw.reason.clone()),
    }
}

/// The scan of what is kept of a segment with a torn end.
fn rescan(
    dir: &DataDir,
    path: &Path,
    scanned: Scan,
    keep: u64,
    ids: Option<IdSeed>,
) -> Result<Scan, OpenError> {
    if keep == scanned.end {
        return Ok(scanned);
    }
    scan(&*dir.files, path, keep, ids).map_err(|error| OpenError::Io(format!("{}: {error}", path.display())))
}

impl Recovered {
    fn new(ids: Option<IdSeed>, closed_at: Option<LogEnd>, paths: &[PathBuf]) -> Recovered {
        let mut ids = ids.map(IdIndex::new);
        let entries = paths.last().and_then(|last| start_of(&last.file_name()?.to_string_lossy()));
        if let (Some(ids), Some(place)) = (&mut ids, entries) {
            // A name may say anything: the files must at least be large enough for so many entries.
            ids.reserve(place.length.get().min(paths.len() as u64 * MOST_ENTRIES_IN_SEGMENT) as usize);
        }
        Recovered { ids, closed_at, ..Recovered::default() }
    }

    fn judge(
        &self,
        dir: &DataDir,
        paths: &[PathBuf],
        nth: usize,
        scanned: Result<Scan, ScanError>,
    ) -> Result<Verdict, OpenError> {
        let path = &paths[nth];
        let damage = |offset, reason: &str| Damage { file: path.clone(), offset, reason: reason.to_owned() };
        let scan = match scanned {
            Ok(scan) => scan,
            Err(ScanError::Header(error @ HeaderError::NewerVersion { .. })) => {
                return Err(OpenError::NewerVersion { file: path.clone(), reason: error.to_string() });
            }
            Err(ScanError::Header(error)) => {
                return Ok(Verdict::Damaged(damage(0, &error.to_string()), None));
            }
            Err(ScanError::Io(error)) => return Err(Failed::reading(path)(error).into()),
        };
        if !self.is_continued_by(path, &scan.header) {
            return Ok(Verdict::Damaged(damage(0, "it does not continue the log before it"), None));
        }
        Ok(match paths.get(nth + 1) {
            Some(next) => match &scan.flaw {
                // All lines are there if the next segment continues them: what is behind them is nothing.
                Some(flaw) if !continues(&*dir.files, next, &scan) => {
                    Verdict::Damaged(damage(scan.end, &flaw.reason), Some(scan))
                }
                _ => Verdict::Sound(scan),
            },
            None => self.judge_last(dir, path, scan)?,
        })
    }

    /// The end of the log: torn if what is unsound, or not there any more, was never known to be on the disk.
    fn judge_last(&self, dir: &DataDir, path: &Path, scan: Scan) -> Result<Verdict, OpenError> {
        let damage = |offset, reason| Damage { file: path.to_owned(), offset, reason };
        let keep = scan.whole_end.max(scan.synced).min(scan.end);
        let torn = match &scan.flaw {
            Some(flaw) if scan.synced > scan.end => {
                return Ok(Verdict::Damaged(damage(scan.end, flaw.reason.clone()), Some(scan)));
            }
            None if keep == scan.end => None,
            _ => Some(torn(path, &scan, keep)),
        };
        let kept = rescan(dir, path, scan, keep, self.ids.as_ref().map(IdIndex::seed))?;
        let found = LogEnd { place: kept.place, digest: kept.digest };
        Ok(match (self.closed_at.and_then(|end| end.contradicts(found)), torn) {
            (Some(reason), _) => Verdict::Damaged(damage(kept.end, reason), Some(kept)),
            (None, Some(torn)) => Verdict::Torn(kept, torn),
            (None, None) => Verdict::Sound(kept),
        })
    }

    /// A log of which no segment is left, although it was closed with something in it.
    fn damage_of_nothing(&self, dir: &DataDir, paths: &[PathBuf]) -> Option<Damage> {
        let reason = self.closed_at.filter(|_| paths.is_empty())?.contradicts(LogEnd::default())?;
        Some(Damage { file: dir.log.clone(), offset: 0, reason })
    }

    fn is_continued_by(&self, path: &Path, header: &Header) -> bool {
        let named = path.file_name().and_then(|name| start_of(&name.to_string_lossy()));
        named == Some(header.start) && header.start == self.place && header.digest == self.digest
    }

    /// Takes the last segment, if it has lines: what is to be done to it.
    fn end_with(&mut self, path: &Path, scan: Scan) -> Repair {
        if scan.place == scan.header.start {
            return Repair::RemoveLast(path.to_owned());
        }
        let seal = Seal::of(&scan);
        self.take(path, scan);
        Repair::Seal(seal)
    }

    /// Takes what is sound of the first of these segments: what is to be done to all of them.
    fn end_before_damage(&mut self, paths: &[PathBuf], sound: Option<Scan>) -> Repair {
        let sound = sound.filter(|scan| scan.place != scan.header.start);
        let keeps_first = sound.is_some();
        if let Some(scan) = sound {
            self.take(&paths[0], scan);
        }
        Repair::Quarantine { paths: paths.to_vec(), keeps_first }
    }

    fn take(&mut self, path: &Path, scan: Scan) {
        if let Some(ids) = &mut self.ids {
            let mut order = scan.header.start.length;
            for id in &scan.ids {
                ids.insert(*id, order);
                order = order.next();
            }
        }
        if let Some(digest) = scan.entry_digest {
            self.entry_digest = digest;
            self.at = scan.at;
            self.trailing_marks.clear();
        }
        // A batch may lie in several segments of a node that got it in parts.
        let goes_on = scan.batch == Some(scan.header.start.length);
        self.batch = scan.batch.map(|begins| self.batch.filter(|_| goes_on).unwrap_or(begins));
        self.trailing_marks.extend_from_slice(&scan.trailing_marks);
        self.marks.extend(scan.marks);
        (self.place, self.digest) = (scan.place, scan.digest);
        let Scan { header, end, index, .. } = scan;
        self.segments.push(Segment { path: path.to_owned(), header, end, index });
    }
}

/// The smallest frame of an entry takes about 64 bytes.
const MOST_ENTRIES_IN_SEGMENT: u64 = crate::limits::SEGMENT_MAX_BYTES / 64;

/// Whether a segment begins exactly where the lines of `scan` end, and is called so.
fn continues(files: &dyn Files, next: &Path, scan: &Scan) -> bool {
    let named = next.file_name().and_then(|name| start_of(&name.to_string_lossy()));
    let mut head = [0; HEADER_BYTES];
    let got = files.open(next).and_then(|file| read_full(&*file, &mut head, 0)).unwrap_or(0);
    Header::decode(&head[..got]).is_ok_and(|header| {
        named == Some(header.start) && header.start == scan.place && header.digest == scan.digest
    })
}
