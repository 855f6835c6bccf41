//! What is cut is kept, where it harms nobody.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{cut::CutAt, shared::Shared};
use crate::{
    error::Failed,
    files::{Files, write_full},
    format::TEMPORARY_SUFFIX,
    limits::READ_BYTES,
};

/// The number of the next file in the quarantine: one above the highest there.
pub(crate) fn next_number(files: &dyn Files, dir: &Path) -> io::Result<u64> {
    let number = |name: &String| name.split('-').next()?.parse::<u64>().ok();
    Ok(files.list(dir)?.iter().filter_map(number).max().map_or(1, |highest| highest + 1))
}

impl Shared {
    /// Copies all lines behind `cut` to a file of their own, durable when it returns. The log must be
    /// durable and idle.
    pub(super) fn quarantine(&self, cut: &CutAt) -> Result<PathBuf, Failed> {
        let (files, dir) = (&*self.dir.files, &self.dir.quarantine);
        self.dir.create(dir)?;
        let number = next_number(files, dir).map_err(Failed::reading(dir))?;
        let name = format!("{number}-{}-{}.ndjson", cut.place.length, cut.length);
        let (path, temporary) = (dir.join(&name), dir.join(name + TEMPORARY_SUFFIX));
        self.copy_lines(cut, &temporary)?;
        files.rename(&temporary, &path).map_err(Failed::creating(&path))?;
        files.sync_dir(dir).map_err(Failed::syncing(dir))?;
        Ok(path)
    }

    fn copy_lines(&self, cut: &CutAt, path: &Path) -> Result<(), Failed> {
        let file = self.dir.files.create(path).map_err(Failed::creating(path))?;
        let (mut buffer, mut written, mut failed) = (Vec::with_capacity(2 * READ_BYTES), 0, None);
        let mut put = |buffer: &mut Vec<u8>| {
            let done = write_full(&*file, buffer, written);
            written += buffer.len() as u64;
            buffer.clear();
            done
        };
        self.lines_behind(cut, |line| {
            buffer.extend_from_slice(line);
            if buffer.len() >= READ_BYTES {
                failed = put(&mut buffer).err();
            }
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failed.map_or(Ok(()), Err).and_then(|()| put(&mut buffer)).map_err(Failed::writing(path))?;
        file.sync().map_err(Failed::syncing(path))
    }

    /// All lines behind `cut`, from the disk.
    fn lines_behind(
        &self,
        cut: &CutAt,
        mut visit: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Failed> {
        let mut stay = cut.marks_that_stay;
        // Marks behind the last entry belong to the one that would follow it.
        let end = cut.length.next();
        let walked = self.walk(cut.place.length, end, READ_BYTES, |line| {
            if stay > 0 {
                stay -= 1;
                return ControlFlow::Continue(());
            }
            visit(line.line)
        });
        walked.map_err(Failed::Damaged)
    }
}
