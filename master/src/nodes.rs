//! Who the nodes are.

use replog_shared::NodeName;

/// The configured nodes.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// This node.
    pub name: NodeName,
    /// The secondaries, in the order of the configuration.
    pub secondaries: Vec<NodeName>,
}

impl Nodes {
    /// How many there are, this one included.
    pub fn count(&self) -> u16 {
        self.secondaries.len() as u16 + 1
    }
}
