//! What is read again at SIGHUP, without a stop: tokens.

use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
};
use tracing::{error, info, warn};

use crate::{auth::Tokens, edge::EdgeOptions};

/// Reads the files behind these options again at each SIGHUP. What is wrong with a new file is said, and the old one's
/// content goes on to hold. Never returns.
///
/// Where there is nothing to read again the signal is left alone, and ends the process as it does by itself.
pub async fn at_hangups(options: EdgeOptions) {
    if options.gate.tokens().is_some() {
        match signal(SignalKind::hangup()) {
            Ok(mut hangups) => {
                while hangups.recv().await.is_some() {
                    reload(&options).await;
                }
            }
            Err(error) => warn!(%error, "cannot listen for SIGHUP: new tokens need a restart"),
        }
    }
    std::future::pending().await
}

async fn reload(options: &EdgeOptions) {
    let options = options.clone();
    // A file may lie on a disk that does not answer; the node goes on meanwhile.
    if spawn_blocking(move || options.gate.tokens().map(reload_tokens)).await.is_err() {
        error!("reading files again panicked: a bug, please report it");
    }
}

fn reload_tokens(tokens: &Tokens) {
    match tokens.reload() {
        Ok(count) => info!(count, "tokens were read again"),
        Err(error) => error!(%error, "the new tokens file is not used: the tokens of before still hold"),
    }
}
