//! Recovery: a log as this program wrote it, then damaged as the input says.

use std::{path::PathBuf, sync::OnceLock};

use replog_disk::{LogEnd, OpenOptions, files::simulated::SimulatedFiles};
use replog_shared::{
    Epoch, Incarnation, Mark, MarkKind, Message, MessageId, Order, WallTime,
    entry::{self, EntryHead},
    lines::{Lines, Tip},
    store::{LogView, Store},
};

use super::opened::{CUT_AT_DAMAGE, Content, STRICT, disk, opened, segments, store};
use crate::script::Script;

type Segments = Vec<(PathBuf, Vec<u8>)>;

/// A closed log of several segments, and the place on the disk where each of its runs ends.
struct Original {
    segments: Segments,
    bytes: Vec<u8>,
    tip: Tip,
    /// Segment and offset behind the run's last line, and how many bytes of lines are before that.
    runs: Vec<((usize, usize), usize)>,
}

/// The first byte says how it is opened, the others what is damaged.
pub(crate) fn run(input: &[u8]) {
    static ORIGINAL: OnceLock<Original> = OnceLock::new();
    let original = ORIGINAL.get_or_init(original);
    let mut script = Script::new(input);
    let how = script.byte();
    let closed_at = (how & 1 == 1).then(|| LogEnd::from(&original.tip));
    let mode = if how & 2 == 2 { CUT_AT_DAMAGE } else { STRICT };
    let mut damaged = original.segments.clone();
    while !script.is_over() {
        damage(&mut script, &mut damaged);
    }
    let found = opened(&disk(&damaged), OpenOptions { closed_at, ..mode }, how & 4 == 4);
    hold(original, &damaged, mode, closed_at, found);
}

fn hold(
    original: &Original,
    damaged: &Segments,
    mode: OpenOptions,
    closed_at: Option<LogEnd>,
    found: Option<Content>,
) {
    let Some(found) = found else {
        assert!(damaged != &original.segments, "a sound log was refused");
        assert!(
            mode.mode == STRICT.mode || has_newer_version(damaged),
            "a node that may cut at the damage stopped"
        );
        return;
    };
    assert!(original.bytes.starts_with(&found.bytes), "something else than what was written");
    if closed_at.is_some() && mode.mode == STRICT.mode {
        assert_eq!(found.tip, original.tip, "something of a closed log is missing, and nobody was told");
    }
    let first = first_difference(&original.segments, damaged);
    let sound = original.runs.iter().filter(|(end, _)| *end <= first).map(|(_, bytes)| *bytes).max();
    let sound = sound.unwrap_or_default();
    assert!(found.bytes.len() >= sound, "{} bytes are left where {sound} were sound", found.bytes.len());
}

/// Whether some header calls itself newer: that is refused whatever may be cut. Its checksum would have to be right.
fn has_newer_version(segments: &Segments) -> bool {
    segments.iter().any(|(_, content)| content.get(8..12).is_some_and(|version| version != [1, 0, 0, 0]))
}

/// The first place, segment and offset, at which the disk is another one.
fn first_difference(original: &Segments, damaged: &Segments) -> (usize, usize) {
    for (nth, (path, content)) in original.iter().enumerate() {
        let Some((other, now)) = damaged.get(nth).filter(|(other, _)| other == path) else { return (nth, 0) };
        debug_assert_eq!(other, path);
        let same = content.iter().zip(now).take_while(|(a, b)| a == b).count();
        if same < content.len() || now.len() > content.len() {
            return (nth, same);
        }
    }
    (original.len(), 0)
}

/// One damage more.
fn damage(script: &mut Script<'_>, segments: &mut Segments) {
    if segments.is_empty() {
        script.rest();
        return;
    }
    let (kind, nth) = (script.below(9), script.below(segments.len()));
    let content = &mut segments[nth].1;
    let at = usize::from(u16::from_le_bytes([script.byte(), script.byte()])) % (content.len() + 1);
    match kind {
        0 => content.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << script.below(8)),
        1 => content.truncate(at),
        2 => {
            let count = script.below(200);
            content.iter_mut().skip(at).take(count).for_each(|byte| *byte = 0);
        }
        3 => {
            let count = script.below(24);
            let junk = script.bytes(count);
            content.iter_mut().skip(at).zip(junk).for_each(|(byte, junk)| *byte = *junk);
        }
        4 => {
            let count = script.below(24);
            content.splice(at..at, script.bytes(count).iter().copied());
        }
        5 => {
            let end = (at + script.below(100)).min(content.len());
            content.drain(at..end);
        }
        6 => content.extend(vec![0; script.below(256)]),
        7 => drop(segments.remove(nth)),
        _ => {
            // Another segment's content under this name.
            let other = script.below(segments.len());
            segments[nth].1 = segments[other].1.clone();
        }
    }
}

fn original() -> Original {
    let files = SimulatedFiles::new(3);
    let mut log = store(&files, STRICT).unwrap();
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for nth in 0..9 {
        let lines = lines_behind(log.tip(), 1 + nth % 3, nth % 4 == 0);
        assert!(log.append(&lines));
        bytes.extend_from_slice(lines.bytes());
        let last = lines.bytes().split_inclusive(|byte| *byte == b'\n').next_back().unwrap().to_vec();
        ends.push((last, bytes.len()));
        while log.durable() != log.tip().place {
            log.refresh().unwrap();
            std::thread::yield_now();
        }
    }
    let tip = log.tip().clone();
    log.close().unwrap();
    let segments = segments(&files);
    assert!(segments.len() > 2, "several segments");
    let runs = ends.iter().map(|(last, before)| (end_of(&segments, last), *before)).collect();
    Original { segments, bytes, tip, runs }
}

/// Where a line ends, on the disk.
fn end_of(segments: &Segments, line: &[u8]) -> (usize, usize) {
    let mut ends = segments.iter().enumerate().rev().filter_map(|(nth, (_, content))| {
        let at = content.windows(line.len()).position(|window| window == line)?;
        Some((nth, at + line.len()))
    });
    ends.next().expect("each line is on the disk")
}

/// A run of `count` entries, behind a mark if asked for.
fn lines_behind(tip: &Tip, count: u64, with_mark: bool) -> Lines {
    let (mut bytes, mut number) = (Vec::new(), tip.epoch.as_ref().map(Epoch::number));
    if with_mark {
        let (owner, start) = ("m".parse().unwrap(), number.map_or(0, |number| number.start + 1));
        let epoch = Epoch { reign: 1, owner, start, incarnation: Incarnation::from_random(1) };
        number = Some(epoch.number());
        bytes = Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO }
            .encode();
    }
    for nth in 0..count {
        let order = tip.place.length.plus(nth);
        let message = Message::from_json(format!("\"message {order}, some bytes long\"").into()).unwrap();
        let id = MessageId::new(&format!("id{order}")).unwrap();
        let head = EntryHead { order, epoch: number.unwrap(), at: WallTime::from_ms(7), more: false };
        entry::encode(&mut bytes, head, &id, &message);
    }
    Lines::checked(bytes.into(), tip).unwrap()
}
