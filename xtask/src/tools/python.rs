//! Virtual environments: Python packages at pinned versions, for one purpose each, apart from those of the system.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use super::{install_debian, python};
use crate::{process::Program, workspace};

/// Some megabytes.
const INSTALL_LIMIT: Duration = Duration::from_secs(180);

/// Where an environment notes what it was made from.
const NOTE: &str = "requirements.txt";

/// A virtual environment of this name among the tools, with exactly these packages, made unless it is there. Gives its
/// interpreter. `requirements` is a file for pip, with a hash for each package.
///
/// # Errors
/// Python has no venv and only root may install it, or a package cannot be had.
pub(super) fn venv(name: &str, requirements: &str) -> Result<PathBuf> {
    if let Some(interpreter) = find(name, requirements) {
        return Ok(interpreter);
    }
    let folder = workspace::tools().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    if !python("ensurepip").arg("--version").succeeds() {
        install_debian(&["python3-venv"])?;
    }
    python("venv").arg(&folder).run()?;
    let wanted = folder.join("wanted.txt");
    fs::write(&wanted, requirements)?;
    Program::new(interpreter_in(&folder))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement"])
        .arg(&wanted)
        .run_within(INSTALL_LIMIT)?;
    // What it was made from is noted last: before that it is none.
    fs::rename(wanted, folder.join(NOTE))?;
    Ok(interpreter_in(&folder))
}

/// Its interpreter; none if it was not made, or of other packages.
pub(super) fn find(name: &str, requirements: &str) -> Option<PathBuf> {
    let folder = workspace::tools().join(name);
    let made_of = fs::read_to_string(folder.join(NOTE)).ok()?;
    (made_of == requirements).then(|| interpreter_in(&folder))
}

fn interpreter_in(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}
