//! `replog token`: what clients show to nodes.

use clap::{Args, Subcommand};
use replog_host::auth::{Scopes, Token, TokenEntry};
use serde_json::json;

use crate::{failure::Failure, output};

/// Make tokens for nodes that ask for one (--tokens-file).
#[derive(Args)]
pub(crate) struct TokenCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    New(New),
}

/// Make a token: prints it, this once, and below it the line for the nodes' tokens file.
///
/// The line holds a hash of the token and is no secret. Put it into the file of --tokens-file and send the nodes a
/// SIGHUP; give the token to whoever shall have it, as REPLOG_TOKEN or in a file for --token-file.
#[derive(Args)]
struct New {
    /// Who gets it: 1 to 64 of the characters A-Z a-z 0-9 _ . -
    #[arg(long)]
    name: String,
    /// What it is for: one or more of append, read and admin, separated by commas.
    #[arg(long, value_name = "SCOPE[,SCOPE]")]
    scopes: Scopes,
    /// Print both as one JSON document.
    #[arg(long)]
    json: bool,
}

impl TokenCommand {
    /// Does it.
    ///
    /// # Errors
    /// The name is none, or this system has no random numbers.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::New(new) => new.run(),
        }
    }
}

impl New {
    fn run(&self) -> Result<(), Failure> {
        let token =
            Token::random().map_err(|_| Failure::Bad("this system gives no random numbers".to_owned()))?;
        let line = TokenEntry::new(&self.name, self.scopes, token.hash());
        let line = line.map_err(|_| {
            Failure::Usage("--name: a name is 1 to 64 of the characters A-Z a-z 0-9 _ . -".to_owned())
        })?;
        if self.json {
            let document = json!({"token": token.secret(), "line": line.to_string()});
            return Ok(output::data_line(document)?);
        }
        output::data_line(format_args!("{}\n{line}", token.secret()))?;
        output::say(
            "replog: the token is shown this once; the line below it goes into the nodes' --tokens-file",
        );
        Ok(())
    }
}
