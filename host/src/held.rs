//! What surrounds a node's log while it runs: what is shown of it, how it is read, who keeps the identity, how all of it
//! is closed.

use std::{sync::Arc, time::Duration};

use replog_core::driver::{Core, Driver, End, Environment, Failure};
use replog_shared::{
    Epoch, Identity, LogId, Place,
    store::{LogView, Store, StoreError, Ticket},
};
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};
use tracing::error;

use crate::{
    history::History,
    limits::{SETTLE_WAIT, STOP_WAIT},
    pages::Shown,
    reads::{ColdReads, Reads},
    storage::{Keeper, Storage},
};

/// The node cannot go on with what it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeldFailure {
    /// Not with its log.
    #[error(transparent)]
    Log(#[from] Failure),
    /// It was to stop, and its disk does not answer.
    #[error(
        "stops without its disk, which has not answered for {} s: what was not durable may be lost, and none of it was acknowledged. See the kernel's log (dmesg) for the disk; once it answers, start this node as before: that start takes this stop for a crash",
        waited.as_secs()
    )]
    StandsStill {
        /// For how long it was waited for.
        waited: Duration,
    },
    /// That it stopped well could not be noted.
    #[error("that this node stopped well cannot be noted: {0}")]
    Identity(String),
}

impl From<StoreError> for HeldFailure {
    fn from(failure: StoreError) -> HeldFailure {
        HeldFailure::Log(failure.into())
    }
}

/// What became of all that a node was about to make durable when it was to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// It is durable. Until then the log is to be closed.
    Durable {
        /// When a node that stops waits no longer.
        close_by: Instant,
    },
    /// The storage does not answer, so nobody knows.
    StandsStill,
}

/// What is around the log of a node. The node's task owns it, beside the driver that has the log.
#[derive(Debug)]
pub struct Held<S: Store> {
    reader: S::Reader,
    keeper: Keeper,
    news: Arc<Notify>,
    shown: watch::Sender<Shown>,
}

