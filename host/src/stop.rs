//! When a process is asked to stop.

use std::io;

use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
};
use tracing::warn;

/// Hears when this process is asked to stop.
#[derive(Debug)]
pub struct Stop {
    /// SIGTERM and SIGINT; none: there is no way to hear of them.
    signals: Option<(Signal, Signal)>,
}

impl Stop {
    /// Listens from now on, so that a signal that comes while a node starts does not end the process by itself. Needs a
    /// tokio runtime.
    pub fn listen() -> Stop {
        let signals = signals()
            .inspect_err(|error| warn!(%error, "cannot listen for signals: only kill -9 stops this process"));
        Stop { signals: signals.ok() }
    }

    /// Returns at the first SIGTERM or SIGINT that was not told yet. Who stops waiting for it loses none.
    pub async fn requested(&mut self) {
        match &mut self.signals {
            Some((term, int)) => select! { _ = term.recv() => {} _ = int.recv() => {} },
            None => std::future::pending().await,
        }
    }
}

fn signals() -> io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}
