//! The steps that cargo nextest runs: each test belongs to exactly one of them, by the name of its binary.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{
    process::Program,
    test::{counts::Counts, environment, summary::Report},
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
                &["--cargo-profile", "simulation", "--package", "replog-tests", "--test", "simulation*"]
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

/// Runs a suite; it fails if it holds no test.
///
/// # Errors
/// A test failed or did not end, something does not compile, or there is no test.
pub(super) fn run(suite: Suite) -> Result<Report> {
    Program::new("cargo")
        .args(["nextest", "run", "--locked", "--profile", "ci", "--no-tests", "fail"])
        .args(suite.build())
        .args(["--ignore-default-filter", "--filterset", &suite.filter()])
        .envs(&environment::variables()?)
        .run()?;
    Ok(Report { tests: Some(counts()?), note: None })
}

fn counts() -> Result<Counts> {
    let path = workspace::root().join(REPORT);
    let report = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Counts::of_junit(&report).with_context(|| format!("{} holds no counts", path.display()))
}
