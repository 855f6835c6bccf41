//! `replog nkey`: what a node shows to nats-server.

use clap::{Args, Subcommand};
use nkeys::KeyPair;
use serde_json::json;

use crate::{failure::Failure, output};

/// Make keys with which nodes log in to NATS (--nats-nkey).
#[derive(Args)]
pub(crate) struct NkeyCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    New(New),
}

/// Make an nkey of a NATS user: prints its seed, and below it the public key.
///
/// The seed is the secret: put the output into a file that only the node can read, and give the node --nats-nkey FILE.
/// The public key goes into the configuration of nats-server.
#[derive(Args)]
struct New {
    /// Print both as one JSON document.
    #[arg(long)]
    json: bool,
}

impl NkeyCommand {
    /// Does it.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::New(new) => new.run(),
        }
    }
}

impl New {
    fn run(&self) -> Result<(), Failure> {
        let key = KeyPair::new_user();
        let seed = key.seed().map_err(|error| Failure::Bad(format!("no key could be made: {error}")))?;
        let public = key.public_key();
        let text = if self.json {
            json!({"seed": seed, "public_key": public}).to_string()
        } else {
            format!("{seed}\n{public}")
        };
        Ok(output::data_line(text)?)
    }
}
