//! The frames of a segment, and its header.

use replog_disk::fuzzing::{Piece, header, pieces, read_header, records};
use replog_shared::{Digest, Order, Place};

use crate::script::Script;

const BASE: u64 = 64;

/// As bytes that shall be frames; and as lines that are framed, damaged in one place, and read.
pub(crate) fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let salt = script.number() as u32;
    let place = Place::new(Order::new(script.number()), script.number() as u32);
    let digest = Digest::from_bits(script.number());
    assert_eq!(read_header(&header(salt, place, digest)), Some((salt, place, digest)));
    let damage = (script.byte(), script.byte());
    let raw = script.rest();
    if let Some((salt, place, digest)) = read_header(raw) {
        assert_eq!(header(salt, place, digest), raw[..64], "a header is written in one way");
    }
    as_it_is(raw, salt);
    framed(raw, salt, damage);
}

/// What is taken for frames is what would be written for them.
fn as_it_is(raw: &[u8], salt: u32) {
    let (found, end) = pieces(raw, salt, BASE);
    assert_eq!(written(&found, salt), raw[..end]);
    assert!(records(raw, salt, BASE) <= raw.len() / 8);
}

fn framed(raw: &[u8], salt: u32, (at, flips): (u8, u8)) {
    let mut digest = Digest::EMPTY;
    let wanted: Vec<Piece> = raw
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            digest = digest.extend(line);
            match line {
                [0, ..] => Piece::Record { synced: line.len() as u64, digest },
                [first, ..] => Piece::Line { line: line.to_vec(), digest, more: first % 2 == 0 },
                [] => unreachable!("a piece of a split is not empty"),
            }
        })
        .collect();
    let mut bytes = written(&wanted, salt);
    assert_eq!(pieces(&bytes, salt, BASE), (wanted.clone(), bytes.len()));
    let held = wanted.iter().filter(|piece| matches!(piece, Piece::Record { .. })).count();
    assert!(records(&bytes, salt, BASE) >= held, "records are found wherever they stand");
    assert!(pieces(&bytes, salt.wrapping_add(1), BASE).0.is_empty(), "another segment's frames are none");
    if flips != 0 && !bytes.is_empty() {
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= flips;
        let (found, end) = pieces(&bytes, salt, BASE);
        assert!(wanted.starts_with(&found) && end <= at, "a frame with a damaged byte was taken");
    }
}

fn written(pieces: &[Piece], salt: u32) -> Vec<u8> {
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| piece.put(&mut out, salt, BASE));
    out
}