impl<S: Store> Held<S> {
    /// The log of an opened node, and what is around it. Readers are shown nothing before [`Held::show`].
    pub fn new(storage: Storage<S>) -> (S, Held<S>) {
        let Storage { store, keeper, news, .. } = storage;
        let reader = store.reader();
        (store, Held { reader, keeper, news, shown: watch::Sender::default() })
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
    pub const fn news(&self) -> &Arc<Notify> {
        &self.news
    }

    /// Has the identity saved, see [`Environment::save`].
    pub fn save(&self, identity: &Identity, log: &mut S) -> Option<Ticket> {
        Some(log.run(self.keeper.save(identity)?))
    }

    /// Readers learn of a cut before it happens, so that none mixes two histories; of marks that go alone they learn
    /// nothing, as they see none.
    pub fn before_cut(&self, place: Place, log: &S) {
        let entries_go = place.length < log.tip().place.length;
        self.shown.send_if_modified(|shown| {
            shown.cuts += u64::from(entries_go);
            shown.length = shown.length.min(place.length);
            entries_go
        });
    }

    /// Reads old lines for the driver's events.
    pub fn cold_reads(&self) -> ColdReads<S::Reader> {
        ColdReads::new(self.reader.clone(), self.news.clone())
    }

    /// Shows readers what is durable, in the epoch of what is durable; of a batch all or nothing.
    pub fn show(&self, log: &S, log_id: Option<LogId>) {
        let epoch = durable_epoch(log);
        let length = log.visible_through();
        let marks = log.marks();
        let marks = &marks[..marks.len().min(log.durable().marks as usize)];
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

    /// Closes what could be settled, and leaves a storage that stands still to itself.
    ///
    /// # Errors
    /// As [`Storage::close`]; or the storage stands still.
    pub async fn end(self, log: S, settled: Settled) -> Result<(), HeldFailure> {
        match settled {
            Settled::Durable { close_by } => close_in_time(log, self.keeper, close_by).await,
            Settled::StandsStill => {
                log.abandon();
                Err(HeldFailure::StandsStill { waited: SETTLE_WAIT })
            }
        }
    }

    /// As [`Storage::leave`].
    pub async fn leave(self, log: S) {
        leave(log, self.keeper, Instant::now() + STOP_WAIT).await;
    }

    /// Lets go of it all for a node that cannot go on: what waits for the storage is written if that still takes anything.
    /// A storage that stands still is waited for no longer than at a stop.
    pub async fn fail(self, log: S) {
        let let_go = spawn_blocking(move || {
            drop(log);
            drop(self);
        });
        if timeout(SETTLE_WAIT, let_go).await.is_err() {
            error!(waited = ?SETTLE_WAIT, "ends without its disk, which does not answer: see the kernel's log (dmesg)");
        }
    }
}

/// The epoch of the last mark that is durable; none before the first.
pub fn durable_epoch(log: &impl LogView) -> Option<&Epoch> {
    let last = (log.durable().marks as usize).checked_sub(1)?;
    log.marks().get(last).map(|placed| &placed.mark.epoch)
}

/// Waits until all saves, cuts and appends so far are durable, at most `SETTLE_WAIT`: for a node that stops, and
/// then says what became of them, and [`Held::end`]s.
///
/// # Errors
/// The storage failed.
pub async fn settle<C: Core, S: Store>(
    driver: &mut Driver<C, S>,
    env: &mut impl Environment<C, S>,
    news: &Notify,
) -> Result<Settled, HeldFailure> {
    let close_by = Instant::now() + STOP_WAIT;
    match timeout(SETTLE_WAIT, settled(driver, env, news)).await {
        Ok(settled) => settled.map(|()| Settled::Durable { close_by }),
        Err(_) => Ok(Settled::StandsStill),
    }
}

async fn settled<C: Core, S: Store>(
    driver: &mut Driver<C, S>,
    env: &mut impl Environment<C, S>,
    news: &Notify,
) -> Result<(), HeldFailure> {
    loop {
        let notified = news.notified();
        driver.refresh(env);
        if let Some(End::Failed(failure)) = driver.take_end() {
            return Err(failure.into());
        }
        if driver.is_settled() {
            return Ok(());
        }
        notified.await;
    }
}

impl<S: Store> Storage<S> {
    /// Closes what was opened for a start that comes to no run, as [`Storage::close`]. Why it does not run is what its
    /// operator must hear: a close that fails is only logged.
    pub async fn leave(self) {
        self.leave_by(Instant::now() + STOP_WAIT).await;
    }

    pub(crate) async fn leave_by(self, by: Instant) {
        leave(self.store, self.keeper, by).await;
    }

    /// Makes everything durable and notes that the node stopped well.
    ///
    /// # Errors
    /// The storage failed, or the note could not be saved.
    pub fn close(self) -> Result<(), HeldFailure> {
        close(self.store, self.keeper)
    }
}

async fn leave(log: impl Store, keeper: Keeper, by: Instant) {
    if let Err(failure) = close_in_time(log, keeper, by).await {
        error!(%failure, "could not close the log: the next start takes this one for a crash");
    }
}

/// Closes by a thread that may wait for the disk, and is waited for until then.
async fn close_in_time(log: impl Store, keeper: Keeper, by: Instant) -> Result<(), HeldFailure> {
    match timeout_at(by, spawn_blocking(move || close(log, keeper))).await {
        Ok(Ok(closed)) => closed,
        Ok(Err(panicked)) => Err(HeldFailure::Identity(panicked.to_string())),
        Err(_) => Err(HeldFailure::StandsStill { waited: STOP_WAIT }),
    }
}

fn close(log: impl Store, keeper: Keeper) -> Result<(), HeldFailure> {
    let tip = log.tip().clone();
    log.close()?;
    keeper.close(&tip).map_err(|error| HeldFailure::Identity(error.to_string()))
}
