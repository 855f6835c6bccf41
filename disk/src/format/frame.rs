//! The frames of a segment: lines of the log, and notes of what was synced.

use crc32fast::Hasher;
use memchr::memmem;
use replog_shared::Digest;

/// Bytes before the line in a frame: checksum, length and flag, digest.
pub(crate) const FRAME_HEADER_BYTES: usize = 16;

/// Bytes of a record of what was synced.
pub(crate) const RECORD_BYTES: usize = 32;

/// Set in the length of every line of a run but the last: after a crash a run is there whole or not at all.
const MORE: u32 = 1 << 31;
/// Stands where a frame has its length; no line is as long.
const RECORD: u32 = u32::MAX;
/// No JSON text contains these bytes, so no line can be taken for a record.
const RECORD_MAGIC: [u8; 8] = *b"\xffsynced\xff";

/// A number of up to 8 bytes, little-endian.
pub(super) fn word(bytes: &[u8], at: usize, size: usize) -> u64 {
    let mut word = [0; 8];
    word[..size].copy_from_slice(&bytes[at..at + size]);
    u64::from_le_bytes(word)
}

/// The checksum of everything behind it in the frame. The seed holds the segment's salt and the frame's
/// place in the file: right bytes in the wrong place are wrong.
fn checksum(salt: u32, offset: u64, guarded: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt ^ offset as u32);
    hasher.update(guarded);
    hasher.finalize()
}

/// A note that what stands before some offset was on the disk when the note was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyncRecord {
    /// Bytes `0..` this of the segment, and all segments before it, are on the disk.
    pub(crate) synced: u64,
    /// The log's digest through the last line before the record.
    pub(crate) digest: Digest,
}

/// A frame, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A line of the log.
    Line {
        /// The line, line feed included.
        line: &'a [u8],
        /// The log's digest through it.
        digest: Digest,
        /// Whether the next line belongs to the same run.
        more: bool,
    },
    /// What was synced.
    Record(SyncRecord),
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// The bytes end within it, or its length is damaged.
    Short,
    /// The bytes of its header are zeros: the end, or a hole.
    Zeros,
    /// The checksum does not match.
    Damaged,
}

/// Where a frame is expected: what its checksum depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) salt: u32,
    pub(crate) offset: u64,
}

impl Frame<'_> {
    /// Reads the frame with which `bytes` begin.
    ///
    /// # Errors
    /// There is none, or not all of it.
    pub(crate) fn decode(bytes: &[u8], expected: Expected) -> Result<Frame<'_>, FrameError> {
        if bytes.len() < FRAME_HEADER_BYTES {
            return Err(FrameError::Short);
        }
        let length = word(bytes, 4, 4) as u32;
        if length == 0 && bytes[..FRAME_HEADER_BYTES].iter().all(|byte| *byte == 0) {
            return Err(FrameError::Zeros);
        }
        let size = size_for(length);
        let frame = bytes.get(..size).ok_or(FrameError::Short)?;
        if u64::from(checksum(expected.salt, expected.offset, &frame[4..])) != word(frame, 0, 4) {
            return Err(FrameError::Damaged);
        }
        if length == RECORD {
            return record(frame).map(Frame::Record).ok_or(FrameError::Damaged);
        }
        let digest = Digest::from_bits(word(frame, 8, 8));
        Ok(Frame::Line { line: &frame[FRAME_HEADER_BYTES..], digest, more: length & MORE != 0 })
    }

    /// How many bytes the frame takes whose header `bytes` begin with, if the header is sound; `None` if
    /// they are not even a header.
    pub(crate) fn size_of(bytes: &[u8]) -> Option<usize> {
        (bytes.len() >= FRAME_HEADER_BYTES).then(|| size_for(word(bytes, 4, 4) as u32))
    }

    /// How many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Frame::Line { line, .. } => FRAME_HEADER_BYTES + line.len(),
            Frame::Record(_) => RECORD_BYTES,
        }
    }
}

