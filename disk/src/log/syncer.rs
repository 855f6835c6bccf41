//! The thread that syncs what the other one wrote.

use std::{sync::Arc, time::Instant};

use super::{shared::Shared, work::Written};

/// Syncs until nothing is left to sync or something failed. An error is final: the next sync might report
/// success for pages that the kernel has thrown away.
pub(super) fn run(shared: &Arc<Shared>) {
    while let Some(written) = shared.pipe.next_sync() {
        sync(shared, &written);
    }
}

/// Syncs what was written. At most one thread does at a time.
pub(super) fn sync(shared: &Shared, written: &Written) {
    let begun = Instant::now();
    match written.file.sync() {
        Ok(()) => shared.pipe.on_synced(written, begun.elapsed()),
        Err(error) => shared.pipe.fail(&format_args!("what was written could not be synced: {error}")),
    }
}
