//! The thread that writes: whatever waits goes into one write.

use std::{sync::Arc, time::Duration};

use replog_shared::{Digest, Durability, Lines, Mark, Place, store::Cut};

use super::{
    cut::CutAt,
    segments::{Indexer, Segment},
    shared::{Shared, read, write},
    spare::Spares,
    syncer,
    work::{Errand, Run, Task, Work, Written},
};
use crate::{
    error::Failed,
    files::{File, write_full},
    format::{
        FRAME_HEADER_BYTES, HEADER_BYTES, Header, RECORD_BYTES, SyncRecord, put_line, put_record,
        segment_name,
    },
    limits::{GROUP_BYTES, IDLE, IDLE_OS},
    open::{OpenOptions, SegmentSizes},
};

/// The segment that is written.
struct Current {
    file: Arc<dyn File>,
    salt: u32,
    /// Behind the last frame.
    end: u64,
    /// Behind the last line.
    lines_end: u64,
    /// A record says that the lines before this are synced.
    recorded: u64,
    /// Above this, the next one is begun.
    size: u64,
}

/// Owns the end of the log.
pub(super) struct Writer {
    shared: Arc<Shared>,
    spares: Arc<Spares>,
    level: Durability,
    sizes: SegmentSizes,
    current: Option<Current>,
    /// The end of the log as it was written.
    place: Place,
    digest: Digest,
    /// Bytes of all segments.
    log_bytes: u64,
    writes: u64,
    line_bytes: u64,
    /// Frames that will be written together.
    buffer: Vec<u8>,
    /// For each entry in the buffer, where its frame ends in the file.
    entry_ends: Vec<u64>,
}

impl Writer {
    /// The writer of a log that has so many bytes.
    pub(super) fn new(
        shared: Arc<Shared>,
        spares: Arc<Spares>,
        options: OpenOptions,
        log_bytes: u64,
    ) -> Writer {
        spares.want(options.segments.next(log_bytes));
        Writer {
            shared,
            spares,
            level: options.level,
            sizes: options.segments,
            current: None,
            place: Place::START,
            digest: Digest::EMPTY,
            log_bytes,
            writes: 0,
            line_bytes: 0,
            buffer: Vec::new(),
            entry_ends: Vec::new(),
        }
    }

    /// Works until it is told to stop or something failed.
    pub(super) fn run(mut self) {
        loop {
            let done = match self.shared.pipe.next_work(self.idle_after()) {
                Work::Group(runs) => self.write_group(&runs),
                Work::Task(task) => self.do_task(task),
                Work::Idle => self.note_synced(),
                Work::Seal => self.seal(),
                Work::Stop => return,
            };
            if let Err(failed) = done {
                self.shared.pipe.fail(&failed);
            }
        }
    }

    /// After how long without work the writer has something to note.
    fn idle_after(&self) -> Option<Duration> {
        let current = self.current.as_ref()?;
        let idle = if self.level == Durability::Disk { IDLE } else { IDLE_OS };
        (current.recorded < current.lines_end).then_some(idle)
    }

    fn write_group(&mut self, runs: &[Run]) -> Result<(), Failed> {
        self.put_synced(self.shared.pipe.synced_lines_end());
        for run in runs {
            if !self.has_room(&run.lines) {
                self.flush()?;
                self.begin_segment(run)?;
            }
            self.put_run(&run.lines);
        }
        self.flush()
    }

    /// A run never lies in two segments.
    fn has_room(&self, lines: &Lines) -> bool {
        let Some(current) = &self.current else { return false };
        let end = current.end + self.buffer.len() as u64;
        end == HEADER_BYTES as u64 || end + room_for(lines) <= current.size
    }

    /// Begins the next segment. The one before is on the disk by then, so whatever is missing in it later
    /// is damage and no torn write.
    fn begin_segment(&mut self, run: &Run) -> Result<(), Failed> {
        self.end_segment()?;
        let (files, dir) = (&*self.shared.dir.files, &self.shared.dir.log);
        let path = dir.join(segment_name(run.start));
        let spare = self.spares.take().map_err(Failed::creating(&path))?;
        let header = Header { salt: salt(), start: run.start, digest: run.digest };
        write_full(&*spare.file, &header.encode(), 0).map_err(Failed::writing(&path))?;
        // Header, then name: under a segment's name there is never anything but a whole header.
        spare.file.sync().map_err(Failed::syncing(&path))?;
        files.rename(&spare.path, &path).map_err(Failed::creating(&path))?;
        files.sync_dir(dir).map_err(Failed::syncing(dir))?;
        self.shared.pipe.on_segment();
        let end = HEADER_BYTES as u64;
        self.current = Some(Current {
            file: spare.file,
            salt: header.salt,
            end,
            lines_end: end,
            recorded: end,
            size: spare.size.max(self.sizes.next(self.log_bytes)),
        });
        self.spares.want(self.sizes.next(self.log_bytes + spare.size));
        write(&self.shared.segments).push(Segment { path, header, end, index: Indexer::default() });
        Ok(())
    }

