//! `cargo xtask soak`: faults at random moments under load, for as long as one likes.

use anyhow::Result;

use crate::{
    process::Program,
    programs::{self, Profile},
    test::environment,
    tools,
};

/// Kill, pause, cut off and wipe nodes under load for a long time, and hold the history to every promise.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Repeats what a run did, as it printed it; drawn unless given.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs it.
///
/// # Errors
/// A promise was broken, a round proved nothing, or the cluster did not heal.
pub(crate) fn run(args: &Args) -> Result<()> {
    tools::nats_server()?;
    programs::build(Profile::Testing)?;
    let mut soak = Program::new("cargo")
        .args(["run", "--locked", "--quiet", "--package", "replog-tests", "--bin", "soak", "--"])
        .args(["--minutes", &args.minutes.to_string()]);
    if let Some(seed) = args.seed {
        soak = soak.args(["--seed", &seed.to_string()]);
    }
    soak.envs(&environment::variables()?).run()
}
