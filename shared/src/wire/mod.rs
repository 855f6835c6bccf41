//! Every envelope that crosses NATS, as the structs it is made of.
//!
//! An envelope is one JSON object, except [`EntriesHeader`], which is the first line of an envelope whose
//! other lines are the log's own. All carry the same members for the same things: `v`, `log_id`, `node` (the
//! secondary whose traffic it is, or the sender), `incarnation` (of the sender's process) and, where it has
//! one, `epoch` with its `owner` and `opened_by`. docs/PROTOCOL.md describes each.

mod state;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::json;
use crate::limits::ENVELOPE_OVERHEAD_BYTES;
use crate::store::{Page, Span};
use crate::trace::Trace;
use crate::{Digest, Durability, Epoch, Incarnation, LogId, NodeName, Order, Outline, Place};

pub use state::Rank;

/// The version that this code writes, and the newest that it reads. Version 2 has the same envelopes as version 1;
/// what it says is that its sender reads and writes lines of format 2.
pub const VERSION: u8 = 2;

/// The oldest version that this code reads. Secondaries are upgraded before their master: a secondary speaks to a
/// master of an older version in that one's version, and a master refuses secondaries of an older one.
pub const OLDEST_VERSION: u8 = 1;

/// Bytes of the first line of an envelope of entries: what is longer only takes memory.
pub const MAX_ENTRIES_HEADER_BYTES: usize = ENVELOPE_OVERHEAD_BYTES;

/// Why an envelope was not read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not JSON of the envelope's form.
    #[error("malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a version that this one does not know.
    #[error("version {0} is not known here")]
    Version(u8),
    /// Entries without a header line.
    #[error("no header line")]
    NoHeader,
}

/// The members with which every envelope begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The version of the envelope: [`VERSION`], or the older one of the node it is for.
    pub v: u8,
    /// The log; none from a node that holds none yet.
    pub log_id: Option<LogId>,
    /// The sender. In entries: the secondary that they are for.
    pub node: NodeName,
    /// The sender's process.
    pub incarnation: Incarnation,
}

/// Master to one secondary: the first line of pushed or fetched entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntriesHeader {
    /// Who sends; `node` is the secondary it is for.
    #[serde(flatten)]
    pub sender: Sender,
    /// The session's epoch.
    #[serde(flatten)]
    pub epoch: Epoch,
    /// The order at which the lines begin.
    pub from: Order,
    /// How many marks are before the lines; none from a node that does not tell, whose lines begin with the marks at
    /// `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks_before: Option<u32>,
    /// How many entries follow; marks are not counted.
    pub count: u64,
    /// How long the sender's log is.
    pub length: Order,
    /// The digest of the sender's log through the last line.
    pub digest: Digest,
    /// The request it answers; none where it was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    /// Traces that some of the entries belong to, for what is logged of them. Decides nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<Trace>,
}

impl EntriesHeader {
    /// The header of an envelope that carries `page`, the lines of `span`.
    pub fn of(
        sender: Sender,
        epoch: Epoch,
        span: Span,
        page: &Page,
        length: Order,
        request: Option<u64>,
    ) -> EntriesHeader {
        EntriesHeader {
            sender,
            epoch,
            from: span.from.length,
            marks_before: Some(span.from.marks),
            count: span.entries(),
            length,
            digest: page.digest,
            request,
            traces: Vec::new(),
        }
    }

    /// Where the lines begin, as far as it is told.
    pub fn begins_at(&self) -> Place {
        Place::new(self.from, self.marks_before.unwrap_or(0))
    }
}

