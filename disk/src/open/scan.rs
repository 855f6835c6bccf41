//! Goes through one segment and checks everything in it.

use std::{io, path::Path, sync::Arc};

use replog_shared::{
    Digest, Mark, Order, Place, PlacedMark, WallTime,
    entry::EntryLine,
    store::{IdHash, IdSeed},
};

use crate::{
    files::{File, Files, read_full},
    format::{
        Frame, FrameError, HEADER_BYTES, Header, HeaderError, Stretch, SyncRecord, WalkError, Walker,
        records_behind,
    },
    limits::SCAN_BYTES,
    log::Indexer,
};

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) header: Header,
    pub(super) index: Indexer,
    pub(super) marks: Vec<PlacedMark>,
    /// The hash of each entry's id, if asked for.
    pub(super) ids: Vec<IdHash>,
    /// The log's end behind its last line.
    pub(super) place: Place,
    pub(super) digest: Digest,
    /// The digest through its last entry, if it has one, and the lines of the marks behind that.
    pub(super) entry_digest: Option<Digest>,
    pub(super) trailing_marks: Vec<u8>,
    /// When its last entry was appended, if that says so.
    pub(super) at: Option<WallTime>,
    /// Where the batch begins in the middle of which the segment ends; its own beginning if that is not in it.
    pub(super) batch: Option<Order>,
    /// Behind the last sound frame.
    pub(super) end: u64,
    /// Behind the last line.
    pub(super) lines_end: u64,
    /// Behind the last whole run.
    pub(super) whole_end: u64,
    /// Bytes `0..` this were on the disk once, says a record somewhere in the file.
    pub(super) synced: u64,
    /// The file's size.
    pub(super) size: u64,
    /// What stands behind `end` that is not zeros.
    pub(super) flaw: Option<Flaw>,
}

/// Something behind the last sound frame.
#[derive(Clone, Debug)]
pub(super) struct Flaw {
    pub(super) reason: String,
    /// Bytes up to the last that is not zero.
    pub(super) bytes: u64,
}

/// Why a segment could not be scanned.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("could not read: {0}")]
    Io(#[from] io::Error),
}

impl Scan {
    fn empty(header: Header, size: u64) -> Scan {
        let start = HEADER_BYTES as u64;
        Scan {
            header,
            index: Indexer::default(),
            marks: Vec::new(),
            ids: Vec::new(),
            place: header.start,
            digest: header.digest,
            entry_digest: None,
            trailing_marks: Vec::new(),
            at: None,
            batch: None,
            end: start,
            lines_end: start,
            whole_end: start,
            synced: 0,
            size,
            flaw: None,
        }
    }

    fn on_frame(&mut self, frame: Frame<'_>, seed: Option<IdSeed>) -> Result<(), &'static str> {
        let end = self.end + frame.size() as u64;
        match frame {
            Frame::Record(record) => self.on_record(record, end)?,
            Frame::Line { line, digest, more } => {
                if self.digest.extend(line) != digest {
                    return Err("the line does not continue the digest");
                }
                let before = std::mem::replace(&mut self.digest, digest);
                if let Err(reason) = self.on_line(line, end, seed) {
                    self.digest = before;
                    return Err(reason);
                }
                self.lines_end = end;
                if !more {
                    self.whole_end = end;
                }
            }
        }
        self.end = end;
        Ok(())
    }

    fn on_line(&mut self, line: &[u8], end: u64, seed: Option<IdSeed>) -> Result<(), &'static str> {
        if Mark::is_mark(line) { self.on_mark(line) } else { self.on_entry(line, end, seed) }
    }

    fn on_record(&mut self, record: SyncRecord, end: u64) -> Result<(), &'static str> {
        if record.digest != self.digest || record.synced > self.end {
            return Err("a record does not fit the lines before it");
        }
        self.synced = self.synced.max(record.synced);
        self.whole_end = end;
        Ok(())
    }

    fn on_mark(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let mark = Mark::parse(line).map_err(|_| "neither an entry nor a mark")?;
        // A header may say anything: whether the segment continues the one before is looked at later.
        self.place.marks = self.place.marks.checked_add(1).ok_or("more marks than a log can have")?;
        self.marks.push(PlacedMark { mark, at: self.place.length, digest: self.digest });
        self.trailing_marks.extend_from_slice(line);
        self.batch = None;
        Ok(())
    }

    fn on_entry(&mut self, line: &[u8], end: u64, seed: Option<IdSeed>) -> Result<(), &'static str> {
        let entry = EntryLine::parse(line).map_err(|_| "neither an entry nor a mark")?;
        if entry.order != self.place.length {
            return Err("an entry of another order");
        }
        if let Some(seed) = seed {
            self.ids.push(seed.hash(&entry.id_text()));
        }
        self.entry_digest = Some(self.digest);
        self.trailing_marks.clear();
        self.index.on_entry(end);
        self.at = entry.at;
        self.batch = if entry.more { self.batch.or(Some(entry.order)) } else { None };
        self.place.length = self.place.length.next();
        Ok(())
    }
}

/// Scans a segment up to `limit`, or to the first thing that is not sound.
///
/// # Errors
/// It cannot be read, or has no sound header.
pub(super) fn scan(
    files: &dyn Files,
    path: &Path,
    limit: u64,
    seed: Option<IdSeed>,
) -> Result<Scan, ScanError> {
    let file = files.open(path)?;
    let mut head = [0; HEADER_BYTES];
    let got = read_full(&*file, &mut head, 0)?;
    let header = Header::decode(&head[..got])?;
    let mut scan = Scan::empty(header, file.length()?);
    let from = HEADER_BYTES as u64;
    let stretch = Stretch { file: file.clone(), salt: header.salt, from, to: scan.size.min(limit) };
    let stopped = walk(&mut scan, stretch, seed)?;
    if limit >= scan.size {
        scan.look_behind(&file, stopped)?;
    }
    Ok(scan)
}

/// Walks as far as everything is sound: why it ended, unless at the end of the stretch.
fn walk(scan: &mut Scan, stretch: Stretch, seed: Option<IdSeed>) -> io::Result<Option<&'static str>> {
    let mut walker = Walker::new(stretch, SCAN_BYTES);
    loop {
        match walker.next() {
            Ok(None) => return Ok(None),
            Ok(Some(frame)) => {
                if let Err(reason) = scan.on_frame(frame, seed) {
                    return Ok(Some(reason));
                }
            }
            Err(WalkError::Io(error)) => return Err(error),
            Err(WalkError::Frame { error, .. }) => {
                return Ok(Some(match error {
                    FrameError::Zeros => "zeros where a line was written",
                    FrameError::Short => "a line that is longer than the file",
                    FrameError::Damaged => "the checksum does not match",
                }));
            }
        }
    }
}

impl Scan {
    /// Looks at what stands behind the last sound frame: nothing but zeros is the end. Else records tell
    /// whether it had been on the disk.
    fn look_behind(&mut self, file: &Arc<dyn File>, stopped: Option<&'static str>) -> io::Result<()> {
        let Some(reason) = stopped else { return Ok(()) };
        let mut rest = vec![0; (self.size - self.end) as usize];
        let got = read_full(&**file, &mut rest, self.end)?;
        rest.truncate(got);
        let Some(last) = rest.iter().rposition(|byte| *byte != 0) else { return Ok(()) };
        let records = records_behind(&rest, self.header.salt, self.end);
        self.synced = self.synced.max(records.map(|record| record.synced).max().unwrap_or(0));
        self.flaw = Some(Flaw { reason: reason.to_owned(), bytes: last as u64 + 1 });
        Ok(())
    }
}
