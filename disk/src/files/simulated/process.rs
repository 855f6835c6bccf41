//! What one process sees of a simulated disk.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard, PoisonError},
};

use super::{Disk, NameChange, SimulatedFiles, inode::Inode};
use crate::files::{DirLock, File, Files};

/// The files of one process: after a crash, nothing it still does has any effect.
#[derive(Debug)]
pub struct SimulatedProcess {
    pub(super) files: SimulatedFiles,
    pub(super) process: u64,
}

impl SimulatedProcess {
    fn alive(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.files.lock_disk();
        if disk.process == self.process {
            Ok(disk)
        } else {
            Err(io::Error::other("this process has crashed"))
        }
    }
}

impl Files for SimulatedProcess {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut disk = self.alive()?;
        if !path.parent().is_some_and(|dir| disk.has_dir(dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Always another file: a process that still has the old one open keeps it.
        let inode = disk.inodes.len();
        disk.inodes.push(Inode::default());
        disk.change(NameChange::Link(path.to_owned(), inode));
        let file = self.files.open_inode(&disk, inode);
        disk.note_operation_on(inode);
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let disk = self.alive()?;
        let inode = disk.inode_at(path)?;
        Ok(self.files.open_inode(&disk, inode))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = self.alive()?;
        if !disk.has_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = disk.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<bool> {
        let mut disk = self.alive()?;
        if disk.has_dir(dir) {
            return Ok(false);
        }
        if !dir.parent().is_some_and(|parent| disk.has_dir(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = disk.inodes.len();
        disk.inodes.push(Inode::default());
        disk.dirs.insert(inode);
        disk.change(NameChange::Link(dir.to_owned(), inode));
        disk.note_operation();
        Ok(true)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.alive()?;
        let inode = disk.inode_at(from)?;
        disk.give_back_file(to);
        disk.change(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        disk.note_operation();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.alive()?;
        let inode = disk.inode_at(path)?;
        let counts = disk.counts(inode);
        disk.give_back_file(path);
        disk.change(NameChange::Unlink(path.to_owned()));
        if counts {
            disk.note_operation();
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.alive()?;
        let Disk { changes, synced_names, .. } = &mut *disk;
        changes.iter().filter(|change| change.is_in(dir)).for_each(|change| change.apply(synced_names));
        changes.retain(|change| !change.is_in(dir));
        disk.note_operation();
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<DirLock>> {
        let mut disk = self.alive()?;
        if !disk.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(Lock { files: self.files.clone(), path: path.to_owned(), process: self.process })))
    }
}

struct Lock {
    pub(super) files: SimulatedFiles,
    path: PathBuf,
    pub(super) process: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut disk = self.files.lock_disk();
        if disk.process == self.process {
            disk.locks.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct SimulatedFile {
    pub(super) files: SimulatedFiles,
    inode: usize,
    pub(super) process: u64,
}

impl SimulatedFile {
    fn alive(&self) -> io::Result<MutexGuard<'_, Disk>> {
        self.check(self.files.lock_disk())
    }

    fn check<'a>(&self, disk: MutexGuard<'a, Disk>) -> io::Result<MutexGuard<'a, Disk>> {
        if disk.process == self.process {
            Ok(disk)
        } else {
            Err(io::Error::other("this process has crashed"))
        }
    }
}

impl File for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.alive()?;
        let content = &disk.inodes[self.inode].current;
        let from = content.get(offset as usize..).unwrap_or_default();
        let count = from.len().min(buffer.len());
        buffer[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.alive()?;
        let (whole, had) = (bytes.len() as u64, disk.inodes[self.inode].current.len() as u64);
        // Only what makes it longer needs room.
        let in_place = had.saturating_sub(offset);
        let room = in_place.saturating_add(disk.free_bytes);
        let count = if disk.short_writes { whole.div_ceil(2) } else { whole }.min(room);
        if count == 0 && whole > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.free_bytes -= count.saturating_sub(in_place);
        disk.inodes[self.inode].write(offset as usize, &bytes[..count as usize]);
        disk.note_operation_on(self.inode);
        Ok(count as usize)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut disk = self.alive()?;
        let had = disk.inodes[self.inode].current.len() as u64;
        disk.give_back(had.saturating_sub(length));
        disk.inodes[self.inode].set_len(length as usize);
        disk.note_operation_on(self.inode);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.alive()?.inodes[self.inode].current.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.alive()?;
        disk.note_sync(self.inode);
        // What is written while it works may or may not be synced with the rest: it is not.
        let covered = disk.inodes[self.inode].pending();
        while disk.syncs_held && disk.process == self.process {
            disk = self.files.released.wait(disk).unwrap_or_else(PoisonError::into_inner);
        }
        let mut disk = self.check(disk)?;
        if disk.fails_sync_of(self.inode) {
            disk.inodes[self.inode].lose(covered);
            return Err(io::Error::other("a simulated error of the disk"));
        }
        disk.inodes[self.inode].sync(covered);
        disk.note_operation_on(self.inode);
        Ok(())
    }
}

impl SimulatedFiles {
    fn open_inode(&self, disk: &Disk, inode: usize) -> Arc<dyn File> {
        Arc::new(SimulatedFile { files: self.clone(), inode, process: disk.process })
    }
}