/// Secondary to master: I hold `0..through`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Who acks.
    #[serde(flatten)]
    pub sender: Sender,
    /// The epoch of its last mark; none while it has none.
    #[serde(flatten)]
    pub epoch: Option<Epoch>,
    /// Exclusive end of what it holds at its durability level.
    pub through: Order,
    /// Its digest there.
    pub digest: Digest,
    /// What holding means on that node.
    pub durability: Durability,
    /// The highest epoch it promised or followed.
    pub fence: Option<Epoch>,
    /// Whether it has held all its master held when it joined.
    pub whole: bool,
    /// What it is about.
    pub state: SecondaryState,
    /// The request of the join that admitted it to this epoch: what it held before that join is not what it holds
    /// now. None outside of a session, and from nodes that do not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<u64>,
    /// While diverged: the epoch whose log lacks what this node holds. Only that epoch's master has to stop. None
    /// from nodes that do not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged_from: Option<Epoch>,
    /// Present in an ack that must not count, with the reason (fault injection).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a secondary is about, as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecondaryState {
    /// No master heard, or not admitted yet.
    Joining,
    /// On its way to the mark of the epoch.
    Syncing,
    /// It holds the epoch's mark: its acks count.
    Streaming,
    /// It holds entries that its master lacks and nothing explains: it keeps them.
    Diverged,
    /// It holds another log: it keeps it.
    Foreign,
}

/// Secondary to master, request: admit me.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Who asks; its `log_id` is that of the log it holds.
    #[serde(flatten)]
    pub sender: Sender,
    /// The number that the answer repeats.
    pub request: u64,
    /// The epoch it wants to join.
    #[serde(flatten)]
    pub epoch: Epoch,
    /// Its log: the newest marks, or, where the master asked for them, older ones.
    #[serde(flatten)]
    pub outline: Outline,
    /// The highest epoch it promised or followed.
    pub fence: Option<Epoch>,
    /// Whether it has held all its master held when it joined.
    pub whole: bool,
}

/// The answer to a join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// Who answers.
    #[serde(flatten)]
    pub sender: Sender,
    /// The request it answers.
    pub request: u64,
    /// The master's epoch.
    #[serde(flatten)]
    pub epoch: Epoch,
    /// What is to be done.
    pub verdict: Verdict,
    /// How long the master's log is.
    pub length: Order,
    /// Where the two logs part; the beginning unless admitted.
    pub fork: Place,
    /// The master's digest there.
    pub digest: Digest,
    /// The newest epoch of the master's log that a promotion or a clean opened: it explains why what is older
    /// than itself is given up behind the fork. None if there is none.
    pub turn: Option<Epoch>,
    /// The newest epoch of the master's log that a clean opened: what is older and given up behind the fork was wanted
    /// to go, and is not kept. None if there is none; absent from masters that do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<Epoch>,
    /// To a node whose name is not configured: the secondaries that are, at most [`MAX_NAMES_TOLD`](crate::limits::MAX_NAMES_TOLD).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondaries: Vec<NodeName>,
}

/// The master's word on a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Admitted: keep what lies before the fork, fetch the rest.
    Admitted,
    /// Another log: refused.
    Foreign,
    /// Another live process has this name: refused.
    NameInUse,
    /// No configured secondary has this name: refused.
    Unknown,
    /// None of the marks that the join told of is in the master's log, and it did not tell of all: to be asked
    /// again with older ones.
    OlderMarks,
}

/// Secondary to master, request: the entries `from..to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Who asks.
    #[serde(flatten)]
    pub sender: Sender,
    /// The number that the answer repeats.
    pub request: u64,
    /// The session's epoch.
    #[serde(flatten)]
    pub epoch: Epoch,
    /// The first order wanted.
    pub from: Order,
    /// How many marks are before what is wanted; none: the marks at `from` are wanted, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks_before: Option<u32>,
    /// The first order not wanted. The answer may end before it.
    pub to: Order,
}

/// Master to all: I am alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The master.
    #[serde(flatten)]
    pub sender: Sender,
    /// Its epoch.
    #[serde(flatten)]
    pub epoch: Epoch,
    /// How long its log is.
    pub length: Order,
    /// The log's digest.
    pub digest: Digest,
    /// The processes it has admitted: one that is not among them joins (again).
    pub admitted: Vec<Admitted>,
    /// Where the master takes appends over HTTP, if it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
}

