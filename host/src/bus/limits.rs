//! Every maximum and interval of the bus, with its reason.

use std::time::Duration;

use replog_shared::limits::{MAX_SECONDARIES, PUSH_WINDOW_ENVELOPES};

/// Packets that wait for the connection to take them: a full push window for every secondary there can be.
/// Small, because what waits when the server dies is sent to whoever listens after it came back, stale.
pub const SEND_QUEUE_PACKETS: usize = (MAX_SECONDARIES + 1) * PUSH_WINDOW_ENVELOPES;

/// Packets of one subscription that wait for this node to read them; more are dropped, the newest first.
/// Large enough for the acks of every secondary between two turns of the node's task. NATS counts packets,
/// not bytes: what bounds the bytes is that peers send entries only within their push and fetch windows.
pub const RECEIVE_QUEUE_PACKETS: usize = 4_096;

/// Answers of a service that wait for the connection to take them: twice as many as there are requests that wait for
/// one, so that all of them can be answered at one time. Small ones, of some hundred bytes each.
pub(super) const SERVICE_SEND_QUEUE_PACKETS: usize = 2 * MAX_SERVICE_REQUESTS;

/// Requests of a service that wait for their answers; its owner refuses more. Each costs some hundred bytes while it
/// waits. As many as there may be connections to HTTP, since each of those waits for one answer.
pub const MAX_SERVICE_REQUESTS: usize = 8_192;

/// How long [`Bus::close`](super::Bus::close) waits for queued packets to reach the server.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two pings. The third without an answer ends the connection: a frozen server is noticed within
/// three seconds, not within the three minutes of the client's default.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(1);

/// How long a server may take for the handshake. A frozen one accepts connections and then says nothing.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The first ceiling of the delay before connecting again; it doubles with each attempt.
pub(super) const RECONNECT_MIN: Duration = Duration::from_millis(25);

/// The longest delay before connecting again. Attempts never stop.
pub(super) const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// Between two looks at the connection. Also how long a probe may take before it is sent again.
pub(super) const LINK_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Packets taken from one subscription while others wait, so that a flood on one starves none.
pub(super) const BURST_PACKETS: usize = 64;

/// Causes of failed attempts to connect that are told apart until there is a connection; each is logged once. Servers of a cluster
/// times what may be wrong with one.
pub(super) const MAX_COMPLAINTS: usize = 64;

/// Events of the client that wait for the bus. Overruns are merged before they get here, and the state of
/// the connection is read from the client itself, so a lost one costs a log line.
pub(super) const NOTICE_QUEUE: usize = 64;

/// How often a refusal that goes on is reported again: it comes with every single packet.
pub(super) const DENIED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Different refusals told apart for one connection. A node has fewer subjects than that.
pub(super) const MAX_DENIALS: usize = 256;

/// Refusals that are named in a node's own words about itself: as many as one reads.
pub(super) const DENIALS_SHOWN: usize = 4;

/// How long nothing may be refused until it counts as allowed. The server refuses within a round trip.
pub(super) const ALLOWED_AFTER: Duration = Duration::from_secs(2);

/// From a refused subscription to the next try, at first; it doubles with each, as each is a line in the server's log.
pub(super) const RENEWAL_MIN: Duration = Duration::from_millis(500);

/// The longest time between two tries of a subscription that a node needs. Tries never stop.
pub(super) const RENEWAL_MAX: Duration = Duration::from_secs(5);

/// The same for the subjects on which a service is looked for, which it can do without: they are nine.
pub(super) const QUESTIONS_RENEWAL_MAX: Duration = Duration::from_secs(60);

/// Between two questions for the server's limit for one payload, each a connection that is closed after its first line.
pub(super) const LIMIT_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The same while something is too large for the limit that is known.
pub(super) const SUSPECTED_LIMIT_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long the server may take to greet.
pub(super) const LIMIT_CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The first line of a server: some hundred bytes, and the addresses of its whole cluster.
pub(super) const MAX_GREETING_BYTES: u64 = 64 * 1024;

/// Addresses of one name that are tried for a server.
pub(super) const MAX_SERVER_ADDRESSES: usize = 8;

/// Between two questions to JetStream for its streams, each a packet.
pub(super) const STREAMS_ASKED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How long a stream that answered counts as there, where JetStream is not to be asked.
pub(super) const STREAM_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Answers with growing numbers until they count as a stream's: one packet can be written by anybody.
pub(super) const ANSWERS_OF_A_STREAM: u32 = 3;

/// The longest answer of a stream: two names and some numbers.
pub(super) const MAX_STREAM_ANSWER_BYTES: usize = 1_024;

/// Streams told apart: one is a mistake already.
pub(super) const MAX_STREAMS: usize = 16;
