//! How a node's HTTP is served.

use super::{EdgeLimits, ServerTls};
use crate::auth::Gate;

/// How a node's HTTP is served. The default: with the documented limits, to everybody, in the clear.
#[derive(Clone, Debug, Default)]
pub struct EdgeOptions {
    /// What one client may cost.
    pub limits: EdgeLimits,
    /// Who is let in.
    pub gate: Gate,
    /// What HTTPS is spoken with; none: HTTP in the clear.
    pub tls: Option<ServerTls>,
}

impl From<EdgeLimits> for EdgeOptions {
    /// With these limits, to everybody, in the clear.
    fn from(limits: EdgeLimits) -> Self {
        Self { limits, ..Self::default() }
    }
}
