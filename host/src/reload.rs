//! What is read again at SIGHUP, without a stop: tokens and certificates.

use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
};
use tracing::{error, info, warn};

use crate::{
    auth::Tokens,
    edge::{EdgeOptions, ServerTls},
};

/// Reads the files behind these options again at each SIGHUP. What is wrong with a new file is said, and the old one's
/// content goes on to hold. Never returns.
///
/// Where there is nothing to read again the signal is left alone, and ends the process as it does by itself.
pub async fn at_hangups(options: EdgeOptions) {
    if options.gate.tokens().is_some() || options.tls.is_some() {
        match signal(SignalKind::hangup()) {
            Ok(mut hangups) => {
                while hangups.recv().await.is_some() {
                    reload(&options).await;
                }
            }
            Err(error) => {
                warn!(%error, "cannot listen for SIGHUP: new tokens and certificates need a restart")
            }
        }
    }
    std::future::pending().await
}

async fn reload(options: &EdgeOptions) {
    let options = options.clone();
    // A file may lie on a disk that does not answer; the node goes on meanwhile.
    let read = move || {
        options.gate.tokens().map(reload_tokens);
        options.tls.as_ref().map(reload_certificate);
    };
    if spawn_blocking(read).await.is_err() {
        error!("reading files again panicked: a bug, please report it");
    }
}

fn reload_tokens(tokens: &Tokens) {
    match tokens.reload() {
        Ok(count) => info!(count, "tokens were read again"),
        Err(error) => error!(%error, "the new tokens file is not used: the tokens of before still hold"),
    }
}

fn reload_certificate(tls: &ServerTls) {
    match tls.reload() {
        Ok(()) => info!("the certificate was read again: new connections are made with it"),
        Err(error) => error!(%error, "the new certificate is not used: the one of before still is"),
    }
}
