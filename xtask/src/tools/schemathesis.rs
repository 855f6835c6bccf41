//! schemathesis, which holds nodes against the description of their API: a Python package, with all that it needs at
//! pinned versions.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::python;
use crate::process::Program;

const NAME: &str = "schemathesis";

/// The packages and their versions.
const REQUIREMENTS: &str = include_str!("../../../tests/schemathesis/requirements.txt");

/// The schemathesis to test with; none if it was not fetched.
pub(crate) fn find() -> Option<PathBuf> {
    python::find(NAME, REQUIREMENTS).map(|folder| program_in(&folder))
}

/// Fetches it unless it is there. Says so where that is not possible: what needs it is skipped then.
pub(super) fn fetch() {
    match find().map_or_else(make, Ok) {
        Ok(program) => println!("schemathesis is {}", program.display()),
        Err(error) => println!(
            "SKIPPED: schemathesis cannot be had, so that nodes are not held against their description: {error:#}; \
             it needs Python 3.11 or newer with venv (Debian: `apt-get install python3-venv`) and PyPI"
        ),
    }
}

fn make() -> Result<PathBuf> {
    let program = program_in(&python::venv(NAME, REQUIREMENTS)?);
    Program::new(&program).arg("--version").read().context("it does not run with this Python")?;
    Ok(program)
}

fn program_in(folder: &Path) -> PathBuf {
    folder.join("bin/schemathesis")
}
