//! Docker and its compose tool, by their command lines.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};

use crate::process::Program;

/// A registry that has not delivered a small image by then is as good as none.
const PULL_LIMIT: Duration = Duration::from_secs(90);

/// A docker command.
pub(crate) fn docker<const N: usize>(args: [&str; N]) -> Program {
    Program::new("docker").args(args)
}

/// Makes sure that there is a docker to talk to.
///
/// # Errors
/// It is not installed, or its engine does not answer: one sentence that says what to do.
pub(crate) fn expect_engine() -> Result<()> {
    docker(["version", "--format", "{{.Server.Version}}"])
        .read()
        .map(drop)
        .context("Docker is needed: install Docker Engine (Debian: `apt-get install docker.io`) and start it")
}

/// Is there an image of this name on this machine?
pub(crate) fn has_image(name: &str) -> bool {
    docker(["image", "inspect", name]).succeeds()
}

/// Pulls an image, or says on the terminal that it cannot be had.
pub(crate) fn pull(name: &str) -> bool {
    match docker(["pull", "--quiet", name]).run_within(PULL_LIMIT) {
        Ok(()) => true,
        Err(error) => {
            println!("{name} cannot be pulled: {error:#}");
            false
        }
    }
}

/// Builds an image of a folder with a Dockerfile in it, under each of these names.
///
/// # Errors
/// The build fails.
pub(crate) fn build(folder: &Path, names: &[&str]) -> Result<()> {
    let tags = names.iter().flat_map(|name| ["--tag", name]);
    Program::new("docker").args(["build", "--quiet"]).args(tags).arg(folder).run()
}

/// The compose tools of this machine: the plugin, the stand-alone program, or both.
///
/// # Errors
/// There is none.
pub(crate) fn compose_tools() -> Result<Vec<Vec<&'static str>>> {
    let mut tools = vec![vec!["docker", "compose"], vec!["docker-compose"]];
    tools.retain(|words| Program::new(words[0]).args(&words[1..]).arg("version").succeeds());
    if tools.is_empty() {
        bail!("Docker's compose tool is needed: install it (Debian: `apt-get install docker-compose`)");
    }
    Ok(tools)
}
