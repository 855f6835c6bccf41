//! What a node keeps from one start to the next: its log and its identity, on disk or in memory.

use std::{
    hash::{BuildHasher as _, RandomState},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use replog_disk::{
    DataDir, DiskStore, JudgedNode, NodeFacts, NodeFile, NodeFileError, OpenMode, OpenOptions, OpenedNode,
    SegmentSizes, judge_node,
};
use replog_shared::{
    Durability, Identity, NodeName,
    lines::Tip,
    store::{Chore, IdSeed, LogView as _, MemoryStore},
};
use tokio::sync::Notify;

/// Where a node keeps its log, and what holding an entry means there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageOptions {
    /// What holding an entry means.
    pub durability: Durability,
    /// The node's directory. With [`Durability::Memory`] it is not used.
    pub data_dir: Option<PathBuf>,
}

impl StorageOptions {
    /// In memory: nothing outlives the process.
    pub const MEMORY: StorageOptions = StorageOptions { durability: Durability::Memory, data_dir: None };

    /// The directory to open; none: the log is kept in memory. Warns if one was named all the same: it is not refused, as
    /// an image or a compose file names one whatever the durability is.
    pub fn directory(&self) -> Option<PathBuf> {
        if self.durability != Durability::Memory {
            return self.data_dir.clone();
        }
        if let Some(dir) = &self.data_dir {
            tracing::warn!(
                data_dir = %dir.display(),
                "--durability memory keeps nothing in --data-dir, and what is there stays as it is: leave out --data-dir, or keep the log there by --durability disk"
            );
        }
        None
    }
}

/// What an opened node has.
#[derive(Debug)]
pub struct Storage<S> {
    /// The log.
    pub store: S,
    /// What the node had saved.
    pub identity: Identity,
    /// Saves what changes of it.
    pub keeper: Keeper,
    /// Notified when the log has news: [`replog_shared::store::Store::refresh`] takes them in.
    pub news: Arc<Notify>,
}

/// Keeps a node's identity.
#[derive(Debug)]
pub enum Keeper {
    /// Nothing is kept: every start is that of a wiped node.
    Memory,
    /// In `node.json`, which a store's thread writes.
    Disk(Arc<Mutex<NodeFile>>),
}

impl Keeper {
    /// What saves the identity: it is durable once that is done. Nothing, where nothing is kept. If the file system
    /// refuses the node has to stop: what it would do next must not outlive a forgotten promise.
    pub fn save(&self, identity: &Identity) -> Option<Chore> {
        let Keeper::Disk(file) = self else { return None };
        let (file, identity) = (file.clone(), identity.clone());
        Some(Box::new(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let saved = file.update(|facts| {
                facts.log_id = identity.log_id;
                facts.fence = identity.fence;
                facts.whole = identity.whole;
                facts.cleaning = identity.cleaning;
            });
            saved.map_err(|error| format!("what this node must not forget cannot be saved: {error}"))
        }))
    }

    /// Notes that the node stopped well, with a log that ends at `tip`. To be called once that is closed.
    ///
    /// # Errors
    /// The file system refused: the next start takes this one for a crash.
    pub fn close(self, tip: &Tip) -> Result<(), NodeFileError> {
        match self {
            Keeper::Memory => Ok(()),
            Keeper::Disk(file) => {
                // The store's threads have ended, and what they had to save went with them.
                let in_use = || NodeFileError::Io("node.json is still being written".to_owned());
                let file = Arc::into_inner(file).ok_or_else(in_use)?;
                file.into_inner().unwrap_or_else(PoisonError::into_inner).close(tip.into())
            }
        }
    }
}

impl Storage<MemoryStore> {
    /// A blank node's, in memory. `with_ids`: entries can be found by their id, as a master needs it.
    pub fn in_memory(with_ids: bool) -> Storage<MemoryStore> {
        let store = if with_ids { MemoryStore::with_ids(id_seed()) } else { MemoryStore::without_ids() };
        Storage { store, identity: Identity::default(), keeper: Keeper::Memory, news: Arc::default() }
    }
}

/// How a log on disk is opened.
#[derive(Clone, Copy, Debug)]
pub struct DiskTerms {
    /// Disk or os.
    pub durability: Durability,
    /// Entries can be found by their id, as a master needs it.
    pub with_ids: bool,
    /// What to do about damage.
    pub mode: OpenMode,
}

impl Storage<DiskStore> {
    /// Opens the directory of the node of this name: [`JudgedStorage::of`], and at once [`JudgedStorage::open`].
    ///
    /// # Errors
    /// As the two.
    pub fn on_disk(dir: &Path, node: &NodeName, terms: DiskTerms) -> anyhow::Result<Storage<DiskStore>> {
        JudgedStorage::of(dir, node, terms)?.open()
    }
}

/// A node's directory that was read and judged, and is as it was.
#[derive(Debug)]
pub struct JudgedStorage {
    dir: PathBuf,
    judged: JudgedNode,
}

impl JudgedStorage {
    /// Judges the directory of the node of this name; an empty one is a blank node's. Blocks as long as the log is
    /// checked.
    ///
    /// # Errors
    /// The directory is in use, another node's, damaged, of a newer format, or the file system refused.
    pub fn of(dir: &Path, node: &NodeName, terms: DiskTerms) -> anyhow::Result<JudgedStorage> {
        let at = || unusable(dir);
        let data_dir = DataDir::open(dir).with_context(at)?;
        let file = NodeFile::open(&data_dir, node, terms.durability).with_context(at)?;
        if file.tail_may_be_missing() {
            tracing::warn!(
                "the machine went down while the log was written below level disk: its tail may be missing"
            );
        }
        let DiskTerms { durability: level, with_ids, mode } = terms;
        let segments = SegmentSizes::default();
        let ids = with_ids.then(id_seed);
        let options = OpenOptions { level, ids, mode, closed_at: None, segments };
        let judged = judge_node(file, options).with_context(at)?;
        Ok(JudgedStorage { dir: dir.to_owned(), judged })
    }

