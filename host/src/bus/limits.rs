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

/// Events of the client that wait for the bus. Overruns are merged before they get here, and the state of
/// the connection is read from the client itself, so a lost one costs a log line.
pub(super) const NOTICE_QUEUE: usize = 64;

/// How often a refusal that goes on is reported again: it comes with every single packet.
pub(super) const DENIED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Different refusals told apart for one connection. A node has fewer subjects than that.
pub(super) const MAX_DENIALS: usize = 256;
