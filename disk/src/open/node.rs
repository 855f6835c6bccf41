//! Opening what a node has: its file and its log, in the order that keeps what it claims true.

use std::path::PathBuf;

use super::{Judged, OpenOptions, OpenReport, judge, leftovers};
use crate::{
    error::{Failed, OpenError},
    log::DiskStore,
    node_file::{NodeFile, NodeFileError},
};

/// What an opened node has.
#[derive(Debug)]
pub struct OpenedNode {
    /// What it must not forget.
    pub file: NodeFile,
    /// Its log.
    pub store: DiskStore,
    /// What was found and done.
    pub report: OpenReport,
}

/// Why what a node has could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenNodeError {
    /// The log.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The node's file.
    #[error(transparent)]
    File(#[from] NodeFileError),
    /// There is a log, and `node.json` is blank. Nothing was changed.
    #[error(
        "it has a log, and {} does not say which: restore it, or move the directory away and let this node fetch everything anew",
        node_file.display()
    )]
    UnknownLog {
        /// `node.json`.
        node_file: PathBuf,
    },
}

impl From<Failed> for OpenNodeError {
    fn from(failed: Failed) -> OpenNodeError {
        OpenNodeError::Log(failed.into())
    }
}

/// What a node has, read and judged. Nothing was changed: whoever leaves it at that leaves the directory as it was.
#[derive(Debug)]
pub struct JudgedNode {
    file: NodeFile,
    judged: Judged,
}

/// Judges the log of the node whose file this is, to open it; where the log ended is taken from there.
///
/// # Errors
/// Of the file, of the log, or that the two do not fit.
pub fn judge_node(file: NodeFile, options: OpenOptions) -> Result<JudgedNode, OpenNodeError> {
    let judged = judge(file.dir(), OpenOptions { closed_at: file.facts().log_end, ..options })?;
    if file.facts().log_id.is_none() && judged.epoch().is_some() {
        return Err(OpenNodeError::UnknownLog { node_file: file.path() });
    }
    Ok(JudgedNode { file, judged })
}

impl JudgedNode {
    /// Opens it.
    ///
    /// Whoever dies on the way leaves nothing on the disk that claims more than is there: everything was read and judged
    /// before; now what the node claims is lowered, durably; then the log is repaired; then what is true only of a
    /// repaired log is claimed.
    ///
    /// # Errors
    /// The file system refused a change.
    pub fn open(self, wake: impl Fn() + Send + Sync + 'static) -> Result<OpenedNode, OpenNodeError> {
        let JudgedNode { mut file, judged } = self;
        leftovers::remove(file.dir())?;
        file.begin_run(judged.damage().is_some())?;
        let (store, report) = judged.repair(wake)?;
        file.on_log_open()?;
        Ok(OpenedNode { file, store, report })
    }
}
