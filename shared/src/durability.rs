//! What an ack means on the node that sends it.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What has happened to an entry before a node says that it holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// It is in the process's memory; a restart loses it.
    Memory,
    /// It was written to the operating system; it survives `kill -9`, not a power loss.
    Os,
    /// It was written and synced with `fdatasync`; it survives a power loss.
    Disk,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Durability::Memory => "memory",
            Durability::Os => "os",
            Durability::Disk => "disk",
        })
    }
}

/// Why a text is no durability level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the durability levels are disk, os and memory")]
pub struct DurabilityError;

impl FromStr for Durability {
    type Err = DurabilityError;

    fn from_str(text: &str) -> Result<Self, DurabilityError> {
        match text {
            "memory" => Ok(Durability::Memory),
            "os" => Ok(Durability::Os),
            "disk" => Ok(Durability::Disk),
            _ => Err(DurabilityError),
        }
    }
}
