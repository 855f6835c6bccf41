//! What nodes tell each other.

pub(crate) mod lines;
pub(crate) mod outline;
pub(crate) mod wire;
pub(crate) mod words;
