//! Segments of sound frames whose content the input chooses: lines that continue the log and lines that do not.

use std::path::PathBuf;

use replog_disk::fuzzing::{Piece, header, segment_name};
use replog_shared::{
    Digest, Epoch, EpochNumber, Incarnation, Mark, MarkKind, Message, MessageId, Order, Place, WallTime,
    entry::{self, EntryHead},
};

use super::opened::{CUT_AT_DAMAGE, STRICT, disk, opened, segment};
use crate::script::Script;

pub(crate) fn run(input: &[u8]) {
    let mut written = Written::default();
    let segments = written.segments(&mut Script::new(input));
    for options in [STRICT, CUT_AT_DAMAGE] {
        let Some(found) = opened(&disk(&segments), options, true) else { continue };
        let lines = found.bytes.split_inclusive(|byte| *byte == b'\n');
        for line in lines {
            assert!(written.lines.iter().any(|known| known == line), "a line that nobody wrote");
        }
    }
}

/// What is in the segments, and where the log would end if all of it continued it.
#[derive(Default)]
struct Written {
    lines: Vec<Vec<u8>>,
    place: Place,
    digest: Digest,
    start: u32,
}

impl Written {
    fn segments(&mut self, script: &mut Script<'_>) -> Vec<(PathBuf, Vec<u8>)> {
        let mut segments = Vec::new();
        while !script.is_over() && segments.len() < 8 {
            segments.push(self.segment(script));
        }
        segments
    }

    fn segment(&mut self, script: &mut Script<'_>) -> (PathBuf, Vec<u8>) {
        let salt = script.byte().into();
        let start = if script.byte() < 240 { self.place } else { self.strange_place(script) };
        let named = if script.byte() < 240 { start } else { self.strange_place(script) };
        let digest = if script.byte() < 240 { self.digest } else { Digest::from_bits(script.number()) };
        let mut bytes = header(salt, start, digest);
        for _ in 0..script.below(12) {
            self.frame(script, salt, &mut bytes);
        }
        let rest = script.below(40);
        bytes.extend(if script.flag() { vec![0; rest] } else { script.bytes(rest).to_vec() });
        (segment(&segment_name(named)), bytes)
    }

    fn strange_place(&self, script: &mut Script<'_>) -> Place {
        Place::new(Order::new(script.number()), script.number() as u32)
    }

    fn frame(&mut self, script: &mut Script<'_>, salt: u32, out: &mut Vec<u8>) {
        let piece = match script.below(8) {
            0 => Piece::Record { synced: out.len() as u64, digest: self.digest },
            1 => Piece::Record { synced: script.number(), digest: Digest::from_bits(script.number()) },
            2 => self.line(script, mark_line(self.start)),
            3 => {
                let count = script.below(30);
                let line = script.bytes(count).to_vec();
                self.line(script, line)
            }
            4 => {
                let line = entry_line(Order::new(script.number()), script.number() as u32);
                self.line(script, line)
            }
            _ => self.line(script, entry_line(self.place.length, self.start)),
        };
        piece.put(out, salt, 0);
    }

    fn line(&mut self, script: &mut Script<'_>, line: Vec<u8>) -> Piece {
        let sound = script.byte() < 240;
        let digest = if sound { self.digest.extend(&line) } else { Digest::from_bits(script.number()) };
        self.digest = digest;
        if Mark::is_mark(&line) {
            self.place.marks += 1;
            self.start += 1;
        } else {
            self.place.length = self.place.length.next();
        }
        self.lines.push(line.clone());
        Piece::Line { line, digest, more: script.flag() }
    }
}

fn mark_line(start: u32) -> Vec<u8> {
    let owner = "m".parse().unwrap();
    let epoch = Epoch { reign: 1, owner, start, incarnation: Incarnation::from_random(1) };
    Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO }.encode()
}

fn entry_line(order: Order, start: u32) -> Vec<u8> {
    let (mut line, message) = (Vec::new(), Message::from_json((&b"\"m\""[..]).into()).unwrap());
    let id = MessageId::new(&format!("id{order}")).unwrap();
    let head = EntryHead {
        order,
        epoch: EpochNumber { reign: 1, start: start.saturating_sub(1) },
        at: WallTime::from_ms(7),
        more: false,
    };
    entry::encode(&mut line, head, &id, &message);
    line
}
