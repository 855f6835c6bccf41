//! What a node holds while it runs, and what it shows of it.

use std::{sync::Arc, time::Duration};

use replog_shared::{
    Epoch, Identity, Lines, LogId, Order, Place,
    store::{Cut, LookAhead, Lookup, OldPages, Page, Span, Store, StoreError, Ticket},
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
    parking::{Parked, Parking},
    reads::{ColdReads, Reads},
    storage::{Keeper, Storage},
};

/// The node cannot go on with what it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeldFailure {
    /// Its log can neither be written nor relied on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run does not continue its log, or is larger than any store takes.
    #[error(
        "a run of {bytes} bytes at order {order} is none that this log takes: this is a defect, please report it"
    )]
    NotTaken {
        /// Where it begins.
        order: Order,
        /// Bytes of its lines.
        bytes: usize,
    },
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

/// A node's log and identity, and what its readers are shown of the log. The node's task owns it.
#[derive(Debug)]
pub struct Held<S: Store> {
    store: S,
    reader: S::Reader,
    keeper: Keeper,
    news: Arc<Notify>,
    shown: watch::Sender<Shown>,
    /// The last save or cut.
    last: Ticket,
    /// How often anything was cut from the log.
    cuts: u64,
    cold: ColdReads<S::Reader>,
}

impl<S: Store> Held<S> {
    /// What an opened node has. Readers are shown nothing before [`Held::show`].
    pub fn new(storage: Storage<S>) -> Held<S> {
        let Storage { store, keeper, news, .. } = storage;
        let reader = store.reader();
        let cold = ColdReads::new(reader.clone(), news.clone());
        let shown = watch::Sender::default();
        Held { reader, store, keeper, news, shown, last: Ticket::NONE, cuts: 0, cold }
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

    /// Has the identity saved, in order with appends and cuts. What follows from it is not to be said before it is
    /// durable: see [`Held::open`]. A save that fails shows in [`Held::refresh`].
    pub fn save(&mut self, identity: &Identity) {
        if let Some(chore) = self.keeper.save(identity) {
            self.last = self.store.run(chore);
        }
    }

    /// The last save or cut, while it is not durable.
    pub fn open(&self) -> Option<Ticket> {
        (self.store.done() < self.last).then_some(self.last)
    }

    /// Waits until all saves, cuts and appends so far are durable, at most `SETTLE_WAIT`: for a node that stops, and
    /// then says what became of them, and [`Held::end`]s.
    ///
    /// # Errors
    /// The storage failed.
    pub async fn settle(&mut self) -> Result<Settled, HeldFailure> {
        let close_by = Instant::now() + STOP_WAIT;
        match timeout(SETTLE_WAIT, self.settled()).await {
            Ok(settled) => settled.map(|()| Settled::Durable { close_by }),
            Err(_) => Ok(Settled::StandsStill),
        }
    }

    async fn settled(&mut self) -> Result<(), HeldFailure> {
        loop {
            let news = self.news.clone();
            let notified = news.notified();
            self.refresh()?;
            if self.open().is_none() && self.store.durable() == self.store.tip().place {
                return Ok(());
            }
            notified.await;
        }
    }

    /// What is durable of saves and cuts.
    pub fn done(&self) -> Ticket {
        self.store.done()
    }

    /// Appends a run that a core checked against the log's tip. A storage that failed tells so when it is
    /// next asked.
    ///
    /// # Errors
    /// The store does not take the run, and its orders were given already.
    pub fn append(&mut self, lines: &Lines) -> Result<(), HeldFailure> {
        if self.store.append(lines) || self.store.failure().is_some() {
            return Ok(());
        }
        Err(HeldFailure::NotTaken { order: lines.from(), bytes: lines.bytes().len() })
    }

    /// Cuts the log after `place`, in order with appends and saves; durable as [`Held::save`]. Readers learn of it before
    /// it happens, so that none mixes two histories; of marks that go alone they learn nothing, as they see none.
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
        self.cuts += 1;
        self.last = self.store.truncate(place, cut)?;
        Ok(())
    }

    /// The lines from `from` on, as [`replog_shared::store::Reader::read`]; none if they cannot be read: the
    /// storage has failed then.
    pub fn page(&self, from: Order, to: Order, bytes: usize) -> Option<Page> {
        self.store.page(from, to, bytes).inspect_err(|failure| error!(%failure, "cannot read the log")).ok()
    }

