//! `cargo xtask`: the project's chores.
//!
//! | module | holds |
//! | --- | --- |
//! | [`test`](mod@test) | the one test command: its steps, their order, the closing table |
//! | [`tools`] | nats-server, cargo-nextest and cargo-deny, at pinned versions; strace |
//! | [`images`] | the container images that the tests and the compose file need |
//! | [`programs`] | the nodes and the command line, built static: for processes and for images |
//! | [`bench`](mod@bench) | the nodes against an echo, measured in one run |
//! | [`soak`] | faults under load, for as long as one likes |
//! | [`fuzz`] | libFuzzer over one reader of bytes from outside |
//! | [`docker`], [`process`], [`workspace`] | what these stand on: docker, child processes, folders |
#![expect(clippy::print_stdout, reason = "a chore tells on the terminal what it does")]

mod bench;
mod docker;
mod fuzz;
mod images;
mod process;
mod programs;
mod soak;
mod test;
mod tools;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    Tools(tools::Args),
    Images(images::Args),
    Test(test::Args),
    Bench(bench::Args),
    Soak(soak::Args),
    Fuzz(fuzz::Args),
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::Tools(args) => tools::run(&args),
        Chore::Images(args) => images::run(&args),
        Chore::Test(args) => test::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Soak(args) => soak::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
    }
}
