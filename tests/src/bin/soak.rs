//! What `cargo xtask soak` runs: rounds of faults under load, each over a new cluster, until the time is over.

#![expect(clippy::print_stdout, reason = "it tells on the terminal what it does and finds")]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use replog_tests::soak;

/// Long enough for dozens of faults, short enough for a log that is read again and again.
const ROUND: Duration = Duration::from_secs(30);

/// Kill, pause, cut off and wipe nodes under load, and hold the history to every promise.
#[derive(Parser)]
struct Args {
    /// How long.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Repeats what a run did; drawn unless given.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let (started, mut rounds, mut unsound) = (Instant::now(), 0, 0);
    while started.elapsed() < Duration::from_secs(60 * args.minutes) {
        let seed = seed.wrapping_add(rounds);
        rounds += 1;
        println!("round {rounds}, seed {seed}");
        let round = soak::round(seed, ROUND).await;
        println!("  {round}");
        let found = round.violations.iter().map(|violation| format!("BROKEN: {violation:?}"));
        for found in found.chain(round.invalid.clone()) {
            println!("  {found}");
        }
        if let Some(kept) = round.kept {
            unsound += 1;
            println!("  directories and log lines are kept in {}", kept.display());
        }
    }
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    println!("seed {seed}: {rounds} rounds in {minutes:.1} minutes, {unsound} of them unsound");
    if unsound == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
