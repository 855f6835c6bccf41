//! Whether a request took effect in spite of its refusal.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

/// Whether what the client asked for has happened, in spite of the refusal: `false`, `true` or `"unknown"` in JSON.
///
/// The bug this prevents: a client that takes a time-out for a failure, and appends a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Nothing was stored.
    No,
    /// It is in the log and stays there.
    Yes,
    /// Not known here; ask again with the same id.
    Unknown,
}

impl Applied {
    /// [`Applied::Unknown`] in JSON.
    pub const UNKNOWN: &str = "unknown";
}

impl Serialize for Applied {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Applied::No => serializer.serialize_bool(false),
            Applied::Yes => serializer.serialize_bool(true),
            Applied::Unknown => serializer.serialize_str(Applied::UNKNOWN),
        }
    }
}

impl<'de> Deserialize<'de> for Applied {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Applied, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(false) => Ok(Applied::No),
            Value::Bool(true) => Ok(Applied::Yes),
            Value::String(word) if word == Applied::UNKNOWN => Ok(Applied::Unknown),
            other => Err(D::Error::custom(format!("{other} is not false, true or \"unknown\""))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_a_word_and_the_others_are_booleans() {
        for (applied, json) in
            [(Applied::No, "false"), (Applied::Yes, "true"), (Applied::Unknown, "\"unknown\"")]
        {
            assert_eq!(serde_json::to_string(&applied).unwrap(), json);
            assert_eq!(serde_json::from_str::<Applied>(json).unwrap(), applied);
        }
        for other in ["null", "\"true\"", "1"] {
            assert!(serde_json::from_str::<Applied>(other).is_err(), "{other}");
        }
    }
}
