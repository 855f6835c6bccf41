//! What the log needs of a file system, so that tests can put a disk that fails in its place.

mod real;
mod shortage;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated;

use std::{any::Any, fmt::Debug, io, path::Path, sync::Arc};

pub use real::RealFiles;

/// Keeps a directory to this process until it is dropped.
pub type DirLock = Box<dyn Any + Send + Sync>;

/// A file system. Nothing it does to names is durable before [`Files::sync_dir`].
pub trait Files: Debug + Send + Sync + 'static {
    /// Creates a file, or empties the one of that name.
    ///
    /// # Errors
    /// As the file system.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file that exists, to read and to write.
    ///
    /// # Errors
    /// As the file system.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// As the file system.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates a directory in one that exists. Whether it did: one that is there already is no error.
    ///
    /// # Errors
    /// As the file system.
    fn create_dir(&self, dir: &Path) -> io::Result<bool>;

    /// Gives a file another name, in place of the file that had it.
    ///
    /// # Errors
    /// As the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the file system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes all names in a directory durable.
    ///
    /// # Errors
    /// As the file system.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes a lock on a file, which is created if need be; `None` if another process has it.
    ///
    /// # Errors
    /// As the file system.
    fn lock(&self, path: &Path) -> io::Result<Option<DirLock>>;
}

/// An open file. Its owner has it at hand while it is renamed or removed.
pub trait File: Debug + Send + Sync + 'static {
    /// Reads some bytes; 0 at the end.
    ///
    /// # Errors
    /// As the file system.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some of the bytes, at least one.
    ///
    /// # Errors
    /// As the file system.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts it, or extends it with zeros.
    ///
    /// # Errors
    /// As the file system.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Its length in bytes.
    ///
    /// # Errors
    /// As the file system.
    fn length(&self) -> io::Result<u64>;

    /// Makes content and length durable (`fdatasync`). After an error nobody knows what is on the disk, and
    /// the next call may report success: never to be tried again.
    ///
    /// # Errors
    /// As the file system.
    fn sync(&self) -> io::Result<()>;
}

/// Reads until the buffer is full or the file ends; how many bytes it got.
///
/// # Errors
/// As the file system.
pub(crate) fn read_full(file: &dyn File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of the bytes: a short write is continued.
///
/// # Errors
/// As the file system; then any part of them may have been written.
pub(crate) fn write_full(file: &dyn File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
