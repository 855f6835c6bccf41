//! The programs of this project as the tests run them.
//!
//! They are linked statically, so that one build serves both as processes on this machine and in images that hold
//! nothing else. A `--target` of its own keeps that build apart: the other flags rebuild nothing of the ordinary one.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{process::Program, workspace};

/// The programs, by the names of their files.
pub(crate) const NAMES: [&str; 3] = ["replog-master", "replog-secondary", "replog"];

const PACKAGES: [&str; 3] = ["replog-master", "replog-secondary", "replog-cli"];

/// How they are built: a profile of Cargo.toml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick enough to be tested under load, and built in a fraction of the time of [`Profile::Dist`].
    Testing,
    /// What people run.
    Dist,
}

impl Profile {
    /// Its name in Cargo.toml, which is also that of its folder.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Profile::Testing => "testing",
            Profile::Dist => "dist",
        }
    }
}

/// Builds them; cargo knows what is fresh.
///
/// # Errors
/// They do not compile.
pub(crate) fn build(profile: Profile) -> Result<()> {
    let flags = ["build", "--locked", "--profile", profile.name(), "--target", &host_triple()?];
    let mut cargo = Program::new("cargo").args(flags);
    for package in PACKAGES {
        cargo = cargo.args(["--package", package]);
    }
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").run()
}

/// The folder that holds them once they are built.
///
/// # Errors
/// rustc cannot be asked.
pub(crate) fn folder(profile: Profile) -> Result<PathBuf> {
    Ok(workspace::target().join(host_triple()?).join(profile.name()))
}

/// What this machine's rustc builds for, such as `x86_64-unknown-linux-gnu`.
///
/// # Errors
/// rustc is not installed, or does not say.
pub(crate) fn host_triple() -> Result<String> {
    let version = Program::new("rustc").arg("-vV").read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}