fn size_for(length: u32) -> usize {
    match length {
        RECORD => RECORD_BYTES,
        _ => FRAME_HEADER_BYTES + (length & !MORE) as usize,
    }
}

fn record(frame: &[u8]) -> Option<SyncRecord> {
    let magic = frame[8..16] == RECORD_MAGIC;
    magic.then(|| SyncRecord { synced: word(frame, 16, 8), digest: Digest::from_bits(word(frame, 24, 8)) })
}

/// Appends the frame of a line to `out`, whose first byte stands at `base` in the segment.
pub(crate) fn put_line(out: &mut Vec<u8>, salt: u32, base: u64, line: &[u8], digest: Digest, more: bool) {
    let start = out.len();
    let length = line.len() as u32 | if more { MORE } else { 0 };
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&digest.to_bits().to_le_bytes());
    out.extend_from_slice(line);
    seal(out, start, salt, base);
}

/// Appends a record to `out`, whose first byte stands at `base` in the segment.
pub(crate) fn put_record(out: &mut Vec<u8>, salt: u32, base: u64, record: SyncRecord) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&RECORD.to_le_bytes());
    out.extend_from_slice(&RECORD_MAGIC);
    out.extend_from_slice(&record.synced.to_le_bytes());
    out.extend_from_slice(&record.digest.to_bits().to_le_bytes());
    seal(out, start, salt, base);
}

fn seal(out: &mut [u8], start: usize, salt: u32, base: u64) {
    let crc = checksum(salt, base + start as u64, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// All records in `bytes`, whose first byte stands at `base` in the segment, whatever stands around them:
/// where frames cannot be followed any more, they still tell what was on the disk.
pub(crate) fn records_behind(bytes: &[u8], salt: u32, base: u64) -> impl Iterator<Item = SyncRecord> {
    memmem::find_iter(bytes, &RECORD_MAGIC).filter_map(move |at| {
        let start = at.checked_sub(8)?;
        let expected = Expected { salt, offset: base + start as u64 };
        match Frame::decode(&bytes[start..], expected) {
            Ok(Frame::Record(record)) => Some(record),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Expected = Expected { salt: 77, offset: 1000 };

    fn line_frame() -> Vec<u8> {
        let mut out = Vec::new();
        put_line(&mut out, HERE.salt, HERE.offset, b"a line\n", Digest::EMPTY.extend(b"a line\n"), true);
        out
    }

    #[test]
    fn frames_read_back() {
        let mut bytes = line_frame();
        let record = SyncRecord { synced: 1023, digest: Digest::EMPTY };
        put_record(&mut bytes, HERE.salt, HERE.offset, record);
        let frame = Frame::decode(&bytes, HERE).unwrap();
        let digest = Digest::EMPTY.extend(b"a line\n");
        assert_eq!(frame, Frame::Line { line: b"a line\n", digest, more: true });
        let next = Expected { offset: HERE.offset + frame.size() as u64, ..HERE };
        assert_eq!(Frame::decode(&bytes[frame.size()..], next), Ok(Frame::Record(record)));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_seen_in_header_and_line() {
        let bytes = line_frame();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(&flipped, HERE).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_right_bytes_in_the_wrong_place_are_wrong() {
        let bytes = line_frame();
        let elsewhere = [Expected { salt: 78, ..HERE }, Expected { offset: 1008, ..HERE }];
        assert!(elsewhere.iter().all(|place| Frame::decode(&bytes, *place) == Err(FrameError::Damaged)));
    }

    #[test]
    fn records_are_found_behind_damage() {
        let record = SyncRecord { synced: 64, digest: Digest::EMPTY };
        let mut bytes = b"\xffsynced\xff junk".to_vec();
        put_record(&mut bytes, 5, 100, record);
        bytes.push(0);
        put_record(&mut bytes, 6, 100, record);
        assert_eq!(
            records_behind(&bytes, 5, 100).collect::<Vec<_>>(),
            [record],
            "the other salt is another's"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Frame::decode(&bytes, HERE);
            let _ = records_behind(&bytes, 1, 2).count();
        }
    }
}
