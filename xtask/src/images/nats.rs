//! The broker's image: the public one, or a stand-in of the same shape around the binary from [`crate::tools`].

use std::fs;

use anyhow::Result;

use crate::{docker, images, tools};

/// The public image that the compose file asks for by default.
pub(crate) const NATS_IMAGE: &str = "nats:2.15.1";

const DOCKERFILE: &str = r#"FROM scratch
COPY nats-server /nats-server
EXPOSE 4222 8222 6222
USER 10001:10001
LABEL replog.stand-in="made by cargo xtask images"
ENTRYPOINT ["/nats-server"]
"#;

/// Makes sure that the image is there.
///
/// # Errors
/// It can be neither pulled nor built.
pub(super) fn make() -> Result<()> {
    if docker::has_image(NATS_IMAGE) || docker::pull(NATS_IMAGE) {
        println!("{NATS_IMAGE} is there");
        return Ok(());
    }
    let folder = images::empty_folder("nats")?;
    images::copy(&tools::nats_server()?, &folder.join("nats-server"))?;
    fs::write(folder.join("Dockerfile"), DOCKERFILE)?;
    docker::build(&folder, &[NATS_IMAGE])?;
    println!("{NATS_IMAGE} is a stand-in made here, under the public name so that the compose file finds it");
    Ok(())
}
