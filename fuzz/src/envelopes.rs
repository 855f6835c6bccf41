//! Envelopes as a hostile bus brings them: members that fit, and members that do not, as the input chooses.

use bytes::Bytes;
use replog_shared::{
    BriefMark, Digest, Durability, Epoch, EpochNumber, Incarnation, LogId, Mark, MarkKind, Message,
    MessageId, NodeName, Order, Outline, Place, WallTime,
    entry::{self, EntryHead},
    store::{LogView, MemoryStore, Reader, Store},
    wire::{self, SecondaryState, Sender, Verdict},
};

use crate::script::Script;

/// What is true at the node that is fed: members that fit are taken from here.
pub(crate) struct Truth<'a> {
    pub(crate) log_id: Option<LogId>,
    pub(crate) epoch: Option<Epoch>,
    /// The number of the last request that the node sent.
    pub(crate) request: u64,
    pub(crate) log: &'a MemoryStore,
}

/// Everybody there is: the nodes of a log, and one that nobody configured.
pub(crate) fn name(script: &mut Script<'_>) -> NodeName {
    script.pick(&["s1", "s1", "s2", "master", "stranger"]).parse().unwrap()
}

pub(crate) fn incarnation(script: &mut Script<'_>) -> Incarnation {
    Incarnation::from_random(script.pick(&[1, 1, 1, 2, 7, 7, 0, u64::MAX]))
}

/// The node's own epoch, one beside it, or any other.
pub(crate) fn epoch(script: &mut Script<'_>, truth: &Truth<'_>) -> Epoch {
    let own = truth.epoch.clone().unwrap_or_else(|| Epoch {
        reign: 1,
        owner: "master".parse().unwrap(),
        start: 0,
        incarnation: Incarnation::from_random(7),
    });
    match script.byte() {
        0..=149 => own,
        150..=179 => Epoch { start: own.start.saturating_add(1), ..own },
        180..=199 => Epoch { reign: own.reign.saturating_add(1), ..own },
        200..=209 => Epoch { reign: own.reign.saturating_sub(1), ..own },
        _ => Epoch {
            reign: script.number() as u32,
            owner: name(script),
            start: script.number() as u32,
            incarnation: incarnation(script),
        },
    }
}

fn some_epoch(script: &mut Script<'_>, truth: &Truth<'_>) -> Option<Epoch> {
    script.flag().then(|| epoch(script, truth))
}

fn log_id(script: &mut Script<'_>, truth: &Truth<'_>) -> Option<LogId> {
    match script.byte() {
        0..=219 => truth.log_id.or(Some(LogId::from_random(1))),
        220..=235 => None,
        other => Some(LogId::from_random(other.into())),
    }
}

pub(crate) fn sender(script: &mut Script<'_>, truth: &Truth<'_>) -> Sender {
    let log_id = log_id(script, truth);
    Sender { v: wire::VERSION, log_id, node: name(script), incarnation: incarnation(script) }
}

fn request(script: &mut Script<'_>, truth: &Truth<'_>) -> u64 {
    if script.byte() < 220 { truth.request } else { script.number() }
}

/// The log's own length, or any number.
fn order(script: &mut Script<'_>, truth: &Truth<'_>) -> Order {
    match script.byte() {
        0..=99 => truth.log.tip().place.length,
        100..=129 => truth.log.tip().place.length.plus(script.byte().into()),
        _ => Order::new(script.number()),
    }
}

fn place(script: &mut Script<'_>, truth: &Truth<'_>) -> Place {
    match script.byte() {
        0..=99 => truth.log.tip().place,
        _ => Place::new(order(script, truth), script.number() as u32),
    }
}

/// The log's digest at this order, where it has one, or any other.
fn digest(script: &mut Script<'_>, truth: &Truth<'_>, at: Order) -> Digest {
    let own = truth.log.digest_at(Place::new(at, truth.log.durable().marks));
    match own {
        Some(own) if script.byte() < 180 => own,
        _ => Digest::from_bits(script.number()),
    }
}

/// The log's own outline, or one of marks that the input makes up.
fn outline(script: &mut Script<'_>, truth: &Truth<'_>) -> Outline {
    if script.byte() < 128 {
        return Outline::of(truth.log.marks(), truth.log.tip().place, script.below(6));
    }
    let marks = (0..script.below(5))
        .map(|_| BriefMark { epoch: epoch(script, truth), kind: kind(script), at: order(script, truth) })
        .collect();
    Outline { marks_before: script.number() as u32, marks, length: order(script, truth) }
}

fn kind(script: &mut Script<'_>) -> MarkKind {
    script.pick(&[MarkKind::Start, MarkKind::Promotion, MarkKind::Clean])
}

pub(crate) fn ack(script: &mut Script<'_>, truth: &Truth<'_>) -> wire::Ack {
    use SecondaryState::{Diverged, Foreign, Joining, Streaming, Syncing};
    let through = order(script, truth);
    let is_ours = script.byte() < 230;
    wire::Ack {
        sender: sender(script, truth),
        epoch: is_ours.then(|| epoch(script, truth)),
        through,
        digest: digest(script, truth, through),
        durability: script.pick(&[Durability::Disk, Durability::Memory]),
        fence: some_epoch(script, truth),
        whole: script.flag(),
        state: script
            .pick(&[Streaming, Streaming, Streaming, Streaming, Syncing, Joining, Foreign, Diverged]),
        joined: None,
        diverged_from: some_epoch(script, truth),
        error: (script.byte() > 230).then(|| "on purpose".to_owned()),
    }
}

