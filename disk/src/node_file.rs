//! What a node must not forget: `node.json`.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use replog_shared::{Durability, Epoch, LogId, NodeName, json};
use serde::{Deserialize, Serialize};

use crate::{
    error::Failed,
    files::{read_full, write_full},
    open::{DataDir, LogEnd},
};

/// Where the operating system tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What a node knows of itself across restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The version of this file's format.
    pub format: u32,
    /// Whose directory it is.
    pub node: NodeName,
    /// Which log it holds; none while it holds none.
    pub log_id: Option<LogId>,
    /// The highest epoch that the node promised or followed; none before the first.
    pub fence: Option<Epoch>,
    /// Whether the node has once held all that its master held when it joined, since it was created, emptied
    /// or lost its end. Only whole nodes count in a promotion.
    pub whole: bool,
    /// The epoch of a clean that this node began as master and that may not be done; none while there is none.
    /// Absent below version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleaning: Option<Epoch>,
    /// The level at which the log was last written.
    pub durability: Durability,
    /// The boot in which the log was last written below level `disk`; empty if the system does not tell.
    pub boot_id: String,
    /// Whether it was closed since.
    pub clean_stop: bool,
    /// Where the log ended when it was closed; none once the log may have been written to again. Absent in
    /// version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_end: Option<LogEnd>,
}

impl NodeFacts {
    /// The version of the file that this program writes. It refuses files above.
    pub const FORMAT: u32 = 3;
}

/// Why `node.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeFileError {
    /// The directory is another node's: two were swapped, or one was copied.
    #[error("{} belongs to node {found}, and this node is called {expected}", path.display())]
    AnotherNode {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: NodeName,
        /// Who asked.
        expected: NodeName,
    },
    /// A newer program wrote it.
    #[error("{} has format version {found}, and this program knows versions up to {}", path.display(), NodeFacts::FORMAT)]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It is no node file any more. Nothing can be guessed: a forgotten promise could break others' logs.
    #[error("{} is damaged, and what it said cannot be guessed ({reason}): restore all of the directory from a copy if there is no other node", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// The file system refused.
    #[error("{0}")]
    Io(String),
}

impl From<Failed> for NodeFileError {
    fn from(failed: Failed) -> NodeFileError {
        NodeFileError::Io(failed.to_string())
    }
}

/// `node.json` of an open data directory. From [`NodeFile::begin_run`] on, what it holds is what is on the disk, at every
/// durability level.
#[derive(Debug)]
pub struct NodeFile {
    dir: DataDir,
    facts: NodeFacts,
    tail_may_be_missing: bool,
    /// The level and the boot of the run that begins.
    level: Durability,
    boot_id: String,
}

impl NodeFile {
    /// Reads the node's file; where there is none, the node is blank: without a log, not whole. Nothing is changed
    /// before [`NodeFile::begin_run`].
    ///
    /// # Errors
    /// It is another node's, damaged, or of a newer format; or the file system refused.
    pub fn open(dir: &DataDir, node: &NodeName, level: Durability) -> Result<NodeFile, NodeFileError> {
        NodeFile::open_in_boot(dir, node, level, this_boot())
    }

    /// The same in a boot that the caller names, for tests.
    ///
    /// # Errors
    /// As [`NodeFile::open`].
    pub fn open_in_boot(
        dir: &DataDir,
        node: &NodeName,
        level: Durability,
        boot_id: String,
    ) -> Result<NodeFile, NodeFileError> {
        let blank = NodeFacts {
            format: NodeFacts::FORMAT,
            node: node.clone(),
            log_id: None,
            fence: None,
            whole: false,
            cleaning: None,
            durability: level,
            boot_id: boot_id.clone(),
            clean_stop: true,
            log_end: None,
        };
        let facts = read(dir)?.unwrap_or(blank);
        if facts.node != *node {
            let (path, expected) = (path_in(dir), node.clone());
            return Err(NodeFileError::AnotherNode { path, found: facts.node, expected });
        }
        let survived = facts.clean_stop || (facts.boot_id == boot_id && !boot_id.is_empty());
        let tail_may_be_missing = facts.durability < Durability::Disk && !survived;
        Ok(NodeFile { dir: dir.clone(), facts, tail_may_be_missing, level, boot_id })
    }

    /// Lowers what the file claims of the log, durably, before anything is done to that: it is in use, so that the
    /// next start knows if this run did not end well; where it ended tells nothing any more; and it is not whole if it
    /// `loses` what had been on the disk, or may have. Where it loses something, it is still told where it ended: a start
    /// that dies within the repair is followed by one that knows what is missing.
    ///
    /// # Errors
    /// As [`NodeFile::update`].
    pub fn begin_run(&mut self, loses: bool) -> Result<(), NodeFileError> {
        let (level, boot_id) = (self.level, self.boot_id.clone());
        let lost = loses || self.tail_may_be_missing;
        self.update(|facts| {
            facts.format = NodeFacts::FORMAT;
            facts.whole &= !lost;
            // A log that was not closed is as durable as its last run left it until it is open.
            let claimed = if facts.clean_stop { level } else { facts.durability.min(level) };
            // Of a log at level disk it is not asked which boot it was.
            if claimed < Durability::Disk {
                facts.boot_id = boot_id;
            }
            facts.durability = claimed;
            facts.clean_stop = false;
            if !loses {
                facts.log_end = None;
            }
        })
    }