    /// What is written of the current segment becomes all of it.
    fn end_segment(&mut self) -> Result<(), Failed> {
        self.shared.pipe.sync_all().map_err(Failed::Before)?;
        let Some(current) = self.current.take() else { return Ok(()) };
        self.log_bytes += current.end;
        // Only gives back zeros: it needs no sync.
        current.file.set_len(current.end).map_err(Failed::writing(&self.shared.dir.log))
    }

    /// Notes that lines are synced, if that is news.
    fn put_synced(&mut self, synced: u64) {
        let digest = self.digest;
        let Some(current) = &mut self.current else { return };
        if synced > current.recorded && synced <= current.lines_end {
            put_record(&mut self.buffer, current.salt, current.end, SyncRecord { synced, digest });
            current.recorded = synced;
        }
    }

    fn put_run(&mut self, lines: &Lines) {
        let Some(current) = &self.current else { return };
        let (salt, base) = (current.salt, current.end);
        let (mut entries, mut marks) = (lines.entries().iter(), lines.marks().iter());
        let (bytes, mut at) = (lines.bytes(), 0);
        while let Some(end) = memchr::memchr(b'\n', &bytes[at..]).map(|end| at + end + 1) {
            let line = &bytes[at..end];
            let is_mark = Mark::is_mark(line);
            let digest = if is_mark {
                marks.next().map(|mark| mark.digest)
            } else {
                entries.next().map(|entry| entry.digest)
            };
            self.digest = digest.unwrap_or_default();
            put_line(&mut self.buffer, salt, base, line, self.digest, end < bytes.len());
            if !is_mark {
                self.entry_ends.push(base + self.buffer.len() as u64);
            }
            at = end;
        }
        self.place = lines.tip().place;
        self.line_bytes += bytes.len() as u64;
        let lines_end = base + self.buffer.len() as u64;
        if let Some(current) = &mut self.current {
            current.lines_end = lines_end;
        }
    }

    fn flush(&mut self) -> Result<(), Failed> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if self.buffer.is_empty() {
            return Ok(());
        }
        write_full(&*current.file, &self.buffer, current.end)
            .map_err(Failed::writing(&self.shared.dir.log))?;
        current.end += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(2 * GROUP_BYTES);
        if let Some(segment) = write(&self.shared.segments).last_mut() {
            segment.end = current.end;
            self.entry_ends.drain(..).for_each(|end| segment.index.on_entry(end));
        }
        self.writes += 1;
        let written = Written {
            write: self.writes,
            place: self.place,
            line_bytes: self.line_bytes,
            file: current.file.clone(),
            lines_end: current.lines_end,
        };
        if self.shared.pipe.on_written(&written) {
            syncer::sync(&self.shared, &written);
        }
        Ok(())
    }

    /// Tells the log that its last group is synced: a bit that flips in it later is damage, not a torn write.
    fn note_synced(&mut self) -> Result<(), Failed> {
        self.shared.pipe.sync_all().map_err(Failed::Before)?;
        let lines_end = self.current.as_ref().map_or(0, |current| current.lines_end);
        self.put_synced(lines_end);
        self.flush()?;
        self.shared.pipe.sync_all().map_err(Failed::Before)
    }

    fn do_task(&mut self, task: Task) -> Result<(), Failed> {
        match task.what {
            Errand::Chore(chore) => chore().map_err(Failed::Chore)?,
            Errand::Cut(at, kept) => self.cut(&at, kept)?,
        }
        self.shared.pipe.on_done(task.ticket);
        Ok(())
    }

    fn cut(&mut self, at: &CutAt, kept: Cut) -> Result<(), Failed> {
        self.make_all_durable()?;
        for file in self.shared.cut(at, kept)? {
            tracing::warn!(file = %file.display(), "what was cut is kept in quarantine");
        }
        self.place = at.place;
        self.log_bytes = read(&self.shared.segments).iter().map(|segment| segment.end).sum();
        Ok(())
    }

    fn seal(&mut self) -> Result<(), Failed> {
        self.make_all_durable()?;
        self.shared.pipe.on_sealed();
        Ok(())
    }

    /// Makes all that was written durable and ends the segment.
    fn make_all_durable(&mut self) -> Result<(), Failed> {
        self.note_synced()?;
        if let Some(current) = &self.current {
            current.file.set_len(current.end).map_err(Failed::writing(&self.shared.dir.log))?;
            current.file.sync().map_err(Failed::syncing(&self.shared.dir.log))?;
        }
        self.end_segment()
    }
}

/// Bytes that a run takes in a segment, the record before it included.
fn room_for(lines: &Lines) -> u64 {
    let count = lines.entries().len() + lines.marks().len();
    (lines.bytes().len() + count * FRAME_HEADER_BYTES + RECORD_BYTES) as u64
}

/// A number that no other segment has. The standard library's hasher is seeded by the system.
pub(crate) fn salt() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u8) as u32
}