pub(crate) fn join(script: &mut Script<'_>, truth: &Truth<'_>) -> wire::Join {
    wire::Join {
        sender: sender(script, truth),
        request: script.number(),
        epoch: epoch(script, truth),
        outline: outline(script, truth),
        fence: some_epoch(script, truth),
        whole: script.flag(),
    }
}

pub(crate) fn join_answer(script: &mut Script<'_>, truth: &Truth<'_>) -> wire::JoinAnswer {
    use Verdict::{Admitted, Foreign, NameInUse, OlderMarks, Unknown};
    let fork = place(script, truth);
    let mut answer = wire::JoinAnswer {
        sender: sender(script, truth),
        request: request(script, truth),
        epoch: epoch(script, truth),
        verdict: script.pick(&[Admitted, Admitted, Admitted, OlderMarks, Foreign, NameInUse, Unknown]),
        length: order(script, truth),
        fork,
        digest: truth.log.digest_at(fork).filter(|_| script.byte() < 200).unwrap_or_default(),
        turn: some_epoch(script, truth),
        secondaries: Vec::new(),
        clean: None,
    };
    answer.clean.clone_from(&answer.turn);
    answer
}

pub(crate) fn fetch(script: &mut Script<'_>, truth: &Truth<'_>) -> wire::Fetch {
    wire::Fetch {
        sender: sender(script, truth),
        request: script.number(),
        epoch: epoch(script, truth),
        from: order(script, truth),
        marks_before: None,
        to: order(script, truth),
    }
}

pub(crate) fn heartbeat(script: &mut Script<'_>, truth: &Truth<'_>) -> wire::Heartbeat {
    let length = order(script, truth);
    let admitted = (0..script.below(3))
        .map(|_| wire::Admitted { node: name(script), incarnation: incarnation(script) })
        .collect();
    wire::Heartbeat {
        sender: sender(script, truth),
        epoch: epoch(script, truth),
        length,
        digest: digest(script, truth, length),
        admitted,
        http: None,
    }
}

pub(crate) fn ask(script: &mut Script<'_>, truth: &Truth<'_>) -> wire::Ask {
    let ask = wire::Ask::new(sender(script, truth), script.number());
    wire::Ask { reads: ask.reads.filter(|_| script.flag()), ..ask }
}

pub(crate) fn promise(script: &mut Script<'_>, truth: &Truth<'_>) -> wire::Promise {
    wire::Promise {
        sender: sender(script, truth),
        request: script.number(),
        epoch: epoch(script, truth),
        forced: script.flag(),
    }
}

pub(crate) fn read(script: &mut Script<'_>, truth: &Truth<'_>) -> wire::Read {
    wire::Read {
        sender: sender(script, truth),
        request: script.number(),
        epoch: epoch(script, truth),
        from: place(script, truth),
    }
}

pub(crate) fn state(script: &mut Script<'_>, truth: &Truth<'_>) -> wire::State {
    let outline = outline(script, truth);
    wire::State {
        sender: sender(script, truth),
        request: request(script, truth),
        promised: some_epoch(script, truth),
        fence: some_epoch(script, truth),
        digest: digest(script, truth, outline.length),
        outline,
        turn: some_epoch(script, truth),
        whole: script.flag(),
        hears: (script.byte() > 200).then(|| name(script)),
    }
}

/// A header, and lines behind it: those of the log, such as would continue it, or anything.
pub(crate) fn entries(script: &mut Script<'_>, truth: &Truth<'_>) -> (wire::EntriesHeader, Bytes) {
    let from = order(script, truth);
    let lines = lines(script, truth, from);
    let digest = match script.byte() {
        0..=199 => lines.split_inclusive(|byte| *byte == b'\n').fold(truth.log.tip().digest, Digest::extend),
        _ => Digest::from_bits(script.number()),
    };
    let header = wire::EntriesHeader {
        sender: sender(script, truth),
        epoch: epoch(script, truth),
        from,
        marks_before: None,
        count: script.number(),
        length: order(script, truth),
        digest,
        request: script.flag().then(|| request(script, truth)),
        traces: Vec::new(),
    };
    (header, lines)
}

fn lines(script: &mut Script<'_>, truth: &Truth<'_>, from: Order) -> Bytes {
    if script.byte() > 240 {
        let page = truth.log.reader().read(Order::ZERO, truth.log.tip().place.length, 1_000).unwrap();
        return page.bytes;
    }
    let (mut bytes, mut at) = (Vec::new(), from);
    let mut number = truth.epoch.as_ref().map_or(EpochNumber { reign: 1, start: 0 }, Epoch::number);
    for _ in 0..script.below(5) {
        match script.byte() {
            0..=39 => {
                let epoch = epoch(script, truth);
                number = epoch.number();
                bytes.extend(
                    Mark { epoch, kind: kind(script), reached: vec![], members: vec![], first: Order::ZERO }
                        .encode(),
                );
            }
            250..=255 => bytes.extend_from_slice(b"junk\n"),
            _ => {
                let message = Message::from_json(Bytes::from_static(b"\"m\"")).unwrap();
                let id = MessageId::new(&format!("id{}", script.below(4))).unwrap();
                let head = EntryHead {
                    order: at,
                    epoch: number,
                    at: WallTime::from_ms(7),
                    more: script.byte() > 240,
                };
                entry::encode(&mut bytes, head, &id, &message);
                at = at.next();
            }
        }
    }
    bytes.into()
}
