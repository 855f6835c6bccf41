//! A disk in memory that crashes, tears, lies and fills up, as its test tells it.
//!
//! Written and synced bytes are kept apart. A crash of the process keeps what was written; a crash of the power
//! keeps what was synced, and of the rest any part in any order.

mod crash;
mod inode;
mod process;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use self::inode::Inode;
pub use self::{
    crash::{Contents, PowerLoss},
    process::SimulatedProcess,
};
use super::Files;

/// A change of a name that is not synced yet.
#[derive(Clone, Debug)]
enum NameChange {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, usize),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Link(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            NameChange::Unlink(path) => {
                names.remove(path);
            }
            NameChange::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }

    fn is_in(&self, dir: &Path) -> bool {
        let (NameChange::Link(path, _) | NameChange::Unlink(path) | NameChange::Rename(_, path, _)) = self;
        path.parent() == Some(dir)
    }
}

#[derive(Clone, Debug)]
struct Disk {
    inodes: Vec<Inode>,
    /// Which of them are directories.
    dirs: BTreeSet<usize>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    changes: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
    /// Counts crashes: handles from before do nothing any more.
    process: u64,
    random: fastrand::Rng,
    syncs_held: bool,
    /// How many syncs fail, of files whose names end so.
    failing_syncs: (u32, &'static str),
    /// The names of the files that were to be synced.
    syncs: Vec<PathBuf>,
    free_bytes: u64,
    short_writes: bool,
    /// After how many more operations that change something the process dies; none: not.
    dies_after: Option<u64>,
}

/// The simulated disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedFiles {
    disk: Arc<Mutex<Disk>>,
    released: Arc<Condvar>,
}

impl SimulatedFiles {
    /// An empty disk whose crashes are drawn from this seed.
    pub fn new(seed: u64) -> SimulatedFiles {
        let disk = Disk {
            inodes: Vec::new(),
            dirs: BTreeSet::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            locks: BTreeSet::new(),
            process: 0,
            random: fastrand::Rng::with_seed(seed),
            syncs_held: false,
            failing_syncs: (0, ""),
            syncs: Vec::new(),
            free_bytes: u64::MAX,
            short_writes: false,
            dies_after: None,
        };
        SimulatedFiles { disk: Arc::new(Mutex::new(disk)), released: Arc::new(Condvar::new()) }
    }

    fn lock_disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs begun from now on do not end before they are released, or the process crashes.
    pub fn hold_syncs(&self, hold: bool) {
        self.lock_disk().syncs_held = hold;
        self.released.notify_all();
    }

    /// The next `count` syncs fail of files whose names end with `suffix`; what they were to sync is never
    /// written. Later ones succeed.
    pub fn fail_syncs(&self, count: u32, suffix: &'static str) {
        self.lock_disk().failing_syncs = (count, suffix);
    }

    /// Files can grow by so many bytes, and by what others give back.
    pub fn fill_up(&self, free_bytes: u64) {
        self.lock_disk().free_bytes = free_bytes;
    }

    /// Writes take only a part of the bytes at a time.
    pub fn write_short(&self, short: bool) {
        self.lock_disk().short_writes = short;
    }

    /// How many syncs were asked for, of files whose names end with `suffix`.
    pub fn syncs(&self, suffix: &str) -> usize {
        let disk = self.lock_disk();
        disk.syncs.iter().filter(|path| path.to_string_lossy().ends_with(suffix)).count()
    }

    /// The process is killed: what was written stays, its open files and locks are gone.
    pub fn crash_process(&self) {
        self.lock_disk().end_process();
        self.released.notify_all();
    }

    /// The power fails: what was not synced is kept, lost or torn, in any order.
    pub fn crash_power(&self) {
        self.crash_process();
        let mut disk = self.lock_disk();
        let Disk { inodes, random, changes, synced_names, .. } = &mut *disk;
        for inode in inodes {
            inode.lose_power(random);
        }
        for change in changes.drain(..).filter(|_| random.bool()) {
            change.apply(synced_names);
        }
        disk.find_synced_names();
    }

    /// The files below a directory, with their content as a process sees it.
    pub fn content(&self, below: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let disk = self.lock_disk();
        let is_file = |inode: &usize| !disk.dirs.contains(inode);
        let files = disk.names.iter().filter(|(path, inode)| path.starts_with(below) && is_file(inode));
        files.map(|(path, inode)| (path.clone(), disk.inodes[*inode].current.clone())).collect()
    }

    /// A file is there with its directories, as if it had always been.
    pub fn put(&self, path: &Path, content: &[u8]) {
        let mut disk = self.lock_disk();
        let dirs = path.ancestors().skip(1).filter(|dir| dir.parent().is_some());
        for (path, is_dir) in dirs.map(|dir| (dir, true)).chain([(path, false)]) {
            if is_dir && disk.has_dir(path) {
                continue;
            }
            let inode = disk.inodes.len();
            disk.inodes.push(Inode::default());
            let change = NameChange::Link(path.to_owned(), inode);
            change.apply(&mut disk.synced_names);
            change.apply(&mut disk.names);
            match is_dir {
                true => drop(disk.dirs.insert(inode)),
                false => disk.inodes[inode].damage(|now| *now = content.to_vec()),
            }
        }
    }

    /// Changes a file behind everybody's back, also on the disk.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.lock_disk();
        if let Some(inode) = disk.names.get(path).copied() {
            disk.inodes[inode].damage(change);
        }
    }
}

impl Disk {
    fn end_process(&mut self) {
        self.process += 1;
        self.locks.clear();
        self.dies_after = None;
        (self.syncs_held, self.failing_syncs, self.free_bytes) = (false, (0, ""), u64::MAX);
    }

    /// After a loss of power: what a directory held whose own name is lost is lost, too.
    fn find_synced_names(&mut self) {
        let Disk { synced_names, names, .. } = self;
        let is_dir_there = |dir: &Path| dir.parent().is_none() || synced_names.contains_key(dir);
        let is_there = |path: &Path| path.ancestors().skip(1).all(is_dir_there);
        *names =
            synced_names.iter().filter(|(path, _)| is_there(path)).map(|(k, v)| (k.clone(), *v)).collect();
        synced_names.clone_from(names);
    }

    /// There is room again.
    fn give_back(&mut self, bytes: u64) {
        self.free_bytes = self.free_bytes.saturating_add(bytes);
    }

    /// The file of this name, if there is one, goes.
    fn give_back_file(&mut self, path: &Path) {
        let bytes = self.names.get(path).map_or(0, |inode| self.inodes[*inode].current.len() as u64);
        self.give_back(bytes);
    }

    fn has_dir(&self, dir: &Path) -> bool {
        dir.parent().is_none() || self.names.get(dir).is_some_and(|inode| self.dirs.contains(inode))
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn note_sync(&mut self, inode: usize) {
        let path = self.names.iter().find(|(_, at)| **at == inode).map(|(path, _)| path.clone());
        self.syncs.extend(path);
    }

    fn fails_sync_of(&mut self, inode: usize) -> bool {
        let (count, suffix) = self.failing_syncs;
        let is_meant =
            |(path, at): (&PathBuf, &usize)| *at == inode && path.to_string_lossy().ends_with(suffix);
        let fails = count > 0 && self.names.iter().any(is_meant);
        self.failing_syncs.0 -= u32::from(fails);
        fails
    }

    fn inode_at(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl SimulatedFiles {
    /// The disk as the process sees it that starts now.
    pub fn process(&self) -> Arc<dyn Files> {
        Arc::new(SimulatedProcess { files: self.clone(), process: self.lock_disk().process })
    }
}
