//! From a log that was checked to a store that runs.

use std::{
    sync::{Arc, RwLock},
    thread::{self, JoinHandle},
};

use replog_shared::{
    PlacedMark,
    lines::Tip,
    store::{IdIndex, LineChunks, OldPages, Ticket, UnfinishedBatches},
};

use super::{
    DiskStore, pipe::Pipe, segments::Segment, shared::Shared, spare::Spares, syncer, writer::Writer,
};
use crate::open::{DataDir, OpenOptions};

/// All that a store begins with.
pub(crate) struct Parts {
    pub(crate) dir: DataDir,
    pub(crate) segments: Vec<Segment>,
    pub(crate) tail: LineChunks,
    pub(crate) marks: Vec<PlacedMark>,
    pub(crate) tip: Tip,
    pub(crate) ids: Option<IdIndex>,
}

impl DiskStore {
    /// Starts the threads of a log that is durable as it is.
    pub(crate) fn start(
        parts: Parts,
        options: OpenOptions,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> DiskStore {
        let log_bytes = parts.segments.iter().map(|segment| segment.end).sum();
        let durable = parts.tip.place;
        let spares = Arc::new(Spares::new(parts.dir.files.clone(), parts.dir.log.clone()));
        let shared = Arc::new(Shared {
            dir: parts.dir,
            segments: RwLock::new(parts.segments),
            tail: RwLock::new(parts.tail),
            pipe: Pipe::new(options.level, durable, wake),
        });
        let threads = start_threads(&shared, &spares, options, log_bytes);
        let mut store = DiskStore {
            shared,
            marks: parts.marks,
            tip: parts.tip,
            durable,
            pending_bytes: 0,
            done: Ticket::NONE,
            unfinished: UnfinishedBatches::default(),
            ids: parts.ids,
            lent: OldPages::default(),
            spares,
            threads,
        };
        store.unfinished = UnfinishedBatches::of(&store.tip, |batch| store.digest_after(batch));
        store
    }
}

fn start_threads(
    shared: &Arc<Shared>,
    spares: &Arc<Spares>,
    options: OpenOptions,
    log_bytes: u64,
) -> Vec<JoinHandle<()>> {
    let writer = Writer::new(shared.clone(), spares.clone(), options, log_bytes);
    let (to_sync, to_fill) = (shared.clone(), spares.clone());
    vec![
        spawn(shared, move || writer.run()),
        spawn(shared, move || syncer::run(&to_sync)),
        spawn(shared, move || to_fill.run()),
    ]
}

/// Starts a thread whose panic is a failure of the store: nobody waits for a thread that is gone.
fn spawn(shared: &Arc<Shared>, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let watch = PanicWatch(shared.clone());
    thread::spawn(move || {
        let _watch = watch;
        run();
    })
}

struct PanicWatch(Arc<Shared>);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.pipe.fail(&"a thread of the log panicked");
        }
    }
}
