//! What node, writer and syncer tell each other.
//!
//! ```text
//! append ─▶ waiting ─▶ writer: one write a group ─▶ written ─▶ syncer: one fdatasync ─▶ synced
//! ```
//!
//! Cuts and chores wait in the same queue, so that each takes effect after what was given before it.
//!
//! While the syncer syncs one group, the writer writes the next.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use replog_shared::{
    Durability, Place,
    store::{StoreError, StoreFigures, Ticket},
};

use super::work::{Errand, Item, Run, Task, Work, Written};
use crate::limits::GROUP_BYTES;

/// How far a storage has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) durable: Place,
    /// Bytes of lines that were appended and are not durable.
    pub(super) pending_bytes: usize,
    /// The last task that is done.
    pub(super) done: Ticket,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Item>,
    /// Tickets of tasks that were given, and are done.
    given: Ticket,
    done: Ticket,
    /// Cuts that are not done, with their tickets and places: nothing after those places is durable.
    cuts: VecDeque<(Ticket, Place)>,
    /// Bytes of lines appended, and durable, since the log was opened.
    appended: u64,
    durable_bytes: u64,
    durable: Place,
    written: Option<Written>,
    /// The last write that was synced, and the end of its lines.
    synced: (u64, u64),
    /// The last write that is to be synced.
    sync_through: u64,
    /// Whether a thread syncs. Never two: the kernel tells an error of the disk only to the first that asks.
    syncing: bool,
    seal: bool,
    stop: bool,
    failure: Option<StoreError>,
    /// But for the bytes of the log, which the segments know.
    figures: StoreFigures,
}

impl State {
    /// Nothing waits, behind a log that is durable through `durable`.
    fn new(durable: Place) -> State {
        State {
            waiting: VecDeque::new(),
            given: Ticket::NONE,
            done: Ticket::NONE,
            cuts: VecDeque::new(),
            appended: 0,
            durable_bytes: 0,
            durable,
            written: None,
            synced: (0, 0),
            sync_through: 0,
            syncing: false,
            seal: false,
            stop: false,
            failure: None,
            figures: StoreFigures::new(0),
        }
    }

    /// All through `written` is durable.
    fn on_durable(&mut self, written: &Written) {
        let entries = written.place.length.since(self.durable.length);
        if entries > 0 {
            self.figures.group_entries.observe(entries);
        }
        self.durable = written.place;
        self.durable_bytes = written.line_bytes;
    }
}

