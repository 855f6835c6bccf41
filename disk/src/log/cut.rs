//! Cuts the end of the log off, durably, so that a crash at any moment leaves the log as it was, as it is to
//! be, or between the two.

use std::path::{Path, PathBuf};

use replog_shared::{Digest, Mark, Order, Place, PlacedMark, store::Cut};

use super::{
    quarantine::{Behind, Quarantine},
    segments::Segment,
    shared::{Shared, read, write},
};
use crate::{
    error::Failed,
    files::{Files, read_full, write_full},
    format::{Frame, RECORD_BYTES, Stretch, SyncRecord, TEMPORARY_SUFFIX, Walker, put_record},
    limits::{READ_BYTES, SCAN_BYTES},
};

/// Where a log is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct CutAt {
    /// What follows it goes.
    pub(super) place: Place,
    /// The log's digest there.
    pub(super) digest: Digest,
    /// How many marks directly before it follow the last entry: they have its order and stay.
    pub(super) marks_that_stay: u32,
    /// The log's length before.
    pub(super) length: Order,
}

impl CutAt {
    pub(super) fn new(place: Place, digest: Digest, length: Order, marks: &[PlacedMark]) -> CutAt {
        CutAt { place, digest, marks_that_stay: marks_at_end(&marks[..place.marks as usize], place), length }
    }

    /// How many of the marks that stay directly before the place are in a segment that begins there.
    fn marks_in(&self, start: Place) -> u32 {
        self.marks_that_stay.min(self.place.marks - start.marks)
    }
}

/// How many of `marks`, all before `place`, stand directly before it.
fn marks_at_end(marks: &[PlacedMark], place: Place) -> u32 {
    marks.iter().rev().take_while(|placed| placed.at == place.length).count() as u32
}

impl Shared {
    /// Cuts, and returns the files in quarantine. The log must be sealed. Newest segments go first, one by one, so that
    /// there is never a hole. No lock is held while the disk works: readers and the node go on meanwhile.
    ///
    /// # Errors
    /// The log ends somewhere between the cut and where it ended before.
    pub(super) fn cut(&self, cut: &CutAt, kept: Cut) -> Result<Vec<PathBuf>, Failed> {
        let (files, dir) = (&*self.dir.files, &self.dir.log);
        let entries_go = cut.place.length < cut.length;
        let quarantine = match kept {
            Cut::Quarantine if entries_go => Some(Quarantine::begin(&self.dir)?),
            Cut::Quarantine | Cut::Drop => None,
        };
        self.close_last_that_stays(cut.place)?;
        let part = self.part_that_stays(cut)?;
        let (gone, last) = self.forget_from(cut.place, part);
        let mut moved = Vec::new();
        for segment in gone.iter().rev() {
            match &quarantine {
                Some(quarantine) => moved.push(quarantine.take(&segment.path)?),
                None => {
                    files.remove(&segment.path).map_err(Failed::removing(&segment.path))?;
                    files.sync_dir(dir).map_err(Failed::syncing(dir))?;
                }
            }
        }
        if let Some((last, behind)) = last.zip(part) {
            moved.extend(quarantine.map(|to| to.copy(&last, behind, cut)).transpose()?.flatten());
            // In memory it ends before the record, which is in one of the two files that a reader may have opened.
            replace_by_prefix(files, dir, &last, behind.from, cut.digest)?;
        }
        moved.reverse();
        Ok(moved)
    }

    /// That the segments after it go must not take away what they prove of the last one that stays.
    fn close_last_that_stays(&self, place: Place) -> Result<(), Failed> {
        let (last, digest) = {
            let segments = read(&self.segments);
            let stay = segments.partition_point(|segment| segment.start() < place);
            (segments[..stay].last().map(Segment::outline), segments.get(stay).map(|next| next.header.digest))
        };
        let Some((mut last, digest)) = last.zip(digest) else { return Ok(()) };
        close_segment(&*self.dir.files, &mut last, digest)?;
        let mut segments = write(&self.segments);
        let closed = segments.iter_mut().find(|segment| segment.header == last.header);
        closed.into_iter().for_each(|segment| segment.end = last.end);
        Ok(())
    }

    /// The bytes that go of the last segment that stays; `None` if all of it stays.
    fn part_that_stays(&self, cut: &CutAt) -> Result<Option<Behind>, Failed> {
        let (last, seek) = {
            let segments = read(&self.segments);
            let stay = segments.partition_point(|segment| segment.start() < cut.place);
            let Some(last) = segments[..stay].last() else { return Ok(None) };
            (last.outline(), last.seek(cut.place.length))
        };
        let from = self.offset_of(&last, seek, cut.place.length, cut.marks_in(last.start()))?;
        Ok((from < last.end).then_some(Behind { from, to: last.end }))
    }