    /// Opens it: from here on the directory is changed.
    ///
    /// # Errors
    /// The file system refused.
    pub fn open(self) -> anyhow::Result<Storage<DiskStore>> {
        let news = Arc::<Notify>::default();
        let wake = news.clone();
        let opened = self.judged.open(move || wake.notify_one()).with_context(|| unusable(&self.dir))?;
        let OpenedNode { file, store, .. } = opened;
        let identity = identity(file.facts(), &store);
        Ok(Storage { store, identity, keeper: Keeper::Disk(Arc::new(Mutex::new(file))), news })
    }
}

fn unusable(dir: &Path) -> String {
    format!("the data directory {} cannot be used", dir.display())
}

/// What only this process knows. The standard library's hasher is seeded by the system.
fn id_seed() -> IdSeed {
    IdSeed::from_random(RandomState::new().hash_one(0u8))
}

/// What the node had saved; never below what its own log shows.
fn identity(facts: &NodeFacts, store: &DiskStore) -> Identity {
    let fence = facts.fence.clone().max(store.tip().epoch.clone());
    Identity { log_id: facts.log_id, fence, whole: facts.whole, cleaning: facts.cleaning.clone() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use replog_shared::{Epoch, Incarnation, Lines, LogId, Mark, MarkKind, Order, store::Store as _};

    use super::*;

    fn open(dir: &Path, mode: OpenMode) -> anyhow::Result<Storage<DiskStore>> {
        let terms = DiskTerms { durability: Durability::Disk, with_ids: false, mode };
        Storage::on_disk(dir, &"node1".parse().unwrap(), terms)
    }

    /// A node that is whole and holds one mark, and was stopped well.
    fn live_once(dir: &Path) {
        let mut storage = open(dir, OpenMode::Strict).unwrap();
        let owner = "node1".parse().unwrap();
        let epoch = Epoch { reign: 1, owner, start: 1, incarnation: Incarnation::from_random(1) };
        let mark =
            Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO };
        let log_id = Some(LogId::from_random(1));
        let identity = Identity { log_id, whole: true, ..Identity::default() };
        let _durable_once_closed = storage.store.run(storage.keeper.save(&identity).unwrap());
        assert!(storage.store.append(&Lines::of_mark(mark, storage.store.tip())));
        storage.close().unwrap();
    }

    #[test]
    fn a_directory_is_not_opened_for_a_log_in_memory() {
        let named = |durability| StorageOptions { durability, data_dir: Some("/data".into()) };
        assert_eq!(named(Durability::Memory).directory(), None);
        assert_eq!(named(Durability::Os).directory(), Some("/data".into()));
    }

    fn cut_short(dir: &Path) {
        let file = fs::read_dir(dir.join("log")).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 40]).unwrap();
    }

    #[test]
    fn a_log_cut_short_after_a_clean_stop_is_refused_until_something_is_done() {
        let dir = tempfile::tempdir().unwrap();
        live_once(dir.path());
        cut_short(dir.path());
        for _ in 0..2 {
            let refused = format!("{:#}", open(dir.path(), OpenMode::Strict).unwrap_err());
            assert!(refused.contains(".log is damaged at byte") && refused.contains("restore"), "{refused}");
        }
        let storage = open(dir.path(), OpenMode::CutAtDamage).unwrap();
        assert!(!storage.identity.whole, "it lacks what it had acknowledged");
        drop(storage);
        // Nobody knows any more that something is missing but the node itself.
        assert!(!open(dir.path(), OpenMode::Strict).unwrap().identity.whole);
    }

    #[test]
    fn a_clean_under_way_is_known_to_later_starts_until_it_is_done() {
        let dir = tempfile::tempdir().unwrap();
        live_once(dir.path());
        let epoch = || Epoch {
            reign: 1,
            owner: "node1".parse().unwrap(),
            start: 2,
            incarnation: Incarnation::from_random(1),
        };
        let storage = open(dir.path(), OpenMode::Strict).unwrap();
        assert_eq!(storage.identity.cleaning, None);
        let cleaning = Identity { cleaning: Some(epoch()), ..storage.identity.clone() };
        storage.keeper.save(&cleaning).unwrap()().unwrap();
        drop(storage);
        for _ in 0..2 {
            assert_eq!(open(dir.path(), OpenMode::Strict).unwrap().identity, cleaning);
        }
        let storage = open(dir.path(), OpenMode::Strict).unwrap();
        storage.keeper.save(&Identity { cleaning: None, ..cleaning }).unwrap()().unwrap();
        drop(storage);
        assert_eq!(open(dir.path(), OpenMode::Strict).unwrap().identity.cleaning, None);
    }

    #[test]
    fn a_log_that_was_not_closed_may_be_torn() {
        let dir = tempfile::tempdir().unwrap();
        live_once(dir.path());
        // Opened for writing, and then killed.
        drop(open(dir.path(), OpenMode::Strict).unwrap());
        cut_short(dir.path());
        assert!(open(dir.path(), OpenMode::Strict).unwrap().identity.whole);
    }
}
