//! Opening what a node has: its file and its log, in the order that keeps what it claims true.

use std::path::PathBuf;

use super::{OpenOptions, OpenReport, judge, leftovers};
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

/// Opens the log of the node whose file this is; where the log ended is taken from there.
///
/// Whoever dies on the way, or is refused, leaves nothing on the disk that claims more than is there: everything is
/// read and judged first; then what the node claims is lowered, durably; then the log is repaired; then what is true
/// only of a repaired log is claimed.
///
/// # Errors
/// Of the file, of the log, or that the two do not fit. The disk is as before, but for leftovers, unless the file
/// system refused a change.
pub fn open_node(
    mut file: NodeFile,
    options: OpenOptions,
    wake: impl Fn() + Send + Sync + 'static,
) -> Result<OpenedNode, OpenNodeError> {
    let dir = file.dir().clone();
    let judged = judge(&dir, OpenOptions { closed_at: file.facts().log_end, ..options })?;
    if file.facts().log_id.is_none() && judged.epoch().is_some() {
        return Err(OpenNodeError::UnknownLog { node_file: file.path() });
    }
    leftovers::remove(&dir)?;
    file.begin_run(judged.damage().is_some())?;
    let (store, report) = judged.repair(wake)?;
    file.on_log_open()?;
    Ok(OpenedNode { file, store, report })
}
