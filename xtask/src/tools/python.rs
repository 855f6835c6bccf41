//! Virtual environments: Python packages at pinned versions, for one purpose each, apart from those of the system.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Result;

use super::{install_debian, python};
use crate::{process::Program, workspace};

/// At most some 40 MB.
const INSTALL_LIMIT: Duration = Duration::from_secs(180);

/// Where an environment notes what it was made from.
const NOTE: &str = "requirements.txt";

/// A virtual environment of this name among the tools, with exactly these packages, made unless it is there. Gives its
/// folder. `requirements` is a file for pip, with all versions; if one has a hash, all must.
///
/// # Errors
/// Python has no venv and only root may install it, or a package cannot be had.
pub(super) fn venv(name: &str, requirements: &str) -> Result<PathBuf> {
    if let Some(folder) = find(name, requirements) {
        return Ok(folder);
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
    Program::new(folder.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary=:all:", "--requirement"])
        .arg(&wanted)
        .run_within(INSTALL_LIMIT)?;
    // What it was made from is noted last: before that it is none.
    fs::rename(wanted, folder.join(NOTE))?;
    Ok(folder)
}

/// Its folder; none if it was not made, or of other packages.
pub(super) fn find(name: &str, requirements: &str) -> Option<PathBuf> {
    let folder = workspace::tools().join(name);
    let made_of = fs::read_to_string(folder.join(NOTE)).ok()?;
    (made_of == requirements).then_some(folder)
}
