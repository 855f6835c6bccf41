//! How many nodes must hold a write before its caller is answered.

use std::fmt;

/// The number of distinct nodes, the master among them, that must hold a write before its caller is
/// answered: 1 is the master alone, n every configured node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteConcern(u16);

/// Why a number is no write concern here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("w = {asked} is out of range: this log has {nodes} nodes, so w is a whole number from 1 to {nodes}")]
pub struct WriteConcernError {
    /// What was asked for.
    pub asked: u64,
    /// How many nodes are configured.
    pub nodes: u16,
}

impl WriteConcern {
    /// The master alone.
    pub const ONE: WriteConcern = WriteConcern(1);

    /// What the caller asked for, checked against the number of configured nodes; all of them if it asked
    /// for nothing.
    ///
    /// # Errors
    /// 0, or more than there are nodes.
    pub fn checked(asked: Option<u64>, nodes: u16) -> Result<WriteConcern, WriteConcernError> {
        let Some(asked) = asked else { return Ok(WriteConcern(nodes)) };
        match u16::try_from(asked) {
            Ok(w) if (1..=nodes).contains(&w) => Ok(WriteConcern(w)),
            _ => Err(WriteConcernError { asked, nodes }),
        }
    }

    /// Its number, at least 1.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for WriteConcern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_concern_fits_the_nodes() {
        assert_eq!(WriteConcern::checked(None, 3), Ok(WriteConcern(3)));
        assert_eq!(WriteConcern::checked(Some(1), 3), Ok(WriteConcern::ONE));
        assert_eq!(WriteConcern::checked(Some(3), 3), Ok(WriteConcern(3)));
        for asked in [0, 4, 65_537, u64::MAX] {
            assert_eq!(WriteConcern::checked(Some(asked), 3), Err(WriteConcernError { asked, nodes: 3 }));
        }
    }
}
