//! What a node holds while it runs, and what it shows of it.

use std::sync::Arc;

use replog_shared::{
    Epoch, Identity, Lines, LogId, Order, Place,
    store::{Cut, Page, Reader as _, Span, Store, StoreError},
};
use tokio::sync::{Notify, watch};
use tracing::{error, warn};

use crate::{
    history::History,
    pages::Shown,
    reads::Reads,
    storage::{Keeper, Storage},
};

/// The node cannot go on with what it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeldFailure {
    /// Its log can neither be written nor relied on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it must not forget could not be saved.
    #[error("what this node must not forget cannot be saved: {0}")]
    Identity(String),
}

/// A node's log and identity, and what its readers are shown of the log. The node's task owns it.
#[derive(Debug)]
pub struct Held<S: Store> {
    store: S,
    reader: S::Reader,
    keeper: Keeper,
    news: Arc<Notify>,
    shown: watch::Sender<Shown>,
}

impl<S: Store> Held<S> {
    /// What an opened node has. Readers are shown nothing before [`Held::show`].
    pub fn new(storage: Storage<S>) -> Held<S> {
        let Storage { store, keeper, news, .. } = storage;
        Held { reader: store.reader(), store, keeper, news, shown: watch::Sender::default() }
    }

    /// The log, for a core to look into.
    pub const fn log(&self) -> &S {
        &self.store
    }

    /// Reads the log beside the node. To be asked for once: clones share their turns at the disk.
    pub fn reads(&self) -> Reads<S::Reader> {
        Reads::new(self.reader.clone())
    }

    /// What readers are shown, and how it changes.
    pub fn shown(&self) -> watch::Receiver<Shown> {
        self.shown.subscribe()
    }

    /// How often entries were cut from the log.
    pub fn cuts(&self) -> u64 {
        self.shown.borrow().cuts
    }

    /// Notified when the log has news.
    pub fn news(&self) -> &Notify {
        &self.news
    }

    /// Takes in the news.
    ///
    /// # Errors
    /// The storage failed.
    pub fn refresh(&mut self) -> Result<(), HeldFailure> {
        Ok(self.store.refresh()?)
    }

    /// Fails where the log could not be read since it was last asked: what a core decided over it then is no
    /// decision.
    ///
    /// # Errors
    /// The storage failed.
    pub fn check(&self) -> Result<(), HeldFailure> {
        self.store.failure().map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Saves the identity; it is durable when this returns.
    ///
    /// # Errors
    /// It could not be saved.
    pub fn save(&mut self, identity: &Identity) -> Result<(), HeldFailure> {
        self.keeper.save(identity).map_err(|error| HeldFailure::Identity(error.to_string()))
    }

    /// Appends a run that a core checked against the log's tip. A storage that failed tells so when it is
    /// next asked.
    pub fn append(&mut self, lines: &Lines) {
        if !self.store.append(lines) && self.store.failure().is_none() {
            error!(order = %lines.from(), "a run does not continue the log: this is a defect, please report it");
        }
    }

    /// Cuts the log behind `place`. Readers learn of it before it happens, so that none mixes two histories; of
    /// marks that go alone they learn nothing, as they see none.
    ///
    /// # Errors
    /// The storage failed, or the log has no such place.
    pub fn truncate(&mut self, place: Place, cut: Cut) -> Result<(), HeldFailure> {
        let entries_go = place.length < self.store.tip().place.length;
        self.shown.send_if_modified(|shown| {
            shown.cuts += u64::from(entries_go);
            shown.length = shown.length.min(place.length);
            entries_go
        });
        if let Some(file) = self.store.truncate(place, cut)? {
            warn!(file = %file.display(), "what was cut is kept in quarantine");
        }
        Ok(())
    }

    /// The lines from `from` on, as [`replog_shared::store::Reader::read`]; none if they cannot be read: the
    /// storage has failed then.
    pub fn page(&self, from: Order, to: Order, bytes: usize) -> Option<Page> {
        self.reader.read(from, to, bytes).inspect_err(|failure| error!(%failure, "cannot read the log")).ok()
    }

    /// The lines of a part of the log, or the beginning of it; none if they cannot be read: the storage has failed then.
    pub fn part(&self, span: Span) -> Option<(Span, Page)> {
        let (from, to, bytes) = span.to_read();
        Some(span.part_of(&self.store, self.page(from, to, bytes)?))
    }

    /// Shows readers what is durable, as of this log and epoch; of a batch all or nothing.
    pub fn show(&self, log_id: Option<LogId>, epoch: Option<&Epoch>) {
        let length = self.store.visible_through();
        let marks = self.store.marks();
        let marks = &marks[..marks.len().min(self.store.durable().marks as usize)];
        let number = epoch.map(Epoch::number);
        let owner = epoch.map(|epoch| &epoch.owner);
        self.shown.send_if_modified(|shown| {
            let known = (shown.length, shown.log_id, shown.epoch, shown.epoch_owner.as_ref());
            let same_history = shown.history.is_of(marks);
            let changed = known != (length, log_id, number, owner) || !same_history;
            if changed {
                let history = if same_history { shown.history.clone() } else { History::of(marks) };
                let epoch_owner = owner.cloned();
                *shown = Shown { length, log_id, epoch: number, epoch_owner, history, cuts: shown.cuts };
            }
            changed
        });
    }

    /// Makes everything durable and notes that the node stopped well.
    ///
    /// # Errors
    /// The storage failed, or the note could not be saved.
    pub fn close(self) -> Result<(), HeldFailure> {
        let tip = self.store.tip().clone();
        self.store.close()?;
        self.keeper.close(&tip).map_err(|error| HeldFailure::Identity(error.to_string()))
    }
}
