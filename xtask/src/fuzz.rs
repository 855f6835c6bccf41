//! `cargo xtask fuzz`: libFuzzer over one target, and what it finds worth keeping into the target's corpus.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{process::Program, workspace};

/// What counts which code an input reaches. It is compiled into this build alone, in a target folder of its own.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Memory of a run above which an input has failed, in MiB.
const MOST_MEGABYTES: u32 = 1_024;

/// Seconds of one input above which it has failed.
const MOST_SECONDS: u32 = 10;

/// Look for inputs that break a property of one fuzz target. Needs a C++ compiler.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The target: a name of a folder in fuzz/corpus.
    target: String,
    /// How long.
    #[arg(default_value_t = 60)]
    seconds: u32,
    /// Adds to the corpus, in the end, those inputs that reach something new.
    #[arg(long)]
    merge: bool,
}

/// Runs it.
///
/// # Errors
/// There is no such target, or an input was found that breaks a property: its path is printed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let target = args.target.as_str();
    let corpus = workspace::root().join("fuzz/corpus").join(target);
    if !corpus.is_dir() {
        bail!("there is no folder {}", corpus.display());
    }
    let program = build()?;
    let found = folder().join("found").join(target);
    let failures = folder().join("failures").join(target).join("");
    for folder in [&found, &failures] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let fuzzer = || Program::new(&program).env("REPLOG_FUZZ_TARGET", target);
    fuzzer()
        .arg(format!("-max_total_time={}", args.seconds))
        .arg(format!("-rss_limit_mb={MOST_MEGABYTES}"))
        .arg(format!("-timeout={MOST_SECONDS}"))
        .arg(format!("-artifact_prefix={}", failures.display()))
        .args(["-print_final_stats=1", "-reload=0"])
        .args([&found, &corpus])
        .run()?;
    if args.merge {
        // By the code that is reached, not by how often: few inputs, each for a reason.
        fuzzer().args(["-set_cover_merge=1", "-use_counters=0"]).args([&corpus, &found]).run()?;
    }
    Ok(())
}

/// Where all of it is built and kept, apart from what other builds make.
fn folder() -> PathBuf {
    workspace::target().join("fuzz")
}

/// Builds libFuzzer with all targets, optimised, with every assertion.
fn build() -> Result<PathBuf> {
    let triple = Program::new("rustc").args(["--print", "host-tuple"]).read()?;
    Program::new("cargo")
        .args(["build", "--locked", "--profile", "simulation", "--target", &triple])
        .args(["--package", "replog-fuzz", "--features", "libfuzzer", "--bin", "libfuzzer"])
        .env("CARGO_TARGET_DIR", folder())
        .env("RUSTFLAGS", COVERAGE)
        .run()?;
    Ok(folder().join(triple).join("simulation/libfuzzer"))
}
