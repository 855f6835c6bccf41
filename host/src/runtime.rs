//! The runtime of a node's process.

use std::future::Future;

/// Runs a node on one thread: HTTP, node and bus hand over to each other without waking another core,
/// which costs a fifth less CPU for each append than a thread pool does.
///
/// # Errors
/// What `main` returns; or the operating system has no resources for a runtime.
pub fn block_on(main: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(main);
    // A thread that waits for a disk is waited for no longer than its node did.
    runtime.shutdown_background();
    ended
}
