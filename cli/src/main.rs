//! `replog`: the command line of a replicated log.
//!
//! Data goes to standard output, everything said about it to standard error, and the exit code says how it
//! ended ([`failure`]).
//!
//! | module | holds |
//! | --- | --- |
//! | [`append`], [`read`], [`tail`], [`import`], [`export`], [`status`], [`verify`], [`promote`], [`probe`], [`bench`](mod@bench), [`token`], [`nkey`], [`completions`], [`dev`] | one command each |
//! | [`client`], [`node_url`], [`reach`], [`trust`] | the small HTTP client, the address that it talks to, by which token, and whom it trusts |
//! | [`elements`] | the members of a long JSON array, one by one |
//! | [`history`] | what was printed, so that what is printed next belongs to it |
//! | [`bulk`] | what import and export have in common |
//! | [`failure`], [`output`], [`format`](mod@format) | how a command ends, where it writes, how numbers look |

mod append;
mod bench;
mod bulk;
mod client;
mod completions;
mod dev;
mod elements;
mod export;
mod failure;
mod format;
mod history;
mod import;
mod nkey;
mod node_url;
mod output;
mod probe;
mod promote;
mod reach;
mod read;
mod status;
mod tail;
mod token;
mod trust;
mod verify;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{client::Client, failure::Failure, node_url::NodeUrl, reach::ReachArgs};

/// Talk to a replicated log: append messages, read them, watch the nodes, measure.
#[derive(Parser)]
#[command(name = "replog", version, after_help = failure::EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Dev(dev::Dev),
    Append(append::Append),
    Read(read::Read),
    Tail(tail::Tail),
    Import(import::Import),
    Export(export::Export),
    Status(status::Status),
    Verify(verify::Verify),
    Promote(promote::Promote),
    Probe(probe::Probe),
    Bench(bench::Bench),
    Token(token::TokenCommand),
    Nkey(nkey::NkeyCommand),
    Completions(completions::Completions),
}

/// The node that a command talks to.
#[derive(Args)]
struct Target {
    /// The node to talk to.
    #[arg(long, env = "REPLOG_URL", hide_env_values = true, default_value = "http://127.0.0.1:5000")]
    url: NodeUrl,
    #[command(flatten)]
    reach: ReachArgs,
}

impl Target {
    /// A client of it, on a connection of its own.
    ///
    /// # Errors
    /// What was given to reach it with is of no use.
    fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.url.clone(), &self.reach.check()?))
    }
}

fn main() -> ExitCode {
    match run(replog_host::config::parse::<Cli>().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Dev(dev) => dev.run().await,
            Command::Append(append) => append.run().await,
            Command::Read(read) => read.run().await,
            Command::Tail(tail) => tail.run().await,
            Command::Import(import) => import.run().await,
            Command::Export(export) => export.run().await,
            Command::Status(status) => status.run().await,
            Command::Promote(promote) => promote.run(),
            Command::Verify(verify) => verify.run().await,
            Command::Probe(probe) => probe.run().await,
            Command::Bench(bench) => bench.run().await,
            Command::Token(token) => token.run(),
            Command::Nkey(nkey) => nkey.run(),
            Command::Completions(completions) => completions.run(),
        }
    });
    // Standard input is read by a thread that cannot be interrupted: do not wait for it.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