/// The state of the threads, under one lock that is never held while the disk works.
pub(crate) struct Pipe {
    state: Mutex<State>,
    level: Durability,
    to_writer: Condvar,
    to_syncer: Condvar,
    /// For whoever waits for the others: a seal, a sync, room.
    to_waiting: Condvar,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

impl Pipe {
    /// A pipe with nothing in it, behind a log that is durable through `durable`. `wake` is called whenever
    /// there is news for the store.
    pub(crate) fn new(level: Durability, durable: Place, wake: impl Fn() + Send + Sync + 'static) -> Pipe {
        Pipe {
            state: Mutex::new(State::new(durable)),
            level,
            to_writer: Condvar::new(),
            to_syncer: Condvar::new(),
            to_waiting: Condvar::new(),
            wake: Box::new(wake),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is written any more, for this reason. The first reason stays.
    pub(crate) fn fail(&self, reason: &impl fmt::Display) {
        let mut state = self.lock();
        if state.failure.is_none() {
            tracing::error!(%reason, "the log's storage failed; this node must stop");
            state.failure = Some(StoreError::Failed { reason: reason.to_string() });
        }
        drop(state);
        self.wake_all();
    }

    /// Nothing is written any more, as nobody wants it to be.
    pub(super) fn abandon(&self) {
        let abandoned = || StoreError::Failed { reason: "its node has ended".to_owned() };
        self.lock().failure.get_or_insert_with(abandoned);
        self.wake_all();
    }

    fn wake_all(&self) {
        for waiting in [&self.to_writer, &self.to_syncer, &self.to_waiting] {
            waiting.notify_all();
        }
        (self.wake)();
    }

    /// Why nothing is written any more.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.lock().failure.clone()
    }

    /// Hands a run to the writer, and never waits: how much may wait is for the node to bound. `false` after a
    /// failure.
    pub(super) fn push(&self, run: Run) -> bool {
        let mut state = self.lock();
        if state.failure.is_some() {
            return false;
        }
        state.appended += run.lines.bytes().len() as u64;
        self.put(&mut state, Item::Run(run));
        true
    }

    fn put(&self, state: &mut State, item: Item) {
        state.waiting.push_back(item);
        // The writer sleeps only when nothing waits.
        if state.waiting.len() == 1 {
            self.to_writer.notify_one();
        }
    }

    /// Hands a task to the writer. After a failure it is never done.
    pub(super) fn give(&self, what: Errand) -> Ticket {
        let mut state = self.lock();
        state.given = state.given.next();
        let ticket = state.given;
        if state.failure.is_some() {
            return ticket;
        }
        if let Errand::Cut(at, _) = &what {
            state.cuts.push_back((ticket, at.place));
        }
        self.put(&mut state, Item::Task(Task { ticket, what }));
        ticket
    }

    /// The last task that was given.
    pub(super) fn given(&self) -> Ticket {
        self.lock().given
    }

    /// How far the storage has come.
    pub(super) fn reached(&self) -> Result<Reached, StoreError> {
        let state = self.lock();
        let durable = state.cuts.iter().map(|(_, place)| *place).fold(state.durable, Place::min);
        let pending_bytes = state.appended.saturating_sub(state.durable_bytes) as usize;
        state.failure.clone().map_or(Ok(Reached { durable, pending_bytes, done: state.done }), Err)
    }

    /// What has been written and synced since the log was opened; without the log's bytes.
    pub(super) fn figures(&self) -> StoreFigures {
        self.lock().figures.clone()
    }

    /// What the writer is to do next; waits for it. [`Work::Idle`] comes only if `idle` is given.
    pub(super) fn next_work(&self, idle: Option<Duration>) -> Work {
        let mut state = self.lock();
        loop {
            if state.failure.is_some() {
                return Work::Stop;
            }
            match state.waiting.front() {
                Some(Item::Run(_)) => return Work::Group(take_group(&mut state)),
                Some(Item::Task(_)) => {
                    if let Some(Item::Task(task)) = state.waiting.pop_front() {
                        return Work::Task(task);
                    }
                }
                None => {}
            }
            if state.seal {
                return Work::Seal;
            }
            if state.stop {
                return Work::Stop;
            }
            let Some(idle) = idle else {
                state = self.to_writer.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (locked, waited) =
                self.to_writer.wait_timeout(state, idle).unwrap_or_else(PoisonError::into_inner);
            state = locked;
            if waited.timed_out() && state.waiting.is_empty() && !state.seal {
                return Work::Idle;
            }
        }
    }

    /// The writer has written. At level `os` that is all that is asked; at level `disk` it is to be synced: by
    /// the writer itself if that is the answer, because nothing waits for it and no thread needs to be woken.
    #[must_use = "what is not synced never becomes durable"]
    pub(super) fn on_written(&self, written: &Written) -> bool {
        let mut state = self.lock();
        state.written = Some(written.clone());
        if self.level != Durability::Disk {
            state.on_durable(written);
            drop(state);
            (self.wake)();
            return false;
        }
        state.sync_through = written.write;
        let alone = state.waiting.is_empty() && !state.syncing;
        state.syncing |= alone;
        if !alone {
            self.to_syncer.notify_one();
        }
        alone
    }

    /// What is to be synced next; waits for it. `None`: nothing any more.
    pub(super) fn next_sync(&self) -> Option<Written> {
        let mut state = self.lock();
        loop {
            if state.failure.is_some() {
                return None;
            }
            if state.sync_through > state.synced.0 && !state.syncing {
                state.syncing = true;
                return state.written.clone();
            }
            if state.stop {
                return None;
            }
            state = self.to_syncer.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What was written through `written` is synced, which took this long.
    pub(super) fn on_synced(&self, written: &Written, took: Duration) {
        let mut state = self.lock();
        if state.failure.is_some() {
            return;
        }
        state.syncing = false;
        state.synced = (written.write, written.lines_end);
        if self.level == Durability::Disk {
            state.figures.sync_times.observe_time(took);
            state.on_durable(written);
        }
        drop(state);
        self.to_waiting.notify_all();
        (self.wake)();
    }

    /// A new segment begins, with nothing synced in it; all before it is.
    pub(super) fn on_segment(&self) {
        self.lock().synced.1 = 0;
    }

    /// The end of the lines in the current segment that are synced; 0 before any are.
    pub(super) fn synced_lines_end(&self) -> u64 {
        self.lock().synced.1
    }

    /// Waits until everything written is synced.
    ///
    /// # Errors
    /// The storage failed.
    pub(super) fn sync_all(&self) -> Result<(), StoreError> {
        let mut state = self.lock();
        let Some(write) = state.written.as_ref().map(|written| written.write) else { return Ok(()) };
        state.sync_through = write;
        self.to_syncer.notify_one();
        while state.synced.0 < write && state.failure.is_none() {
            state = self.to_waiting.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.failure.clone().map_or(Ok(()), Err)
    }

    /// Has the writer make everything durable and end its segment, and waits for it.
    ///
    /// # Errors
    /// The storage failed.
    pub(super) fn seal(&self) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.seal = true;
        self.to_writer.notify_one();
        while state.seal && state.failure.is_none() {
            state = self.to_waiting.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.failure.clone().map_or(Ok(()), Err)
    }

    /// The writer has sealed its segment.
    pub(super) fn on_sealed(&self) {
        self.lock().seal = false;
        self.to_waiting.notify_all();
    }

    /// A task is done. If it was a cut the log ends at its place, durable.
    pub(super) fn on_done(&self, ticket: Ticket) {
        let mut state = self.lock();
        state.done = ticket;
        if let Some((_, place)) = state.cuts.pop_front_if(|(cut, _)| *cut == ticket) {
            state.durable = place;
        }
        drop(state);
        (self.wake)();
    }

    /// Sends the threads home once they are done.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.to_writer.notify_all();
        self.to_syncer.notify_all();
    }
}

/// As many runs as fit one group, at least one.
fn take_group(state: &mut State) -> Vec<Run> {
    let (mut bytes, mut group) = (0, Vec::new());
    while let Some(Item::Run(run)) = state.waiting.pop_front_if(|item| fits(item, bytes)) {
        bytes += run.lines.bytes().len();
        group.push(run);
    }
    group
}

/// Whether something goes into a group that has so many bytes.
fn fits(item: &Item, bytes: usize) -> bool {
    matches!(item, Item::Run(run) if bytes == 0 || bytes + run.lines.bytes().len() <= GROUP_BYTES)
}

#[cfg(test)]
mod tests;
