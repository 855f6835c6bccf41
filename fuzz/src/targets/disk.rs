//! What is read from a data directory.

pub(crate) mod damaged_log;
pub(crate) mod frames;
pub(crate) mod node_file;
mod opened;
pub(crate) mod segments;
