//! How a node's HTTP is served.

use super::EdgeLimits;
use crate::auth::Gate;

/// How a node's HTTP is served. The default: with the documented limits, to everybody.
#[derive(Clone, Debug, Default)]
pub struct EdgeOptions {
    /// What one client may cost.
    pub limits: EdgeLimits,
    /// Who is let in.
    pub gate: Gate,
}

impl From<EdgeLimits> for EdgeOptions {
    /// With these limits, to everybody.
    fn from(limits: EdgeLimits) -> Self {
        Self { limits, ..Self::default() }
    }
}
