//! The hash chain that tells whether two logs are equal.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use twox_hash::XxHash3_64;

/// A hash chain over the lines of a log, marks included: equal digests at a place mean equal logs up to it.
///
/// Each step hashes the line with XXH3 (64 bits) and then that hash with the digest before. It guards
/// against mistakes and damage, not against an attacker. 16 hexadecimal digits on the wire.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(u64);

impl Digest {
    /// The digest of the empty log.
    pub const EMPTY: Digest = Digest(0);

    /// The digest of the log that has one line more.
    #[must_use]
    pub fn extend(self, line: &[u8]) -> Digest {
        let mut step = [0u8; 16];
        step[..8].copy_from_slice(&self.0.to_le_bytes());
        step[8..].copy_from_slice(&XxHash3_64::oneshot(line).to_le_bytes());
        Digest(XxHash3_64::oneshot(&step))
    }

    /// Its 64 bits, for storage.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The digest with these bits: read from where [`Digest::to_bits`] were stored.
    pub const fn from_bits(bits: u64) -> Digest {
        Digest(bits)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::json::hex_u64(deserializer).map(Digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_content_of_lines_both_count() {
        let both = Digest::EMPTY.extend(b"a").extend(b"b");
        assert_ne!(both, Digest::EMPTY.extend(b"b").extend(b"a"));
        assert_ne!(both, Digest::EMPTY.extend(b"ab"));
        assert_ne!(Digest::EMPTY.extend(b""), Digest::EMPTY);
    }

    /// The chain is on the wire and will be on disk: it must not change by accident.
    #[test]
    fn the_chain_stays_what_it_is() {
        assert_eq!(Digest::EMPTY.extend(b"replog").to_string(), "8715fe6ea205c38d");
    }
}
