//! Runs of lines, the only door into a log.

use bytes::Bytes;
use replog_shared::{
    Digest, Epoch, Incarnation, Mark, Message, MessageId, Order, Place,
    entry::{self, EntryHead, EntryLine},
    lines::{Lines, Tip, unseen},
};

use crate::script::Script;

/// The first byte says where the log ends that the rest shall continue.
pub(crate) fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let tip = tip(script.byte());
    let bytes = Bytes::copy_from_slice(script.rest());
    let _ = unseen(&bytes, Place::START, &tip);
    let Ok(run) = Lines::checked(bytes.clone(), &tip) else { return };
    assert_eq!(run.bytes(), &bytes);
    let ends = twin(&bytes, &tip);
    assert_eq!(run.tip(), ends.last().unwrap_or(&tip), "the tip is what one finds line by line");
    assert_eq!(run.entries().len() + run.marks().len(), ends.len());
    for (nth, end) in ends.iter().enumerate() {
        in_two(&bytes, &tip, nth + 1, end);
    }
    run.entry_lines().for_each(reads_back);
}

fn tip(choice: u8) -> Tip {
    let owner = "m".parse().unwrap();
    let epoch = Epoch { reign: 1, owner, start: 0, incarnation: Incarnation::from_random(1) };
    let length = [0, 3, u64::from(u32::MAX), 1 << 60][usize::from(choice) % 4];
    match choice {
        0..=127 => Tip::default(),
        _ => {
            let place = Place::new(Order::new(length), 1);
            Tip { place, digest: Digest::EMPTY, epoch: Some(epoch), ..Tip::default() }
        }
    }
}

/// The tip behind each line, found in the plainest way.
fn twin(bytes: &[u8], tip: &Tip) -> Vec<Tip> {
    let mut tip = tip.clone();
    let after = |line: &[u8]| {
        tip.digest = tip.digest.extend(line);
        if Mark::is_mark(line) {
            assert_eq!(tip.batch, None, "an epoch begins between two batches");
            tip.epoch = Some(Mark::parse(line).unwrap().epoch);
            tip.place.marks += 1;
        } else {
            let entry = EntryLine::parse(line).unwrap();
            assert_eq!(entry.order, tip.place.length);
            tip.at = entry.at;
            match (entry.more, tip.batch) {
                (false, _) => tip.batch = None,
                (true, None) => tip.batch = Some(entry.order),
                (true, Some(_)) => {}
            }
            tip.place.length = tip.place.length.next();
        }
        tip.clone()
    };
    bytes.split_inclusive(|byte| *byte == b'\n').map(after).collect()
}

/// A run can be taken in two parts wherever a line ends.
fn in_two(bytes: &Bytes, tip: &Tip, lines: usize, end: &Tip) {
    let length = bytes.split_inclusive(|byte| *byte == b'\n').take(lines).map(<[u8]>::len).sum();
    let (first, second) = (bytes.slice(..length), bytes.slice(length..));
    let first = Lines::checked(first, tip).expect("the beginning of a run is a run");
    assert_eq!(first.tip(), end);
    let whole = Lines::checked(bytes.clone(), tip).unwrap();
    let rest = Lines::checked(second.clone(), end).expect("the rest of a run continues its beginning");
    assert_eq!(rest.tip(), whole.tip());
    let until = Lines::checked_before(bytes.clone(), tip, end.place).expect("a part of a run is a run");
    assert!(until.bytes().len() <= length);
    assert_eq!(unseen(bytes, tip.place, end), Some(second), "what a log has is passed over");
}

/// An entry of which id and message are what clients may send is written as it was read.
fn reads_back(line: &[u8]) {
    let parsed = EntryLine::parse(line).unwrap();
    let id = serde_json::from_slice::<String>(parsed.id_json).ok().and_then(|id| MessageId::new(&id).ok());
    let is_json = serde_json::from_slice::<serde_json::Value>(parsed.message_json).is_ok();
    let message = Message::from_json(Bytes::copy_from_slice(parsed.message_json));
    let (Some(id), true, Ok(message)) = (id, is_json, message) else { return };
    let mut written = Vec::new();
    let head = EntryHead {
        order: parsed.order,
        epoch: parsed.epoch,
        at: parsed.at.unwrap_or_default(),
        more: parsed.more,
    };
    entry::encode(&mut written, head, &id, &message);
    let again = EntryLine::parse(&written).unwrap();
    assert_eq!((again.order, again.epoch, again.more), (parsed.order, parsed.epoch, parsed.more));
    assert_eq!(again.at, Some(head.at));
    assert!(again.has_id(&id) && again.has_message(&message));
    assert_eq!(parsed.id_text(), id.as_str().as_bytes());
}
