//! One rule of one master (docs/RECOVERY.md, section 3).

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{Incarnation, NodeName};

/// The short form of an epoch, `reign.start`, as in `"2.5"`.
///
/// A promotion begins a reign; the reigning master alone adds a start, at each restart. With one counter an
/// isolated old master that restarts twice would outrank the one that was promoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochNumber {
    /// Which reign, from 1.
    pub reign: u32,
    /// Which start of the reigning master, from 0.
    pub start: u32,
}

/// Why a text is no epoch number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an epoch is written reign.start, such as 2.5")]
pub struct EpochNumberError;

impl FromStr for EpochNumber {
    type Err = EpochNumberError;

    fn from_str(text: &str) -> Result<Self, EpochNumberError> {
        let (reign, start) = text.split_once('.').ok_or(EpochNumberError)?;
        let number = |digits: &str| {
            let canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.len() == 1 || !digits.starts_with('0'));
            if canonical { digits.parse().map_err(|_| EpochNumberError) } else { Err(EpochNumberError) }
        };
        Ok(EpochNumber { reign: number(reign)?, start: number(start)? })
    }
}

impl fmt::Display for EpochNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.reign, self.start)
    }
}

impl Serialize for EpochNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EpochNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// One rule of one master, whole: unique even if a wiped node mints a number twice.
///
/// Compared by reign, owner's name, start, incarnation, in this order: the owner stands before the start
/// so that of two masters promoted into one reign the same one wins however often either restarts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(from = "EpochBody", into = "EpochBody")]
pub struct Epoch {
    /// Which reign, from 1.
    pub reign: u32,
    /// The node that reigns.
    pub owner: NodeName,
    /// Which start of the owner within its reign, from 0.
    pub start: u32,
    /// The owner's process that opened the epoch.
    pub incarnation: Incarnation,
}

impl Epoch {
    /// Its short form.
    pub const fn number(&self) -> EpochNumber {
        EpochNumber { reign: self.reign, start: self.start }
    }

    /// Whether both belong to one reign of one owner.
    pub fn same_reign(&self, other: &Epoch) -> bool {
        (self.reign, &self.owner) == (other.reign, &other.owner)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.number(), self.owner)
    }
}

/// An epoch as envelopes and marks carry it: three members.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Epoch")]
struct EpochBody {
    epoch: EpochNumber,
    owner: NodeName,
    opened_by: Incarnation,
}

impl From<EpochBody> for Epoch {
    fn from(body: EpochBody) -> Epoch {
        let EpochNumber { reign, start } = body.epoch;
        Epoch { reign, owner: body.owner, start, incarnation: body.opened_by }
    }
}

impl From<Epoch> for EpochBody {
    fn from(epoch: Epoch) -> EpochBody {
        EpochBody { epoch: epoch.number(), owner: epoch.owner, opened_by: epoch.incarnation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(reign: u32, owner: &str, start: u32, incarnation: u64) -> Epoch {
        Epoch {
            reign,
            owner: owner.parse().unwrap(),
            start,
            incarnation: Incarnation::from_random(incarnation),
        }
    }

    #[test]
    fn a_restart_never_outranks_a_promotion() {
        assert!(epoch(1, "master", 99, 0) < epoch(2, "a", 0, 0));
        assert!(epoch(2, "a", 7, 0) < epoch(2, "b", 0, 0));
        assert!(epoch(2, "a", 0, 9) < epoch(2, "a", 1, 0));
        assert!(epoch(2, "a", 0, 1) < epoch(2, "a", 0, 2));
    }

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!("2.5".parse(), Ok(EpochNumber { reign: 2, start: 5 }));
        for bad in ["", "2", "2.", ".5", "02.5", "2.05", "+2.5", "2.5.1", "2.4294967296", "-1.0"] {
            assert_eq!(bad.parse::<EpochNumber>(), Err(EpochNumberError), "{bad:?}");
        }
    }

    #[test]
    fn an_epoch_has_three_members_on_the_wire() {
        let json = serde_json::to_string(&epoch(2, "m", 5, 1)).unwrap();
        assert_eq!(json, r#"{"epoch":"2.5","owner":"m","opened_by":"0000000000000001"}"#);
        assert_eq!(serde_json::from_str::<Epoch>(&json).unwrap(), epoch(2, "m", 5, 1));
    }
}
