//! What is read again at SIGHUP, without a stop: tokens and certificates.

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
};
use tracing::{error, info, warn};

use crate::{
    auth::Tokens,
    edge::{EdgeOptions, ServerTls},
};

/// The files behind a node's HTTP, read again at each SIGHUP.
///
/// Where there is nothing to read again the signal is left alone, and ends the process as it does by itself.
#[derive(Debug)]
pub struct Reload {
    options: EdgeOptions,
    /// None: nothing to read again, or no way to hear of it.
    hangups: Option<Signal>,
}

impl Reload {
    /// Listens from now on, so that a SIGHUP that comes while the node starts does not end it. Needs a tokio runtime.
    pub fn new(options: EdgeOptions) -> Reload {
        let anything = options.gate.tokens().is_some() || options.tls.is_some();
        let hangups = anything.then(|| signal(SignalKind::hangup())).transpose().unwrap_or_else(|error| {
            warn!(%error, "cannot listen for SIGHUP: new tokens and certificates need a restart");
            None
        });
        Reload { options, hangups }
    }

    /// Reads the files at each SIGHUP. What is wrong with a new one is said, and what the old one held goes on to hold.
    /// Never returns.
    pub async fn run(mut self) {
        if let Some(hangups) = &mut self.hangups {
            while hangups.recv().await.is_some() {
                reload(&self.options).await;
            }
        }
        std::future::pending::<()>().await;
    }
}

async fn reload(options: &EdgeOptions) {
    let options = options.clone();
    // A file may lie on a disk that does not answer; the node goes on meanwhile.
    let read = move || {
        if let Some(tokens) = options.gate.tokens() {
            reload_tokens(tokens);
        }
        if let Some(tls) = &options.tls {
            reload_certificate(tls);
        }
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
