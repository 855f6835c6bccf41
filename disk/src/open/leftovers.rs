//! What a process that died was about to put into place.

use std::io;

use super::DataDir;
use crate::{error::Failed, format::TEMPORARY_SUFFIX};

/// Removes the unfinished files of earlier processes: nothing refers to them, and they take room that a start may
/// need.
///
/// # Errors
/// The file system refused.
pub(super) fn remove(dir: &DataDir) -> Result<(), Failed> {
    for folder in [&dir.root, &dir.log, &dir.quarantine] {
        let names = match dir.files.list(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            names => names.map_err(Failed::reading(folder))?,
        };
        for name in names.iter().filter(|name| name.ends_with(TEMPORARY_SUFFIX)) {
            let path = folder.join(name);
            dir.files.remove(&path).map_err(Failed::removing(&path))?;
        }
    }
    Ok(())
}
