//! Doors for the fuzz targets: the bytes of a segment, piece by piece.

use replog_shared::{Digest, Place};

use crate::format::{self, Expected, Frame, Header, SyncRecord};

/// A frame of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A line of the log.
    Line {
        /// The line, line feed included.
        line: Vec<u8>,
        /// The log's digest through it.
        digest: Digest,
        /// Whether the next line belongs to the same run.
        more: bool,
    },
    /// A note of what was synced.
    Record {
        /// Bytes `0..` this of the segment.
        synced: u64,
        /// The log's digest there.
        digest: Digest,
    },
}

impl Piece {
    fn of(frame: Frame<'_>) -> Piece {
        match frame {
            Frame::Line { line, digest, more } => Piece::Line { line: line.to_vec(), digest, more },
            Frame::Record(SyncRecord { synced, digest }) => Piece::Record { synced, digest },
        }
    }

    /// Appends it to `out`, whose first byte stands at `base` in a segment of this salt.
    pub fn put(&self, out: &mut Vec<u8>, salt: u32, base: u64) {
        match self {
            Piece::Line { line, digest, more } => format::put_line(out, salt, base, line, *digest, *more),
            Piece::Record { synced, digest } => {
                let record = SyncRecord { synced: *synced, digest: *digest };
                format::put_record(out, salt, base, record);
            }
        }
    }
}

/// The sound frames with which `bytes` begin, the first of which stands at `base`, and where they end.
pub fn pieces(bytes: &[u8], salt: u32, base: u64) -> (Vec<Piece>, usize) {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Ok(frame) = Frame::decode(&bytes[at..], Expected { salt, offset: base + at as u64 }) {
        at += frame.size();
        found.push(Piece::of(frame));
    }
    (found, at)
}

/// The records in `bytes`, whatever stands around them.
pub fn records(bytes: &[u8], salt: u32, base: u64) -> usize {
    format::records_behind(bytes, salt, base).count()
}

/// A segment's header.
pub fn header(salt: u32, start: Place, digest: Digest) -> Vec<u8> {
    Header { salt, start, digest }.encode().to_vec()
}

/// What a segment's header says: its salt, where it begins, the digest there. None if it is not sound.
pub fn read_header(bytes: &[u8]) -> Option<(u32, Place, Digest)> {
    Header::decode(bytes).ok().map(|Header { salt, start, digest }| (salt, start, digest))
}

/// The name of the segment that begins at a place.
pub fn segment_name(start: Place) -> String {
    format::segment_name(start)
}
