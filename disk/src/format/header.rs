//! The first bytes of a segment.

use replog_shared::{Digest, Order, Place};

use super::frame::word;

/// Bytes of a segment's header; the first frame follows.
pub(crate) const HEADER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"replog\x00\xff";
/// The version of the format that is written. Version 1 differs in its lines alone, which are read as well. A program
/// refuses versions above its own (docs/FORMAT.md, "Versions").
const VERSION: u32 = 2;
/// The oldest version that is read.
const OLDEST_VERSION: u32 = 1;
/// Where the header's own checksum stands: behind all that it guards.
const CRC_AT: usize = HEADER_BYTES - 4;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Mixed into every checksum of the segment: bytes of another segment are never taken for its own.
    pub(crate) salt: u32,
    /// The log's place before the segment's first line.
    pub(crate) start: Place,
    /// The log's digest there.
    pub(crate) digest: Digest,
}

/// Why bytes are no segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("the segment's header is damaged")]
    Damaged,
    #[error("the segment has format version {found}, and this program knows versions up to {VERSION}")]
    NewerVersion { found: u32 },
}

impl Header {
    /// Its bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.start.length.get().to_le_bytes());
        bytes[24..32].copy_from_slice(&u64::from(self.start.marks).to_le_bytes());
        bytes[32..40].copy_from_slice(&self.digest.to_bits().to_le_bytes());
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// A checksum that does not match, or a version that this program does not know.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, HeaderError> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(HeaderError::Damaged)?;
        if crc32fast::hash(&bytes[..CRC_AT]) as u64 != word(bytes, CRC_AT, 4) || bytes[..8] != MAGIC {
            return Err(HeaderError::Damaged);
        }
        let version = word(bytes, 8, 4) as u32;
        if !(OLDEST_VERSION..=VERSION).contains(&version) {
            return Err(HeaderError::NewerVersion { found: version });
        }
        let marks = u32::try_from(word(bytes, 24, 8)).map_err(|_| HeaderError::Damaged)?;
        Ok(Header {
            salt: word(bytes, 12, 4) as u32,
            start: Place::new(Order::new(word(bytes, 16, 8)), marks),
            digest: Digest::from_bits(word(bytes, 32, 8)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_any_flipped_bit_is_seen() {
        let header = Header {
            salt: 0x1234_5678,
            start: Place::new(Order::new(9), 2),
            digest: Digest::EMPTY.extend(b"x"),
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Ok(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), Err(HeaderError::Damaged), "bit {bit}");
        }
    }

    fn of_version(version: u32, header: Header) -> [u8; HEADER_BYTES] {
        let mut bytes = header.encode();
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn a_newer_version_is_refused_and_not_called_damage_and_an_older_one_is_read() {
        let header = Header { salt: 1, start: Place::START, digest: Digest::EMPTY };
        assert_eq!(Header::decode(&of_version(3, header)), Err(HeaderError::NewerVersion { found: 3 }));
        assert_eq!(Header::decode(&of_version(1, header)), Ok(header));
        assert_eq!(header.encode(), of_version(2, header), "what is written is of the newest");
    }
}