    /// From now on no reader looks for anything after the place. What goes, and the last segment that stays.
    fn forget_from(&self, place: Place, part: Option<Behind>) -> (Vec<Segment>, Option<Segment>) {
        let mut segments = write(&self.segments);
        let stay = segments.partition_point(|segment| segment.start() < place);
        let gone = segments.split_off(stay);
        if let Some((last, behind)) = segments.last_mut().zip(part) {
            // Whether a reader opens the file before it is replaced or after: up to here both are the same.
            last.end = behind.from;
            last.index.cut(behind.from);
        }
        (gone, segments.last().map(Segment::outline))
    }

    /// Where in a segment the first line begins after `length` entries and `marks` marks that follow them.
    fn offset_of(
        &self,
        segment: &Segment,
        (from, mut at): (u64, Order),
        length: Order,
        marks: u32,
    ) -> Result<u64, Failed> {
        let file = self.dir.files.open(&segment.path).map_err(Failed::reading(&segment.path))?;
        let mut walker =
            Walker::new(Stretch { file, salt: segment.header.salt, from, to: segment.end }, READ_BYTES);
        let (mut passed, mut offset) = (0, from);
        while at < length || passed < marks {
            let Some(frame) = walker.next().map_err(|error| Failed::Walk(segment.path.clone(), error))?
            else {
                return Ok(segment.end);
            };
            if let Frame::Line { line, .. } = frame {
                match Mark::is_mark(line) {
                    true if at == length => passed += 1,
                    true => {}
                    false => at = at.next(),
                }
            }
            offset = walker.offset();
        }
        Ok(offset)
    }
}

/// Puts the first `keep` bytes of a segment in place of all of it, in one step, and says behind them that
/// they are synced. Returns where it ends now.
///
/// A file that is cut in place could, after a crash, be taken for one with a torn end.
///
/// # Errors
/// The file system refused; the segment is as it was, or as it is to be.
pub(crate) fn replace_by_prefix(
    files: &dyn Files,
    dir: &Path,
    segment: &Segment,
    keep: u64,
    digest: Digest,
) -> Result<u64, Failed> {
    let path = &segment.path;
    let temporary = path.with_extension(&TEMPORARY_SUFFIX[1..]);
    let old = files.open(path).map_err(Failed::reading(path))?;
    let new = files.create(&temporary).map_err(Failed::creating(&temporary))?;
    let (mut buffer, mut at) = (vec![0; SCAN_BYTES], 0);
    while at < keep {
        let count = (keep - at).min(SCAN_BYTES as u64) as usize;
        let got = read_full(&*old, &mut buffer[..count], at).map_err(Failed::reading(path))?;
        write_full(&*new, &buffer[..got], at).map_err(Failed::writing(&temporary))?;
        at += got.max(1) as u64;
    }
    let record = sealed_end(segment.header.salt, keep, digest);
    write_full(&*new, &record, keep).map_err(Failed::writing(&temporary))?;
    new.sync().map_err(Failed::syncing(&temporary))?;
    files.rename(&temporary, path).map_err(Failed::creating(path))?;
    files.sync_dir(dir).map_err(Failed::syncing(dir))?;
    Ok(keep + RECORD_BYTES as u64)
}

/// Says behind the end of a whole segment that all of it is synced.
///
/// As long as another segment follows, that one says so. To be called before it goes: without either, damage to the
/// last group would be taken for a torn write, and cut off in silence.
///
/// # Errors
/// The file system refused; then the record is there or not.
pub(crate) fn close_segment(files: &dyn Files, segment: &mut Segment, digest: Digest) -> Result<(), Failed> {
    let path = &segment.path;
    let file = files.open(path).map_err(Failed::reading(path))?;
    file.set_len(segment.end).map_err(Failed::writing(path))?;
    let record = sealed_end(segment.header.salt, segment.end, digest);
    write_full(&*file, &record, segment.end).map_err(Failed::writing(path))?;
    file.sync().map_err(Failed::syncing(path))?;
    segment.end += RECORD_BYTES as u64;
    Ok(())
}

/// The record that says that all before it is synced.
pub(crate) fn sealed_end(salt: u32, end: u64, digest: Digest) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD_BYTES);
    put_record(&mut bytes, salt, end, SyncRecord { synced: end, digest });
    bytes
}
