//! The nodes' image, as the Dockerfile makes it, but around programs that cargo built on this machine: what is fresh
//! there is not built a second time.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::{
    docker, images,
    process::Program,
    programs::{self, Profile},
    workspace,
};

/// What container tests run.
pub(crate) const TEST_IMAGE: &str = "replog-node:testing";

/// What the compose file runs.
const COMPOSE_IMAGE: &str = "replog:dev";

/// The most that an image for people may have: three programs and nothing else. Debug information or a base image
/// that slipped in would be several times as much.
const MAX_IMAGE_BYTES: u64 = 40_000_000;

const DOCKERFILE: &str = r#"FROM scratch
COPY programs /
COPY --chown=10001:10001 data /data
USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["/replog"]
"#;

/// Makes the image of this profile's programs anew; Docker's cache knows when they are the same as before.
///
/// # Errors
/// The programs do not compile, Docker fails, or the image for people is larger than it may be.
pub(super) fn make(profile: Profile) -> Result<()> {
    let image = match profile {
        Profile::Testing => TEST_IMAGE,
        Profile::Dist => COMPOSE_IMAGE,
    };
    if programs::host_triple()?.ends_with("-linux-gnu") {
        from_programs(profile, image)?;
    } else {
        from_sources(profile, image)?;
    }
    let bytes = size(image)?;
    println!("{image} is up to date: {} MB", bytes / 1_000_000);
    let fits = profile == Profile::Testing || bytes < MAX_IMAGE_BYTES;
    ensure!(
        fits,
        "{image} has {bytes} bytes, and must stay below {MAX_IMAGE_BYTES}: see what slipped into it"
    );
    Ok(())
}

fn from_programs(profile: Profile, image: &str) -> Result<()> {
    programs::build(profile)?;
    let folder = images::empty_folder("node")?;
    fs::create_dir(folder.join("programs"))?;
    fs::create_dir(folder.join("data"))?;
    for name in programs::NAMES {
        images::copy(&programs::folder(profile)?.join(name), &folder.join("programs").join(name))?;
    }
    fs::write(folder.join("Dockerfile"), DOCKERFILE)?;
    docker::build(&folder, &[image])
}

/// Where programs built here would not run in a Linux container: the Dockerfile builds them inside.
fn from_sources(profile: Profile, image: &str) -> Result<()> {
    let profile = format!("PROFILE={}", profile.name());
    let flags = ["build", "--build-arg", &profile, "--tag", image];
    Program::new("docker").args(flags).arg(workspace::root()).run()
}

fn size(image: &str) -> Result<u64> {
    let bytes = docker::docker(["image", "inspect", "--format", "{{.Size}}", image]).read()?;
    bytes.trim().parse().with_context(|| format!("docker gives no size of {image}: {bytes:?}"))
}
