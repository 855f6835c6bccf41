//! What node, writer and syncer tell each other.
//!
//! ```text
//! append ─▶ waiting ─▶ writer: one write a group ─▶ written ─▶ syncer: one fdatasync ─▶ synced
//! ```
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
    store::{StoreError, StoreFigures},
};

use super::work::{Run, Work, Written};
use crate::limits::{GROUP_BYTES, WAITING_BYTES_MAX};

#[derive(Debug)]
struct State {
    waiting: VecDeque<Run>,
    waiting_bytes: usize,
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
            waiting_bytes: 0,
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
        for waiting in [&self.to_writer, &self.to_syncer, &self.to_waiting] {
            waiting.notify_all();
        }
        (self.wake)();
    }

    /// Why nothing is written any more.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.lock().failure.clone()
    }

    /// Hands a run to the writer; waits only if far too much waits already. `false` after a failure.
    pub(super) fn push(&self, run: Run) -> bool {
        let mut state = self.lock();
        while state.waiting_bytes > WAITING_BYTES_MAX && state.failure.is_none() {
            state = self.to_waiting.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.failure.is_some() {
            return false;
        }
        let bytes = run.lines.bytes().len();
        state.waiting_bytes += bytes;
        state.appended += bytes as u64;
        state.waiting.push_back(run);
        // The writer sleeps only when nothing waits.
        if state.waiting.len() == 1 {
            self.to_writer.notify_one();
        }
        true
    }

    /// How far the log is durable.
    pub(super) fn durable(&self) -> Result<Place, StoreError> {
        let state = self.lock();
        state.failure.clone().map_or(Ok(state.durable), Err)
    }

    /// Bytes of lines that are not durable yet.
    pub(super) fn pending_bytes(&self) -> usize {
        let state = self.lock();
        (state.appended - state.durable_bytes) as usize
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
            if !state.waiting.is_empty() {
                return Work::Group(self.take_group(&mut state));
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

    fn take_group(&self, state: &mut State) -> Vec<Run> {
        let mut bytes = 0;
        let fits = |run: &Run| {
            bytes += run.lines.bytes().len();
            bytes <= GROUP_BYTES
        };
        let count = state.waiting.iter().map(fits).take_while(|fits| *fits).count().max(1);
        let group: Vec<Run> = state.waiting.drain(..count).collect();
        state.waiting_bytes -= group.iter().map(|run| run.lines.bytes().len()).sum::<usize>();
        self.to_waiting.notify_all();
        group
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

    /// The log was cut: it ends at `place`, durable.
    pub(super) fn on_cut(&self, place: Place) {
        self.lock().durable = place;
    }

    /// Sends the threads home once they are done.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.to_writer.notify_all();
        self.to_syncer.notify_all();
    }
}

#[cfg(test)]
mod tests;
