//! The targets, by the crate whose readers they feed.

pub(crate) mod cores;
pub(crate) mod disk;
pub(crate) mod edge;
pub(crate) mod shared;
