//! The nodes' image, as the Dockerfile makes it, but around programs that cargo built on this machine: seconds
//! instead of minutes.

use std::fs;

use anyhow::Result;

use crate::{docker, images, process::Program, programs, workspace};

/// What container tests run.
pub(crate) const NODE_IMAGE: &str = "replog-node:dev";

/// What the compose file runs.
const COMPOSE_IMAGE: &str = "replog:dev";

const DOCKERFILE: &str = r#"FROM scratch
COPY programs /
COPY --chown=10001:10001 data /data
USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["/replog"]
"#;

/// Makes the image anew; Docker's cache knows when the programs are the same as before.
///
/// # Errors
/// The programs are not built, or Docker fails.
pub(super) fn make() -> Result<()> {
    if programs::host_triple()?.ends_with("-linux-gnu") {
        from_programs()?;
    } else {
        from_sources()?;
    }
    println!("{NODE_IMAGE} is up to date; the compose file finds it as {COMPOSE_IMAGE}");
    Ok(())
}

fn from_programs() -> Result<()> {
    let folder = images::empty_folder("node")?;
    fs::create_dir(folder.join("programs"))?;
    fs::create_dir(folder.join("data"))?;
    for name in programs::NAMES {
        images::copy(&programs::folder()?.join(name), &folder.join("programs").join(name))?;
    }
    fs::write(folder.join("Dockerfile"), DOCKERFILE)?;
    docker::build(&folder, &[NODE_IMAGE, COMPOSE_IMAGE])
}

/// Where programs built here would not run in a Linux container: the Dockerfile builds them inside.
fn from_sources() -> Result<()> {
    let profile = format!("PROFILE={}", programs::PROFILE);
    let tags = ["--tag", NODE_IMAGE, "--tag", COMPOSE_IMAGE];
    Program::new("docker").args(["build", "--build-arg", &profile]).args(tags).arg(workspace::root()).run()
}
