//! Data directories from outside: what stands in them, and how it is spoilt.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Bytes before the first frame of a segment (docs/FORMAT.md).
pub const HEADER_BYTES: usize = 64;

/// Bytes of a frame before its line.
pub const FRAME_HEADER_BYTES: usize = 16;

/// Bytes of a record of what was synced.
const RECORD_BYTES: usize = 32;

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
    /// Reads one.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn read(path: PathBuf) -> Segment {
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

    /// The last frame of a line.
    ///
    /// # Panics
    /// There is none.
    pub fn last_frame(&self) -> Range<usize> {
        self.frames.last().cloned().expect("the segment holds a line")
    }

    /// The last record of what was synced, if it stands behind all lines.
    pub fn closing_record(&self) -> Option<Range<usize>> {
        self.records.last().cloned().filter(|record| record.start >= self.last_frame().end)
    }

    /// Where the part begins that a byte belongs to: header, frame or record; none: behind them all.
    pub fn part_at(&self, at: usize) -> Option<usize> {
        let header = 0..HEADER_BYTES;
        let mut parts = [&header].into_iter().chain(&self.frames).chain(&self.records);
        parts.find(|part| part.contains(&at)).map(|part| part.start)
    }
}

/// A data directory as it was at some moment.
#[derive(Debug)]
pub struct Snapshot {
    directory: PathBuf,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Snapshot {
    /// Takes one of a directory that nobody uses.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn of(directory: PathBuf) -> Snapshot {
        let mut files = Vec::new();
        let mut folders = vec![directory.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a data directory can be listed") {
                let path = entry.expect("a data directory can be listed").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).expect("a file can be read");
                    files.push((path, bytes));
                }
            }
        }
        Snapshot { directory, files }
    }

    /// Makes the directory again what it was.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn restore(&self) {
        fs::remove_dir_all(&self.directory).expect("a data directory can be removed");
        for (path, bytes) in &self.files {
            let folder = path.parent().expect("a file is in a folder");
            fs::create_dir_all(folder).expect("a folder can be made");
            fs::write(path, bytes).expect("a file can be written");
        }
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

/// Leaves only the first `length` bytes of a file.
///
/// # Panics
/// It cannot be written.
pub fn truncate(path: &Path, length: usize) {
    let bytes = fs::read(path).expect("the file can be read");
    fs::write(path, &bytes[..length]).expect("the file can be written");
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
