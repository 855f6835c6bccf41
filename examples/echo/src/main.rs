//! Iteration 0 of a replicated log: one server that echoes what it is sent, and its client.
//!
//! ```text
//! replog-echo serve            replog-echo send hello            replog-echo list
//! ```

mod client;
mod server;

use std::io::Write as _;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

/// An echo over HTTP: the smallest thing that a replicated log can grow from.
#[derive(Parser)]
#[command(name = "replog-echo", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server.
    Serve {
        /// The address to listen on.
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5100")]
        listen: String,
        /// Threads that answer requests.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
        threads: u16,
    },
    /// Send one message and print what comes back.
    Send {
        /// The message, a string.
        message: String,
        /// The server.
        #[arg(long, default_value = "http://127.0.0.1:5100")]
        url: String,
    },
    /// Print the messages that the server remembers, oldest first, one JSON value a line.
    List {
        /// The server.
        #[arg(long, default_value = "http://127.0.0.1:5100")]
        url: String,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve { listen, threads } => runtime(threads)?.block_on(server::serve(&listen)),
        Command::Send { message, url } => {
            let received = runtime(1)?.block_on(client::send(&url, &message))?;
            print_lines(&[received])
        }
        Command::List { url } => {
            let messages = runtime(1)?.block_on(client::list(&url))?;
            print_lines(&messages)
        }
    }
}

fn runtime(threads: u16) -> anyhow::Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(usize::from(threads)).enable_all().build().context("cannot start the runtime")
}

fn print_lines(messages: &[serde_json::Value]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    for message in messages {
        writeln!(stdout, "{message}")?;
    }
    Ok(())
}
