//! Scans segments on several threads, and hands the results over in order.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use replog_shared::store::IdSeed;

use super::scan::{Scan, ScanError, scan};
use crate::{
    files::Files,
    limits::{SCAN_QUEUE, SCAN_THREADS},
};

/// The results of segment n come from thread n modulo the number of threads: each waits with its next one
/// until its turn has come, so that few results are in memory however large the log is.
pub(super) struct Scans {
    results: Vec<Receiver<Result<Scan, ScanError>>>,
    next: usize,
}

impl Scans {
    /// Starts to scan these segments. Threads end when they are done, or when this is dropped.
    pub(super) fn start(files: &Arc<dyn Files>, paths: &[PathBuf], ids: Option<IdSeed>) -> Scans {
        let threads = SCAN_THREADS.min(paths.len());
        let results = (0..threads).map(|first| {
            let own: Vec<PathBuf> = paths.iter().skip(first).step_by(threads).cloned().collect();
            let files = files.clone();
            let (sender, receiver) = sync_channel(SCAN_QUEUE);
            thread::spawn(move || {
                for path in own {
                    if sender.send(scan(&*files, &path, u64::MAX, ids)).is_err() {
                        return;
                    }
                }
            });
            receiver
        });
        Scans { results: results.collect(), next: 0 }
    }

    /// The result of the next segment; `None` behind the last one, or if its thread panicked.
    pub(super) fn next(&mut self) -> Option<Result<Scan, ScanError>> {
        let from = self.results.get(self.next % self.results.len().max(1))?;
        self.next += 1;
        from.recv().ok()
    }
}
