//! The next segment, filled with zeros before it is needed.
//!
//! Overwriting bytes that exist changes no metadata, so `fdatasync` has nothing but the data to write.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{
    files::{File, Files, write_full},
    limits::PREFILL_BYTES,
};

/// A file that becomes a segment.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) file: Arc<dyn File>,
    pub(super) path: PathBuf,
    /// How many bytes of zeros it has.
    pub(super) size: u64,
}

#[derive(Debug, Default)]
struct State {
    /// How large the next one is to be; it is being made, or about to be.
    wanted: Option<u64>,
    ready: Option<Spare>,
    made: u64,
    stop: bool,
}

/// Where the writer gets its next segment from.
pub(super) struct Spares {
    files: Arc<dyn Files>,
    dir: PathBuf,
    state: Mutex<State>,
    news: Condvar,
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

impl Spares {
    pub(super) fn new(files: Arc<dyn Files>, dir: PathBuf) -> Spares {
        Spares { files, dir, state: Mutex::default(), news: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a spare of this size, unless there is one.
    pub(super) fn want(&self, size: u64) {
        let mut state = self.lock();
        if state.ready.is_none() {
            state.wanted = Some(size);
        }
        drop(state);
        self.news.notify_all();
    }

    /// The spare that is ready. If none is, an empty file: to wait for the zeros would cost more than they
    /// save.
    ///
    /// # Errors
    /// No file can be created.
    pub(super) fn take(&self) -> io::Result<Spare> {
        let mut state = self.lock();
        if let Some(spare) = state.ready.take() {
            return Ok(spare);
        }
        let path = self.next_path(&mut state);
        drop(state);
        Ok(Spare { file: self.files.create(&path)?, path, size: 0 })
    }

    fn next_path(&self, state: &mut State) -> PathBuf {
        state.made += 1;
        self.dir.join(format!("spare-{}{}", state.made, crate::format::TEMPORARY_SUFFIX))
    }

    /// Makes spares until it is stopped. A spare that cannot be made is done without: nothing of the log is in
    /// it, and a disk that fails will show where the log is written.
    pub(super) fn run(&self) {
        loop {
            let mut state = self.lock();
            while state.wanted.is_none() && !state.stop {
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let Some(size) = state.wanted.filter(|_| !state.stop) else { return };
            let path = self.next_path(&mut state);
            drop(state);
            let made = self.make(path.clone(), size);
            let mut state = self.lock();
            state.wanted = None;
            match made {
                Ok(spare) => state.ready = Some(spare),
                Err(error) => {
                    tracing::debug!(%error, "a segment could not be prefilled; it will be written without");
                    let _ = self.files.remove(&path);
                }
            }
        }
    }

    fn make(&self, path: PathBuf, size: u64) -> io::Result<Spare> {
        let file = self.files.create(&path)?;
        let zeros = vec![0; PREFILL_BYTES];
        let mut at = 0;
        while at < size && !self.lock().stop {
            let count = (size - at).min(PREFILL_BYTES as u64);
            write_full(&*file, &zeros[..count as usize], at)?;
            at += count;
        }
        file.sync()?;
        Ok(Spare { file, path, size: at })
    }

    /// Ends [`Spares::run`], and removes what was not used.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.news.notify_all();
    }

    /// Removes what was not used, once [`Spares::run`] has ended.
    pub(super) fn clear(&self) {
        if let Some(spare) = self.lock().ready.take() {
            let _ = self.files.remove(&spare.path);
        }
    }
}