    /// Notes that the log is open, and all that it holds is on the disk. To be called before anything is appended.
    ///
    /// # Errors
    /// As [`NodeFile::update`].
    pub fn on_log_open(&mut self) -> Result<(), NodeFileError> {
        let level = self.level;
        if self.facts.durability == level && self.facts.log_end.is_none() {
            return Ok(());
        }
        self.update(|facts| (facts.durability, facts.log_end) = (level, None))
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        path_in(&self.dir)
    }

    /// The directory that it is in.
    pub const fn dir(&self) -> &DataDir {
        &self.dir
    }

    /// What the node knows.
    pub fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    /// Whether the machine went down while the log was written below level `disk`: its end may be missing, and
    /// the node is not whole any more.
    pub fn tail_may_be_missing(&self) -> bool {
        self.tail_may_be_missing
    }

    /// Changes the facts, durably when it returns. Where nothing changes they are written all the same: what a process
    /// that died had put there may not be on the disk.
    ///
    /// # Errors
    /// The file system refused: the facts here are unchanged, those on the disk are the old ones or the new
    /// ones. The node has to stop.
    pub fn update(&mut self, change: impl FnOnce(&mut NodeFacts)) -> Result<(), NodeFileError> {
        let mut facts = self.facts.clone();
        change(&mut facts);
        match write(&self.dir, &facts) {
            Err(failed) if failed.is_for_want_of_room() && read(&self.dir)?.as_ref() == Some(&facts) => {
                write_again(&self.dir)?;
            }
            written => written?,
        }
        self.facts = facts;
        Ok(())
    }

    /// Notes that the node stopped well, with a log that ends at `end`: to be called behind
    /// [`replog_shared::store::Store::close`].
    ///
    /// # Errors
    /// As [`NodeFile::update`].
    pub fn close(mut self, end: LogEnd) -> Result<(), NodeFileError> {
        self.update(|facts| (facts.clean_stop, facts.log_end) = (true, Some(end)))
    }
}

/// Where the log in a data directory ended when it was closed, whichever node's it is: for
/// [`crate::OpenOptions::closed_at`]. None if it was not closed, or was begun by another program.
///
/// # Errors
/// `node.json` is damaged or of a newer format, or the file system refused.
pub fn recorded_end(dir: &DataDir) -> Result<Option<LogEnd>, NodeFileError> {
    Ok(read(dir)?.and_then(|facts| facts.log_end))
}

fn path_in(dir: &DataDir) -> PathBuf {
    dir.root.join("node.json")
}

/// The facts as they are in the file, with a checksum over their JSON without it: a flipped bit in a number
/// is valid JSON, too.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    facts: NodeFacts,
    crc32: u32,
}

impl Stored {
    fn of(facts: &NodeFacts) -> Stored {
        let crc32 = crc32fast::hash(&json::encode(facts));
        Stored { facts: facts.clone(), crc32 }
    }
}

/// Only the version, whatever else the file has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

fn read(dir: &DataDir) -> Result<Option<NodeFacts>, NodeFileError> {
    let path = path_in(dir);
    let bytes = match content(dir, &path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failed::reading(&path)(error).into()),
    };
    let damaged =
        |error: &dyn fmt::Display| NodeFileError::Damaged { path: path.clone(), reason: error.to_string() };
    let found = serde_json::from_slice::<Version>(&bytes).map_err(|error| damaged(&error))?.format;
    if found > NodeFacts::FORMAT {
        return Err(NodeFileError::NewerVersion { path, found });
    }
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
    if stored.crc32 != Stored::of(&stored.facts).crc32 {
        return Err(damaged(&"its checksum does not match"));
    }
    Ok(Some(stored.facts))
}

fn content(dir: &DataDir, path: &Path) -> io::Result<Vec<u8>> {
    let file = dir.files.open(path)?;
    let mut bytes = vec![0; file.length()? as usize];
    let got = read_full(&*file, &mut bytes, 0)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// Whole file, synced, then its name, synced: a crash leaves the old facts or the new ones.
fn write(dir: &DataDir, facts: &NodeFacts) -> Result<(), Failed> {
    let (path, temporary) = (path_in(dir), dir.root.join("node.json.tmp"));
    let written = write_whole(dir, facts, &temporary);
    if written.is_err() {
        // It is removed at the next start if not now.
        let _ = dir.files.remove(&temporary);
    }
    written?;
    dir.files.rename(&temporary, &path).map_err(Failed::creating(&path))?;
    dir.files.sync_dir(&dir.root).map_err(Failed::syncing(&dir.root))
}

fn write_whole(dir: &DataDir, facts: &NodeFacts, temporary: &Path) -> Result<(), Failed> {
    let mut bytes = json::encode_pretty(&Stored::of(facts));
    bytes.push(b'\n');
    let file = dir.files.create(temporary).map_err(Failed::creating(temporary))?;
    write_full(&*file, &bytes, 0).map_err(Failed::writing(temporary))?;
    file.sync().map_err(Failed::syncing(temporary))
}

/// Writes the same content in its place: it needs no room on a disk that is full.
fn write_again(dir: &DataDir) -> Result<(), Failed> {
    let path = path_in(dir);
    let bytes = content(dir, &path).map_err(Failed::reading(&path))?;
    let file = dir.files.open(&path).map_err(Failed::reading(&path))?;
    write_full(&*file, &bytes, 0).map_err(Failed::writing(&path))?;
    file.sync().map_err(Failed::syncing(&path))?;
    dir.files.sync_dir(&dir.root).map_err(Failed::syncing(&dir.root))
}

/// The id of this boot; empty where the system does not tell, which counts as another boot.
fn this_boot() -> String {
    std::fs::read_to_string(BOOT_ID).map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
