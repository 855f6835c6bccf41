//! The content of one simulated file.

use super::Contents;

/// Bytes that a disk writes whole or not at all, but for the one in which the power fails.
const SECTOR_BYTES: usize = 64;

/// Something written that is not synced.
#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write(offset, bytes) => put(content, *offset, bytes),
            Change::Length(length) => content.resize(*length, 0),
        }
    }

    /// A part of it, as the power fails.
    fn apply_torn(&self, content: &mut Vec<u8>, random: &mut fastrand::Rng) {
        let Change::Write(offset, bytes) = self else {
            if random.bool() {
                self.apply(content);
            }
            return;
        };
        match random.u8(0..4) {
            0 => {}
            1 => self.apply(content),
            2 => put(content, *offset, &bytes[..random.usize(0..=bytes.len())]),
            _ => {
                for (nth, sector) in bytes.chunks(SECTOR_BYTES).enumerate().filter(|_| random.bool()) {
                    put(content, offset + nth * SECTOR_BYTES, sector);
                }
            }
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = offset + bytes.len();
    content.resize(content.len().max(end), 0);
    content[offset..end].copy_from_slice(bytes);
}

/// A file: what a process sees, what is on the disk, and what lies between.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) current: Vec<u8>,
    synced: Vec<u8>,
    changes: Vec<Change>,
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.changes.push(change);
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write(offset, bytes.to_vec()));
    }

    pub(super) fn set_len(&mut self, length: usize) {
        self.change(Change::Length(length));
    }

    /// How many changes are not synced.
    pub(super) fn pending(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn sync(&mut self, count: usize) {
        let count = count.min(self.changes.len());
        self.changes.drain(..count).for_each(|change| change.apply(&mut self.synced));
    }

    /// The first changes are forgotten as if they were synced, as a kernel does after an error.
    pub(super) fn lose(&mut self, count: usize) {
        let count = count.min(self.changes.len());
        self.changes.drain(..count);
    }

    pub(super) fn lose_power(&mut self, random: &mut fastrand::Rng) {
        for change in std::mem::take(&mut self.changes) {
            change.apply_torn(&mut self.synced, random);
        }
        self.current.clone_from(&self.synced);
    }

    /// The power fails: of what is not synced this is left.
    pub(super) fn keep(&mut self, contents: Contents) {
        for change in std::mem::take(&mut self.changes) {
            match (&change, contents) {
                (_, Contents::None) => {}
                (_, Contents::All) => change.apply(&mut self.synced),
                (Change::Write(offset, bytes), Contents::Beginnings) => {
                    put(&mut self.synced, *offset, &bytes[..bytes.len() / 2]);
                }
                (Change::Write(offset, bytes), Contents::Ends) => {
                    let half = bytes.len() / 2;
                    put(&mut self.synced, offset + half, &bytes[half..]);
                }
                (Change::Length(_), Contents::Beginnings) => {}
                (Change::Length(_), Contents::Ends) => change.apply(&mut self.synced),
            }
        }
        self.current.clone_from(&self.synced);
    }

    pub(super) fn damage(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        self.sync(usize::MAX);
        change(&mut self.current);
        self.synced.clone_from(&self.current);
    }
}
