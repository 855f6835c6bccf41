//! `cargo xtask test`: the one test command, on a developer's machine and in CI.

mod abilities;
mod counts;
pub(crate) mod environment;
mod nextest;
mod policy;
mod rules;
mod step;
mod summary;

use std::time::Instant;

use anyhow::{Result, bail};

use self::{
    step::Step,
    summary::{Line, Summary},
};

/// Run every check and every test of the project.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these steps, with the steps that they need, in the usual order.
    #[arg(long, value_name = "STEP,…", value_delimiter = ',')]
    only: Vec<Step>,

    /// Go on after a step that failed, and tell all failures at the end.
    #[arg(long)]
    no_fail_fast: bool,
}

/// Runs the steps one after another and closes with a table of them.
///
/// # Errors
/// A step failed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut summary = Summary::default();
    for step in step::selected(&args.only) {
        let line = run_step(step);
        let failed = line.has_failed();
        summary.add(line);
        if failed && !args.no_fail_fast {
            break;
        }
    }
    println!("\n{summary}");
    if summary.has_failed() {
        bail!("not all steps passed");
    }
    Ok(())
}

fn run_step(step: Step) -> Line {
    println!("\n=== {} ===", step.name());
    let started = Instant::now();
    let result = step.run();
    let took = started.elapsed();
    match &result {
        Ok(_) => println!("=== {} passed in {:.1} s ===", step.name(), took.as_secs_f64()),
        Err(error) => println!("=== {} FAILED after {:.1} s: {error:#} ===", step.name(), took.as_secs_f64()),
    }
    Line::new(step.name(), took, result)
}
