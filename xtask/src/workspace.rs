//! The folders that the chores read and write.

use std::{env, path::PathBuf};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or(manifest.clone(), PathBuf::from)
}

/// Where cargo builds: the one target folder that every chore shares.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Where [`crate::tools`] puts what it fetches.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}