/// A secondary's process that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// Its name.
    pub node: NodeName,
    /// Its process.
    pub incarnation: Incarnation,
}

/// Starting or promoting master to all, request: what do you hold?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Who asks, in the oldest version: a node that is too old to take part answers, too, and so is known.
    #[serde(flatten)]
    pub sender: Sender,
    /// The number that the answer repeats.
    pub request: u64,
    /// The newest version that the sender reads; none from one of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<u8>,
}

impl Ask {
    /// The question of a node that speaks [`VERSION`].
    pub fn new(sender: Sender, request: u64) -> Ask {
        Ask { sender: Sender { v: OLDEST_VERSION, ..sender }, request, reads: Some(VERSION) }
    }

    /// The version in which this node answers it.
    pub fn answer_version(&self) -> u8 {
        self.reads.unwrap_or(self.sender.v).min(VERSION)
    }
}

/// Promoting master to one node, request: accept and ack nothing older than this epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// Who asks.
    #[serde(flatten)]
    pub sender: Sender,
    /// The number that the answer repeats.
    pub request: u64,
    /// The epoch to promise.
    #[serde(flatten)]
    pub epoch: Epoch,
    /// Whether to promise even while a live master is heard.
    pub forced: bool,
}

/// The answer to an ask and to a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Who answers.
    #[serde(flatten)]
    pub sender: Sender,
    /// The request it answers.
    pub request: u64,
    /// The epoch that is promised by this answer; none in the answer to an ask or where it is refused.
    pub promised: Option<Epoch>,
    /// The highest epoch it promised or followed.
    pub fence: Option<Epoch>,
    /// Its log: the newest marks, and its length.
    #[serde(flatten)]
    pub outline: Outline,
    /// Its digest there.
    pub digest: Digest,
    /// The newest epoch of its log that a promotion or a clean opened.
    pub turn: Option<Epoch>,
    /// Whether it counts as reached.
    pub whole: bool,
    /// The master that it follows and has heard of late.
    pub hears: Option<NodeName>,
}

/// Promoting master to one node, request: your log from this place on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Who asks.
    #[serde(flatten)]
    pub sender: Sender,
    /// The number that the answer repeats.
    pub request: u64,
    /// The epoch that was promised.
    #[serde(flatten)]
    pub epoch: Epoch,
    /// The place from which on it is wanted.
    pub from: Place,
}

/// Writes an envelope that is one JSON object.
///
/// # Panics
/// As [`json::encode`]: no node sends an envelope with nothing in it.
pub fn encode<T: Serialize>(envelope: &T) -> Bytes {
    json::encode(envelope).into()
}

/// Reads an envelope that is one JSON object. Members that are not known are passed over.
///
/// # Errors
/// Malformed, or of another version.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, WireError> {
    #[derive(Deserialize)]
    struct Version {
        v: u8,
    }
    match serde_json::from_slice::<Version>(payload)?.v {
        OLDEST_VERSION..=VERSION => Ok(serde_json::from_slice::<T>(payload)?),
        v => Err(WireError::Version(v)),
    }
}

/// Writes an envelope of entries: the header's line, then the lines.
///
/// # Panics
/// As [`encode`].
pub fn encode_entries(header: &EntriesHeader, lines: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(512 + lines.len());
    out.extend_from_slice(&encode(header));
    out.push(b'\n');
    out.extend_from_slice(lines);
    out.into()
}

/// Reads an envelope of entries: the header, and the lines as they are.
///
/// # Errors
/// No header line, or one that is malformed or of another version.
pub fn decode_entries(payload: &Bytes) -> Result<(EntriesHeader, Bytes), WireError> {
    let head = &payload[..payload.len().min(MAX_ENTRIES_HEADER_BYTES)];
    let end = memchr::memchr(b'\n', head).ok_or(WireError::NoHeader)?;
    let header = decode(&payload[..end])?;
    Ok((header, payload.slice(end + 1..)))
}

#[cfg(test)]
mod tests;
