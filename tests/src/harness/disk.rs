//! Data directories from outside: what stands in them, and how it is spoilt.

use std::{
    fs,
    io::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Bytes before the first frame of a segment (docs/FORMAT.md).
const HEADER_BYTES: usize = 64;

/// Bytes of a frame before its line.
const FRAME_HEADER_BYTES: usize = 16;

/// Bytes of a record of what was synced.
const RECORD_BYTES: usize = 32;

/// What a file system in memory gives out at a time, or more.
const PAGE_BYTES: usize = 4096;

/// What stands in place of the bytes of a line in such a record.
const RECORD: u32 = u32::MAX;

/// The bit that says that the next line belongs to the same run.
const RUN_GOES_ON: u32 = 1 << 31;

/// One segment of a node that is stopped, and where its parts lie.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The file.
    pub path: PathBuf,
    /// The lines' frames, in order.
    pub frames: Vec<Range<usize>>,
    /// The records of what was synced, in order.
    pub records: Vec<Range<usize>>,
    /// What stands in the file.
    pub bytes: Vec<u8>,
}

impl Segment {
    /// The first segment of the log in a data directory.
    ///
    /// # Panics
    /// There is none.
    pub fn first(directory: &Path) -> Segment {
        let path = segments(directory).into_iter().next().expect("the log has a segment");
        let bytes = fs::read(&path).expect("a segment can be read");
        let (mut frames, mut records, mut at) = (Vec::new(), Vec::new(), HEADER_BYTES);
        while let Some(length) = bytes.get(at + 4..at + 8) {
            let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
            if length == 0 {
                break;
            }
            let (end, parts) = match length {
                RECORD => (at + RECORD_BYTES, &mut records),
                line => (at + FRAME_HEADER_BYTES + (line & !RUN_GOES_ON) as usize, &mut frames),
            };
            parts.push(at..end);
            at = end;
        }
        Segment { path, frames, records, bytes }
    }

    /// Leaves only the first `length` bytes of the file.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn truncate(&self, length: usize) {
        fs::write(&self.path, &self.bytes[..length]).expect("a segment can be written");
    }

    /// Writes the file as it is here, with one bit of the byte at `at` flipped.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn flip(&self, at: usize) {
        self.restore();
        flip(&self.path, at);
    }

    /// Writes the file as it is here, and more bytes behind it.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn extend(&self, more: &[u8]) {
        fs::write(&self.path, [&self.bytes, more].concat()).expect("a segment can be written");
    }

    /// Writes the file as it is here.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn restore(&self) {
        self.extend(&[]);
    }
}

/// The segments of the log in a data directory, in order.
///
/// # Panics
/// It holds no log.
pub fn segments(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory.join("log")).expect("a data directory has a log");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a log can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths
}

/// Flips one bit of a file.
///
/// # Panics
/// The file has no such byte.
pub fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the file can be read");
    bytes[at] ^= 0b100;
    fs::write(path, bytes).expect("the file can be written");
}

/// What a node must not forget, as it stands in its directory.
///
/// # Panics
/// It is not there, or no JSON.
pub fn node_json(directory: &Path) -> Value {
    let bytes = fs::read(directory.join("node.json")).expect("the node has been started there");
    serde_json::from_slice(&bytes).expect("node.json is JSON")
}

/// All that is kept in quarantine in a data directory, as text.
///
/// # Panics
/// It cannot be read.
pub fn quarantine(directory: &Path) -> String {
    let Ok(files) = fs::read_dir(directory.join("quarantine")) else { return String::new() };
    let content = files.map(|file| fs::read(file.expect("it can be listed").path()).expect("it can be read"));
    content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

/// A file system of a few bytes, in memory. Dropping it takes it away.
#[derive(Debug)]
pub struct SmallDisk {
    place: PathBuf,
}

impl SmallDisk {
    /// Mounts one at `place`, which is created if need be.
    ///
    /// # Panics
    /// This process may not mount.
    pub fn mount(place: PathBuf, bytes: usize) -> SmallDisk {
        fs::create_dir_all(&place).expect("a folder can be made");
        let size = format!("size={bytes}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "replog-test"]).arg(&place).output();
        let why = match mounted {
            Ok(output) if output.status.success() => return SmallDisk { place },
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        panic!(
            "a small disk cannot be mounted ({why}): run the tests as root, in a container with CAP_SYS_ADMIN"
        );
    }

    /// A file that takes so many bytes of it, until it is removed.
    ///
    /// # Panics
    /// There is no such room.
    pub fn ballast(&self, bytes: usize) -> PathBuf {
        let path = self.place.join("ballast");
        fs::write(&path, vec![1; bytes]).expect("there is room for the ballast");
        path
    }

    /// A file that takes all that is left of it, until it is removed.
    ///
    /// # Panics
    /// It cannot be created.
    pub fn fill(&self) -> PathBuf {
        let path = self.place.join("filler");
        let mut file = fs::File::create(&path).expect("a file of nothing needs no room");
        while file.write_all(&[1; PAGE_BYTES]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process may be using it still, and goes with the cluster.
        let _goes_with_the_machine = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}
