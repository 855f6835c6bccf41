//! The image that the Dockerfile starts from, where no registry has it: Debian by `debootstrap`, and on top of it
//! this machine's own Rust toolchain.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{docker, images, process::Program};

/// What the Dockerfile starts from.
const RUST_IMAGE: &str = "rust:1.95-slim-bookworm";
const RUST_VERSION: &str = "1.95.";

/// What the stand-in for it starts from.
const DEBIAN_IMAGE: &str = "replog-debian:bookworm";

/// What a C compiler and TLS need, beyond the smallest Debian.
const DEBIAN_PACKAGES: &str = "ca-certificates,gcc,libc6-dev";

/// Where Debian keeps the authorities that it trusts.
const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Makes sure that it is there.
///
/// # Errors
/// It can be neither pulled nor made here: that takes root, `debootstrap` and Rust 1.95.
pub(super) fn make() -> Result<()> {
    if docker::has_image(RUST_IMAGE) || docker::pull(RUST_IMAGE) {
        println!("{RUST_IMAGE} is there");
        return Ok(());
    }
    if !docker::has_image(DEBIAN_IMAGE) {
        make_debian()?;
    }
    make_rust()
}

fn make_debian() -> Result<()> {
    let folder = images::empty_folder("debian")?;
    let (root, archive) = (folder.join("root"), folder.join("root.tar"));
    let include = format!("--include={DEBIAN_PACKAGES}");
    Program::new("debootstrap").args(["--variant=minbase", &include, "bookworm"]).arg(&root).run()?;
    trust_like_this_machine(&root)?;
    Program::new("tar")
        .arg("--create")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(&root)
        .arg(".")
        .run()?;
    Program::new("docker").arg("import").arg(&archive).arg(DEBIAN_IMAGE).run()?;
    Ok(fs::remove_dir_all(&folder)?)
}

/// Where TLS goes through a proxy, a build inside the image has to trust what this machine trusts.
fn trust_like_this_machine(root: &Path) -> Result<()> {
    let bundle = env::var_os("SSL_CERT_FILE").map_or(PathBuf::from(CA_BUNDLE), PathBuf::from);
    images::copy(&bundle, &root.join(CA_BUNDLE.trim_start_matches('/')))
}

fn make_rust() -> Result<()> {
    let toolchain = PathBuf::from(Program::new("rustc").args(["--print", "sysroot"]).read()?);
    let version = Program::new("rustc").arg("--version").read()?;
    let fits = version.starts_with(&format!("rustc {RUST_VERSION}"));
    ensure!(fits, "{RUST_IMAGE} can only be made from Rust {RUST_VERSION}x, and this is {version}");
    let folder = images::empty_folder("rust")?;
    copy_toolchain(&toolchain, &folder.join("toolchain"))?;
    fs::write(folder.join("Dockerfile"), rust_dockerfile())?;
    docker::build(&folder, &[RUST_IMAGE])?;
    fs::remove_dir_all(&folder)?;
    println!(
        "ATTENTION: {RUST_IMAGE} is NOT the public image, but Debian bookworm with this machine's {version}"
    );
    Ok(())
}

/// Without documentation and sources, which make up most of it.
fn copy_toolchain(from: &Path, to: &Path) -> Result<()> {
    for part in ["bin", "lib"] {
        fs::create_dir_all(to.join(part))?;
        let source = from.join(part).join(".");
        let copy = Program::new("cp").arg("--archive").arg(&source).arg(to.join(part));
        copy.run().with_context(|| format!("cannot copy {}", source.display()))?;
    }
    let sources = to.join("lib/rustlib/src");
    if sources.exists() { Ok(fs::remove_dir_all(sources)?) } else { Ok(()) }
}

fn rust_dockerfile() -> String {
    format!(
        "FROM {DEBIAN_IMAGE}\n\
         COPY toolchain /usr/local\n\
         ENV SSL_CERT_FILE={CA_BUNDLE} CARGO_HTTP_CAINFO={CA_BUNDLE} CARGO_HOME=/usr/local/cargo\n\
         RUN ldconfig && cargo --version\n\
         LABEL replog.stand-in=\"made by cargo xtask images --bases\"\n"
    )
}
