//! promtool, which knows what Prometheus makes of metrics and rules: out of Debian's package, which is unpacked and
//! not installed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{process, process::Program, workspace};

/// Debian's package that has it.
const PACKAGE: &str = "prometheus";

/// The package is 20 MB.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(120);

/// The promtool to check with: the one that was fetched, else one found on `PATH`; none if there is none.
pub(crate) fn find() -> Option<PathBuf> {
    let fetched = workspace::tools().join("promtool");
    if fetched.is_file() { Some(fetched) } else { process::find("promtool") }
}

/// Fetches it unless there is one. Says so where that is not possible: what needs it is skipped then.
pub(super) fn fetch() {
    match find().map_or_else(download, Ok) {
        Ok(promtool) => println!("promtool is {}", promtool.display()),
        Err(error) => println!(
            "SKIPPED: promtool cannot be had, so that rules and metrics are not checked by it: {error:#}; install it \
             (Debian: `apt-get install prometheus`), or refresh the package lists (`apt-get update`)"
        ),
    }
}

/// Downloads the package by apt, which checks its signature, and takes the program out of it.
fn download() -> Result<PathBuf> {
    let folder = workspace::tools().join(PACKAGE);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Program::new("apt-get")
        .args(["--quiet", "download", PACKAGE])
        .folder(&folder)
        .run_within(DOWNLOAD_LIMIT)?;
    let unpacked = folder.join("unpacked");
    Program::new("dpkg-deb")
        .arg("--extract")
        .arg(package_in(&folder)?)
        .arg(&unpacked)
        .folder(&folder)
        .run()?;
    let promtool = workspace::tools().join("promtool");
    super::install(&unpacked.join("usr/bin/promtool"), &promtool)?;
    fs::remove_dir_all(&folder)?;
    Ok(promtool)
}

fn package_in(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let package = files.find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    package.with_context(|| format!("apt-get left no package in {}", folder.display()))
}
