//! Crashes at a point of one's choice, and what they leave: nothing of it is drawn.

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex},
};

use super::{Disk, NameChange, SimulatedFiles};

/// What a loss of power leaves of the content that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// The first half of each write.
    Beginnings,
    /// The second half of each write.
    Ends,
}

impl Contents {
    /// All of them.
    pub const ALL: [Contents; 4] = [Contents::None, Contents::All, Contents::Beginnings, Contents::Ends];
}

/// What a loss of power leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerLoss {
    /// Of content.
    pub contents: Contents,
    /// Of changed names, but for those of spare segments: bit n says whether the nth that is not synced is on the
    /// disk.
    pub names: u64,
}

impl SimulatedFiles {
    /// Another disk that is as this one is now, in the same process.
    #[must_use]
    pub fn fork(&self) -> SimulatedFiles {
        let disk: Disk = self.lock_disk().clone();
        SimulatedFiles { disk: Arc::new(Mutex::new(disk)), released: Arc::new(Condvar::new()) }
    }

    /// The process dies once it has changed something so many times more: what it does from then on has no effect.
    /// Spare segments do not count: they are filled beside all else, and are no part of the log.
    pub fn die_after(&self, operations: u64) {
        let mut disk = self.lock_disk();
        disk.dies_after = Some(operations);
        if operations == 0 {
            disk.end_process();
        }
    }

    /// Whether it has died of [`SimulatedFiles::die_after`], or of any other crash, since it had this many.
    pub fn crashes(&self) -> u64 {
        self.lock_disk().process
    }

    /// How many changed names are not synced, but for those of spare segments.
    pub fn unsynced_names(&self) -> u32 {
        self.lock_disk().changes.iter().filter(|change| !change.is_of_spare()).count() as u32
    }

    /// The power fails, and leaves what it is told to.
    pub fn lose_power(&self, loss: PowerLoss) {
        self.crash_process();
        let mut disk = self.lock_disk();
        disk.inodes.iter_mut().for_each(|inode| inode.keep(loss.contents));
        let changes = std::mem::take(&mut disk.changes);
        let counted = changes.iter().filter(|change| !change.is_of_spare()).enumerate();
        for (_, change) in counted.filter(|(nth, _)| loss.names >> nth & 1 == 1) {
            change.apply(&mut disk.synced_names);
        }
        disk.find_synced_names();
    }
}

fn is_spare(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("spare-"))
}

impl NameChange {
    fn is_of_spare(&self) -> bool {
        matches!(self, NameChange::Link(path, _) | NameChange::Unlink(path) if is_spare(path))
    }
}

impl Disk {
    /// A file was changed.
    pub(super) fn note_operation_on(&mut self, inode: usize) {
        if self.dies_after.is_some() && self.counts(inode) {
            self.note_operation();
        }
    }

    /// Whether what is done to a file counts: spares are filled beside all else.
    pub(super) fn counts(&self, inode: usize) -> bool {
        !self.names.iter().any(|(path, at)| *at == inode && is_spare(path))
    }

    /// Something was changed.
    pub(super) fn note_operation(&mut self) {
        let Some(left) = &mut self.dies_after else { return };
        *left -= 1;
        if *left == 0 {
            self.end_process();
        }
    }
}
