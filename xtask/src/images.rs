//! `cargo xtask images`: every container image that the tests and the compose file need, without asking for a registry.

mod bases;
mod nats;
mod node;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

pub(crate) use self::{nats::NATS_IMAGE, node::TEST_IMAGE};
use crate::{docker, programs::Profile, workspace};

/// Make the container images: pull what can be pulled, make the rest from packages.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Make the image that the Dockerfile starts from instead: to build it where no registry is reached.
    #[arg(long)]
    bases: bool,
}

/// Makes what the compose file needs: nats-server's image if it is missing, the nodes' whenever a program changed.
///
/// # Errors
/// There is no Docker, or an image can be neither pulled nor made.
pub(crate) fn run(args: &Args) -> Result<()> {
    docker::expect_engine()?;
    if args.bases {
        return bases::make();
    }
    nats::make()?;
    node::make(Profile::Dist)
}

/// Makes what the container tests need: the programs in it are those that all tests run.
///
/// # Errors
/// As [`run`].
pub(crate) fn make_for_tests() -> Result<()> {
    docker::expect_engine()?;
    nats::make()?;
    node::make(Profile::Testing)
}

/// An empty folder to build an image from.
fn empty_folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("images").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Copies a file, and says which one if that fails.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = fs::copy(from, to);
    copied.map(drop).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
