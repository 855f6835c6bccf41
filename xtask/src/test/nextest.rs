//! The steps that cargo nextest runs: each test belongs to exactly one of them, by the name of its binary.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{
    process::Program,
    test::{abilities, abilities::Skipped, counts::Counts, environment, summary::Report},
    workspace,
};

/// The tests of one step.
#[derive(Clone, Copy)]
pub(super) enum Suite {
    /// Everything that is in none of the others.
    Unit,
    /// Integration tests of which the name begins with `process`.
    Process,
    /// Integration tests of which the name begins with `containers`.
    Containers,
    /// Integration tests of which the name begins with `simulation`.
    Simulation,
}

impl Suite {
    fn filter(self) -> String {
        match self {
            Self::Unit => format!("not ({})", named("process|containers|simulation")),
            Self::Process => named("process"),
            Self::Containers => named("containers"),
            Self::Simulation => named("simulation"),
        }
    }

    /// The packages to compile, and how: all steps but the simulation share one build.
    fn build(self) -> &'static [&'static str] {
        match self {
            Self::Simulation => {
                &["--cargo-profile", "simulation", "--package", "replog-simulation", "--test", "simulation"]
            }
            _ => &["--workspace", "--all-targets"],
        }
    }
}

/// Integration tests by how their names begin. As nextest refuses a pattern that fits nothing, each also fits xtask,
/// which is no integration test.
fn named(prefixes: &str) -> String {
    format!("kind(test) & binary(/^({prefixes}|xtask)/)")
}

/// Where the configuration has nextest report each test. Nextest keeps it in the checkout, wherever cargo builds.
const REPORT: &str = "target/nextest/ci/junit.xml";

/// Runs a suite; it fails if it holds no test. What this machine cannot run is left out, told and counted.
///
/// # Errors
/// A test failed or did not end, something does not compile, or there is no test.
pub(super) fn run(suite: Suite) -> Result<Report> {
    let skipped = if matches!(suite, Suite::Process) { abilities::skipped() } else { Vec::new() };
    let left_out: String = skipped.iter().map(|one| format!(" & not binary(={})", one.binary)).collect();
    Program::new("cargo")
        .args(["nextest", "run", "--locked", "--profile", "ci", "--no-tests", "fail"])
        .args(suite.build())
        .args(["--ignore-default-filter", "--filterset", &format!("{}{left_out}", suite.filter())])
        .envs(&environment::variables()?)
        .run()?;
    let mut tests = counts()?;
    for Skipped { binary, why } in &skipped {
        let count = count_of(suite, binary)?;
        println!("SKIPPED: the {count} tests of {binary}: {why:#}");
        tests.add_skipped(count);
    }
    let names: Vec<&str> = skipped.iter().map(|one| one.binary).collect();
    let note = (!names.is_empty()).then(|| format!("{} SKIPPED: see there", names.join(", ")));
    Ok(Report { tests: Some(tests), note })
}

/// How many tests a binary holds that is not run.
fn count_of(suite: Suite, binary: &str) -> Result<usize> {
    let list = Program::new("cargo")
        .args(["nextest", "list", "--locked", "--message-format", "oneline"])
        .args(suite.build())
        .args(["--ignore-default-filter", "--filterset", &format!("binary(={binary})")])
        .read()?;
    Ok(list.lines().count())
}

fn counts() -> Result<Counts> {
    let path = workspace::root().join(REPORT);
    let report = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Counts::of_junit(&report).with_context(|| format!("{} holds no counts", path.display()))
}
