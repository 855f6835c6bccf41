//! Every maximum, interval and time-out that both nodes share, with its unit and its reason.
//!
//! What an operator may want to change is a flag whose default stands here.

use std::time::Duration;

/// Characters in a node's or a log's name: a subject must stay readable, and NATS tokens are short.
pub const MAX_NAME_LENGTH: usize = 32;

/// Configured secondaries: their acks are counted and named by one bit each.
pub const MAX_SECONDARIES: usize = 127;

/// Characters (Unicode scalar values) in a message id.
pub const MAX_ID_CHARS: usize = 128;

/// Nesting of arrays and objects in a message. Most JSON readers stop at 128; a message that they cannot
/// read would poison every answer that contains it.
pub const MAX_JSON_DEPTH: usize = 120;

/// Messages in one batch. Bounds the work of one request, with the body limit.
pub const MAX_BATCH_MESSAGES: usize = 10_000;

/// Marks of a log, the newest ones, that one envelope tells of. A mark takes up to 160 bytes there, all of them
/// 40 KiB: little to send at every start and join, and enough for a node that was away for days. Who needs
/// older ones asks for them, as many at a time.
pub const OUTLINE_MARKS: usize = 256;

/// Bytes of a mark as an outline tells of it, at most: a name and numbers of full length, and a comma.
pub const OUTLINE_MARK_BYTES: usize = 160;

/// How many marks an outline tells of, `most` at most, where the server takes payloads of so many bytes.
pub const fn outline_marks(most: usize, max_payload: usize) -> usize {
    let fitting = max_payload.saturating_sub(ENVELOPE_OVERHEAD_BYTES) / OUTLINE_MARK_BYTES;
    let fitting = if fitting == 0 { 1 } else { fitting };
    if most < fitting { most } else { fitting }
}

/// What an envelope needs besides the lines it carries: header line, NATS framing.
pub const ENVELOPE_OVERHEAD_BYTES: usize = 2_048;

/// `max_payload` of a nats-server that was not configured otherwise; used until the server has told its own.
pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 1_048_576;

/// Bytes of lines in one pushed or fetched envelope. 64–256 KiB is where NATS reaches its full rate; more
/// only adds latency and memory.
pub const ENVELOPE_BYTES: usize = 192 * 1024;

/// Envelopes on their way to one secondary without an ack. Batching by backpressure: what is appended
/// meanwhile travels together in the next one.
pub const PUSH_WINDOW_ENVELOPES: usize = 4;

/// Bytes of lines on their way to one secondary without an ack.
pub const PUSH_WINDOW_BYTES: usize = 1024 * 1024;

/// A secondary that lacks more entries than this is not pushed at; it fetches.
pub const PUSH_BACKLOG_ENTRIES: u64 = 65_536;

/// A secondary that fetches and lacks at most this many entries is pushed at again. It goes on fetching as
/// long as it lacks more, so that between the two nothing waits for a heartbeat.
pub const PUSH_RESUME_ENTRIES: u64 = 4_096;

/// Ranges that a secondary asks for at one time.
pub const FETCH_WINDOW_RANGES: usize = 8;

/// Entries in one fetched range; the answer is also bounded by [`ENVELOPE_BYTES`].
pub const FETCH_RANGE_ENTRIES: u64 = 1_024;

/// Bytes of envelopes that a secondary keeps because something before them is missing. More are dropped,
/// and fetched when their turn comes.
pub const REORDER_BUFFER_BYTES: usize = 16 * 1024 * 1024;

/// Envelopes in it, whatever their size.
pub const REORDER_BUFFER_ENVELOPES: usize = 4_096;

/// The shortest delay before something is sent or asked again.
pub const RETRY_MIN: Duration = Duration::from_millis(50);

/// The longest delay before something is sent or asked again. Retries never stop.
pub const RETRY_MAX: Duration = Duration::from_secs(5);

/// How long a fetched range or a pushed envelope may take before it is asked for or sent again.
pub const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two heartbeats of the master, and two acks of an idle secondary.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(250);

/// Heartbeat intervals without a sign of life until a node is *suspected*.
pub const SUSPECTED_AFTER_INTERVALS: u32 = 4;

/// Heartbeat intervals without a sign of life until a node is *unhealthy*.
pub const UNHEALTHY_AFTER_INTERVALS: u32 = 12;

/// How long a starting master asks the others before it decides without those that kept silent.
pub const RECOVERY_WAIT: Duration = Duration::from_millis(1_000);

/// Appends that a starting master holds until it leads; more are refused.
pub const MAX_HELD_APPENDS: usize = 10_000;

/// Bytes of their messages and ids.
pub const MAX_HELD_BYTES: usize = 64 * 1024 * 1024;

/// HTTP: bytes of a request's head.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// HTTP: bytes of a request's body.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// HTTP: connections at one time.
pub const MAX_CONNECTIONS: usize = 10_000;

/// HTTP: clients that follow the log at one time. At 64 KiB each they take 128 MiB at most.
pub const MAX_TAILS: usize = 2_000;

/// HTTP: bytes that all of them together are sent in a second. With a thousand of them on two busy processors, appends
/// kept about nine tenths of their rate; with twice as much, at times less than eight.
pub const MAX_TAIL_BYTES_PER_SECOND: u64 = 48 * 1024 * 1024;

/// Bytes of lines that a reader takes from the store at one time.
pub const READ_PAGE_BYTES: usize = 256 * 1024;

/// Bytes of lines in a store that wait to become durable, above which a node refuses appends as overloaded.
/// A disk that takes 100 MB/s needs half a second for them: longer queues only turn into time-outs.
pub const STORE_PENDING_BYTES: usize = 64 * 1024 * 1024;

/// Traces that travel with one envelope of entries: its header has to stay within [`ENVELOPE_OVERHEAD_BYTES`].
pub const MAX_TRACES_IN_ENVELOPE: usize = 8;

/// Names that one node tells another, or keeps, when one of them is not known: more than people compare.
pub const MAX_NAMES_TOLD: usize = 32;

/// How long a node that is not configured counts as asking to join: longer than its longest retry.
pub const STRANGER_FORGOTTEN_AFTER: Duration = Duration::from_secs(15);
