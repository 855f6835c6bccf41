//! What is cut is kept, where it harms nobody.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{cut::CutAt, segments::Segment};
use crate::{
    error::Failed,
    files::{Files, write_full},
    format::{Frame, Stretch, TEMPORARY_SUFFIX, Walker},
    limits::READ_BYTES,
    open::DataDir,
};

/// The number of the next file in the quarantine: one above the highest there.
pub(crate) fn next_number(files: &dyn Files, dir: &Path) -> io::Result<u64> {
    let number = |name: &String| name.split('-').next()?.parse::<u64>().ok();
    Ok(files.list(dir)?.iter().filter_map(number).max().map_or(1, |highest| highest + 1))
}

/// The bytes of a segment that are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Where one cut keeps what it cuts: files that share a number. Segments that go as a whole are moved, never copied, so
/// that a cut needs no room for what is on the disk already.
#[derive(Debug)]
pub(super) struct Quarantine<'a> {
    dir: &'a DataDir,
    number: u64,
}

impl Quarantine<'_> {
    pub(super) fn begin(dir: &DataDir) -> Result<Quarantine<'_>, Failed> {
        dir.create(&dir.quarantine)?;
        let number = next_number(&*dir.files, &dir.quarantine).map_err(Failed::reading(&dir.quarantine))?;
        Ok(Quarantine { dir, number })
    }

    /// Moves a whole segment, durable when it returns.
    pub(super) fn take(&self, segment: &Path) -> Result<PathBuf, Failed> {
        let DataDir { files, log, quarantine, .. } = self.dir;
        let name = segment.file_name().unwrap_or_default().to_string_lossy();
        let to = quarantine.join(format!("{}-{name}", self.number));
        files.rename(segment, &to).map_err(Failed::creating(&to))?;
        // The new name first: until the old one is gone for good it is in the log, and never nowhere.
        for changed in [quarantine, log] {
            files.sync_dir(changed).map_err(Failed::syncing(changed))?;
        }
        Ok(to)
    }

    /// Copies the lines that go of a segment of which the beginning stays; `None` if there are none.
    pub(super) fn copy(
        &self,
        segment: &Segment,
        behind: Behind,
        cut: &CutAt,
    ) -> Result<Option<PathBuf>, Failed> {
        let DataDir { files, quarantine, .. } = self.dir;
        let name = format!("{}-{}-{}.ndjson", self.number, cut.place.length, cut.length);
        let (path, temporary) = (quarantine.join(&name), quarantine.join(name + TEMPORARY_SUFFIX));
        if !self.copy_lines(segment, behind, &temporary)? {
            return Ok(None);
        }
        files.rename(&temporary, &path).map_err(Failed::creating(&path))?;
        files.sync_dir(quarantine).map_err(Failed::syncing(quarantine))?;
        Ok(Some(path))
    }

    /// Whether there was a line; without one, no file is left.
    fn copy_lines(&self, segment: &Segment, behind: Behind, path: &Path) -> Result<bool, Failed> {
        let files = &*self.dir.files;
        let old = files.open(&segment.path).map_err(Failed::reading(&segment.path))?;
        let stretch = Stretch { file: old, salt: segment.header.salt, from: behind.from, to: behind.to };
        let mut walker = Walker::new(stretch, READ_BYTES);
        let new = files.create(path).map_err(Failed::creating(path))?;
        let (mut buffer, mut written) = (Vec::with_capacity(2 * READ_BYTES), 0);
        while let Some(frame) = walker.next().map_err(|error| Failed::Walk(segment.path.clone(), error))? {
            let Frame::Line { line, .. } = frame else { continue };
            buffer.extend_from_slice(line);
            if buffer.len() >= READ_BYTES {
                write_full(&*new, &buffer, written).map_err(Failed::writing(path))?;
                written += buffer.len() as u64;
                buffer.clear();
            }
        }
        if buffer.is_empty() && written == 0 {
            files.remove(path).map_err(Failed::removing(path))?;
            return Ok(false);
        }
        write_full(&*new, &buffer, written).map_err(Failed::writing(path))?;
        new.sync().map_err(Failed::syncing(path))?;
        Ok(true)
    }
}
