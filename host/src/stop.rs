//! When a process is asked to stop.

use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

/// Returns at the first SIGTERM or SIGINT.
pub async fn requested() {
    let signals =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    match signals {
        Ok((mut term, mut int)) => {
            tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
        }
        Err(error) => {
            warn!(%error, "cannot listen for signals: only kill -9 stops this process");
            std::future::pending::<()>().await;
        }
    }
}
