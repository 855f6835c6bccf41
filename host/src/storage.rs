//! What a node keeps from one start to the next: its log and its identity, on disk or in memory.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use replog_disk::{DataDir, DiskStore, NodeFile, NodeFileError, OpenMode, OpenOptions, SegmentSizes};
use replog_shared::{
    Durability, Identity, NodeName,
    store::{LogView as _, MemoryStore},
};
use tokio::sync::Notify;

/// Where a node keeps its log, and what holding an entry means there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageOptions {
    /// What holding an entry means.
    pub durability: Durability,
    /// The node's directory; none with [`Durability::Memory`].
    pub data_dir: Option<PathBuf>,
}

impl StorageOptions {
    /// In memory: nothing outlives the process.
    pub const MEMORY: StorageOptions = StorageOptions { durability: Durability::Memory, data_dir: None };
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
    /// In `node.json`.
    Disk(Box<NodeFile>),
}

impl Keeper {
    /// Saves the identity; it is durable when this returns.
    ///
    /// # Errors
    /// The file system refused. The node has to stop: what it would do next must not outlive a forgotten
    /// promise.
    pub fn save(&mut self, identity: &Identity) -> Result<(), NodeFileError> {
        let Keeper::Disk(file) = self else { return Ok(()) };
        file.update(|facts| {
            facts.log_id = identity.log_id;
            facts.fence.clone_from(&identity.fence);
            facts.whole = identity.whole;
        })
    }

    /// Notes that the node stopped well. To be called once its log is closed.
    ///
    /// # Errors
    /// The file system refused: the next start takes this one for a crash.
    pub fn close(self) -> Result<(), NodeFileError> {
        match self {
            Keeper::Memory => Ok(()),
            Keeper::Disk(file) => file.close(),
        }
    }
}

impl Storage<MemoryStore> {
    /// A blank node's, in memory. `with_ids`: entries can be found by their id, as a master needs it.
    pub fn in_memory(with_ids: bool) -> Storage<MemoryStore> {
        let store = if with_ids { MemoryStore::with_ids() } else { MemoryStore::without_ids() };
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
    /// Opens the directory of the node of this name; an empty one is a blank node's. Blocks as long as the log
    /// is checked.
    ///
    /// # Errors
    /// The directory is in use, another node's, damaged, of a newer format, or the file system refused.
    pub fn on_disk(dir: &Path, node: &NodeName, terms: DiskTerms) -> anyhow::Result<Storage<DiskStore>> {
        let at = || format!("the data directory {} cannot be used", dir.display());
        let data_dir = DataDir::open(dir).with_context(at)?;
        let mut file = NodeFile::open(&data_dir, node, terms.durability).with_context(at)?;
        if file.tail_may_be_missing() {
            tracing::warn!(
                "the machine went down while the log was written below level disk: its tail may be missing"
            );
        }
        let news = Arc::<Notify>::default();
        let wake = news.clone();
        let DiskTerms { durability: level, with_ids, mode } = terms;
        let options = OpenOptions { level, with_ids, mode, segments: SegmentSizes::default() };
        let (store, report) =
            replog_disk::open(&data_dir, options, move || wake.notify_one()).with_context(at)?;
        if report.cut_at_damage.is_some() {
            file.update(|facts| facts.whole = false).with_context(at)?;
        }
        let identity = identity(&file, &store).with_context(at)?;
        Ok(Storage { store, identity, keeper: Keeper::Disk(Box::new(file)), news })
    }
}

/// What the node had saved; never below what its own log shows.
fn identity(file: &NodeFile, store: &DiskStore) -> anyhow::Result<Identity> {
    let facts = file.facts();
    let last = store.tip().epoch.clone();
    if facts.log_id.is_none() && last.is_some() {
        bail!(
            "it has a log, and node.json does not say which: restore node.json, or move the directory away and let this node fetch everything anew"
        );
    }
    Ok(Identity { log_id: facts.log_id, fence: facts.fence.clone().max(last), whole: facts.whole })
}