    /// The lines of a part of the log, or the beginning of it; none if they cannot be read: the storage has failed then.
    pub fn part(&self, span: Span) -> Option<(Span, Page)> {
        let (from, to, bytes) = span.to_read();
        Some(span.part_of(&self.store, self.page(from, to, bytes)?))
    }

    /// What has to be read of the log before an event is brought whose questions `look` asks; none: all is in memory, or
    /// was lent.
    pub fn missing(&self, look: impl FnOnce(&LookAhead<'_>)) -> Option<Lookup> {
        if self.store.recent_from() == Order::ZERO {
            return None;
        }
        let ahead = LookAhead::new(&self.store);
        look(&ahead);
        ahead.missing()
    }

    /// Has read what parked events wait for.
    pub fn read_for<E>(&self, parking: &mut Parking<E>) {
        while let Some((turn, lookup)) = parking.next_read(self.cuts) {
            self.cold.start(turn, lookup);
        }
    }

    /// The next parked event for which something was read.
    ///
    /// # Errors
    /// The log could not be read.
    pub fn have_read<E>(&self, parking: &mut Parking<E>) -> Result<Option<Parked<E>>, HeldFailure> {
        while let Some((turn, lines)) = self.cold.next_done() {
            let lines = lines.map_err(|error| StoreError::Failed { reason: error.to_string() })?;
            if let Some(parked) = parking.on_read(turn, lines, self.cuts) {
                return Ok(Some(parked));
            }
        }
        Ok(None)
    }

    /// Lends what was read for an event, until [`Held::take_back`].
    pub fn lend(&mut self, pages: OldPages) {
        self.store.lend(pages);
    }

    /// Takes back what was lent.
    pub fn take_back(&mut self) -> OldPages {
        self.store.take_back()
    }

    /// The epoch of the last mark that is durable; none before the first.
    pub fn durable_epoch(&self) -> Option<&Epoch> {
        let last = (self.store.durable().marks as usize).checked_sub(1)?;
        self.store.marks().get(last).map(|placed| &placed.mark.epoch)
    }

    /// Shows readers what is durable, in the epoch of what is durable; of a batch all or nothing.
    pub fn show(&self, log_id: Option<LogId>) {
        let epoch = self.durable_epoch();
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

    /// Closes what was opened for a start that comes to no run, as [`Held::close`]. Why it does not run is what its
    /// operator must hear: a close that fails is only logged.
    pub async fn leave(self) {
        self.leave_by(Instant::now() + STOP_WAIT).await;
    }

    pub(crate) async fn leave_by(self, by: Instant) {
        if let Err(failure) = self.close_by(by).await {
            error!(%failure, "could not close the log: the next start takes this one for a crash");
        }
    }

    /// Lets go of it all for a node that cannot go on: what waits for the storage is written if that still takes anything.
    /// A storage that stands still is waited for no longer than at a stop.
    pub async fn fail(self) {
        let dropped = timeout(SETTLE_WAIT, spawn_blocking(move || drop(self))).await;
        if dropped.is_err() {
            error!(waited = ?SETTLE_WAIT, "ends without its disk, which does not answer: see the kernel's log (dmesg)");
        }
    }

    /// Closes what could be settled, and leaves a storage that stands still to itself.
    ///
    /// # Errors
    /// As [`Held::close`]; or the storage stands still.
    pub async fn end(self, settled: Settled) -> Result<(), HeldFailure> {
        match settled {
            Settled::Durable { close_by } => self.close_by(close_by).await,
            Settled::StandsStill => {
                self.store.abandon();
                Err(HeldFailure::StandsStill { waited: SETTLE_WAIT })
            }
        }
    }

    /// As [`Held::close`], by a thread that may wait for the disk, and is waited for until then.
    async fn close_by(self, by: Instant) -> Result<(), HeldFailure> {
        match timeout_at(by, spawn_blocking(move || self.close())).await {
            Ok(Ok(closed)) => closed,
            Ok(Err(panicked)) => Err(HeldFailure::Identity(panicked.to_string())),
            Err(_) => Err(HeldFailure::StandsStill { waited: STOP_WAIT }),
        }
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
