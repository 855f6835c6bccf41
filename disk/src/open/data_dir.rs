//! The directory of one node.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    error::Failed,
    files::{DirLock, Files, RealFiles},
    format::start_of,
};

/// A data directory, kept to this process until its last clone is dropped. Stores and node files hold one.
///
/// | name | holds |
/// | --- | --- |
/// | `node.json` | what a node must not forget ([`crate::NodeFile`]) |
/// | `log/` | the segments |
/// | `quarantine/` | what was cut; never read again by this program |
/// | `lock` | locked as long as a process has the directory |
#[derive(Clone, Debug)]
pub struct DataDir {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) root: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) quarantine: PathBuf,
    _lock: Arc<DirLock>,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{} is in use by another process", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The file system refused.
    #[error("{0}")]
    Io(String),
}

impl From<Failed> for DataDirError {
    fn from(failed: Failed) -> DataDirError {
        DataDirError::Io(failed.to_string())
    }
}

impl DataDir {
    /// Takes a directory, which is created if need be.
    ///
    /// # Errors
    /// Another process has it, or the file system refused.
    pub fn open(root: &Path) -> Result<DataDir, DataDirError> {
        DataDir::on(Arc::new(RealFiles), root)
    }

    /// The same on other files, for tests.
    ///
    /// # Errors
    /// As [`DataDir::open`].
    pub fn on(files: Arc<dyn Files>, root: &Path) -> Result<DataDir, DataDirError> {
        create_all(&*files, root)?;
        let lock = root.join("lock");
        let locked = files.lock(&lock).map_err(Failed::creating(&lock))?;
        let _lock = locked.ok_or_else(|| DataDirError::InUse { dir: root.to_owned() })?.into();
        let (log, quarantine) = (root.join("log"), root.join("quarantine"));
        let dir = DataDir { files, root: root.to_owned(), log, quarantine, _lock };
        dir.create(&dir.log)?;
        Ok(dir)
    }

    /// Creates a directory in it, durable.
    pub(crate) fn create(&self, dir: &Path) -> Result<(), Failed> {
        create_all(&*self.files, dir)
    }

    /// The segments, in order. Other files are left alone.
    pub(crate) fn segments(&self) -> Result<Vec<PathBuf>, Failed> {
        let mut names = self.files.list(&self.log).map_err(Failed::reading(&self.log))?;
        names.retain(|name| start_of(name).is_some());
        names.sort_unstable();
        Ok(names.iter().map(|name| self.log.join(name)).collect())
    }
}

/// Creates a directory and those above it that are missing. Their names are durable when it returns: a directory
/// whose own name is lost takes all that is in it along.
fn create_all(files: &dyn Files, dir: &Path) -> Result<(), Failed> {
    let Some(parent) = dir.parent() else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let created = match files.create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_all(files, parent)?;
            files.create_dir(dir)
        }
        created => created,
    };
    // A process that died may have created it and not synced its name: it is synced although it was there.
    let was_there = !created.map_err(Failed::creating(dir))?;
    match files.sync_dir(parent) {
        Err(error) if was_there && is_not_ours(error.kind()) => Ok(()),
        synced => synced.map_err(Failed::syncing(parent)),
    }
}

/// A directory that an operator made may lie in one that this process may not open, or of a file system of another kind.
const fn is_not_ours(error: io::ErrorKind) -> bool {
    matches!(
        error,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::InvalidInput
    )
}
