//! Who and what: names given by people, ids given by chance.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::Uuid;

use crate::limits::MAX_NAME_LENGTH;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a name: use 1 to {MAX_NAME_LENGTH} of the characters A-Z a-z 0-9 _ -")]
pub struct NameError {
    name: String,
}

/// A name is one token of a NATS subject. NATS itself publishes to `a.*` and `a..b` without complaint, so
/// a name that is not checked here would reach other nodes' subjects.
fn checked(name: &str) -> Result<Arc<str>, NameError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=MAX_NAME_LENGTH).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(name.into())
    } else {
        Err(NameError { name: name.chars().take(2 * MAX_NAME_LENGTH).collect() })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                checked(name).map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

name! {
    /// The configured name of a node. It belongs to a machine, not to a role: a promoted secondary keeps it.
    NodeName
}

name! {
    /// The name of a log: the token that lets many logs share one NATS.
    LogName
}

/// The identity of one log, minted once by the master that begins it. Two logs of the same name are told
/// apart by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogId(Uuid);

impl LogId {
    /// The id made of these 128 random bits.
    pub fn from_random(bits: u128) -> LogId {
        LogId(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The random id of one process start, 16 hexadecimal digits on the wire.
///
/// It tells a restarted node from the one before: what the old process acked may be gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(u64);

impl Incarnation {
    /// The incarnation made of these random bits.
    pub const fn from_random(bits: u64) -> Incarnation {
        Incarnation(bits)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Incarnation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Incarnation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::json::hex_u64(deserializer).map(Incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_reach_other_subjects_are_refused() {
        for bad in ["", "a.b", "a*", ">", "a b", "ä", &"x".repeat(33)] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
        assert_eq!("secondary-1_B".parse::<NodeName>().unwrap().as_str(), "secondary-1_B");
    }

    #[test]
    fn an_incarnation_survives_the_wire() {
        let incarnation = Incarnation::from_random(0xab);
        let text = serde_json::to_string(&incarnation).unwrap();
        assert_eq!(text, "\"00000000000000ab\"");
        assert_eq!(serde_json::from_str::<Incarnation>(&text).unwrap(), incarnation);
        assert!(serde_json::from_str::<Incarnation>("\"xyz\"").is_err());
        assert!(serde_json::from_str::<Incarnation>("\"+0000000000000ab\"").is_err());
    }
}
