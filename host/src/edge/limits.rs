//! Every maximum of the HTTP edge, with its reason.

use std::{num::NonZeroU32, time::Duration};

use replog_shared::limits::{
    MAX_BODY_BYTES, MAX_CONNECTIONS, MAX_HEADER_BYTES, MAX_TAIL_BYTES_PER_SECOND, MAX_TAILS,
};

/// Bytes of an answer that wait in the kernel for a client that does not take them: without a limit they grow to
/// megabytes for each. What is on its way does not count, so a client that reads is sent to as quickly as before.
#[cfg(target_os = "linux")]
pub(super) const UNSENT_BYTES: u32 = 16 * 1024;

/// Answers that are compressed at one time: an encoder holds up to some megabytes. One more is sent as it is.
pub(super) const MAX_ENCODERS: usize = 16;

/// Parameters of a query: more than any route knows. Each is compared with all others, and a head has room for
/// twenty thousand.
pub(super) const MAX_QUERY_PARAMETERS: usize = 32;

/// What one client may cost. Each field maps to a flag; the defaults are the documented ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Bytes of a request's head, request line included; more is answered with 431.
    pub max_header_bytes: usize,
    /// From a head's first byte (for a new connection: from its first moment) to the head's last.
    /// Then the connection is closed. A TLS handshake has as long for itself.
    pub header_timeout: Duration,
    /// Bytes of a request's body, announced or sent; more is answered with 413.
    pub max_body_bytes: usize,
    /// The longest silence inside a body; then the answer is 408.
    pub body_silence: Duration,
    /// Bytes of bodies that are still arriving, all connections together; beyond it, 503. Bodies that
    /// arrive in one piece do not count, so that slow uploads cannot keep small appends out.
    pub max_arriving_bytes: usize,
    /// The longest time in which a client that is being answered takes no byte. Then the connection is closed.
    pub answer_silence: Duration,
    /// How long a client that has closed its sending side (`nc -N`) still gets an answer, from the last byte of
    /// it that it took. Then it counts as hung up: a client that was killed looks the same until it is written to,
    /// and a write that waits for its nodes would wait for nobody.
    pub half_close_wait: Duration,
    /// How long a connection may be kept between two requests.
    pub idle_timeout: Duration,
    /// Connections at one time; one more is answered with 503 and closed at once.
    pub max_connections: usize,
    /// Requests in a second from one address; more are answered with 429. None: as many as come. Behind a proxy all
    /// clients have its address.
    pub max_requests_per_second: Option<NonZeroU32>,
    /// TLS handshakes at one time; more wait, within the same time. Each holds some 40 KiB and costs up to a
    /// millisecond of computing: so many take no more memory than their connections do later.
    pub max_handshakes: usize,
    /// Clients that follow the log at one time; one more is answered with 503. Each may hold [`crate::tail`]'s piece
    /// and page as long as it likes, and far fewer than connections, so that they never take all of these.
    pub max_tails: usize,
    /// Bytes that all who follow the log are sent in a second, together. A node has one thread: what it spends on
    /// them, appends wait for.
    pub max_tail_bytes_per_second: u64,
    /// How long a connection that closes with something unread waits for the client to read the answer.
    /// Closing at once would reset the connection, and the answer could be lost.
    pub linger: Duration,
    /// How long a stopping server waits for requests that run; then they are cut off. Below the 10 s that
    /// `docker stop` gives.
    pub grace: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            max_header_bytes: MAX_HEADER_BYTES,
            header_timeout: Duration::from_secs(10),
            max_body_bytes: MAX_BODY_BYTES,
            body_silence: Duration::from_secs(30),
            max_arriving_bytes: 32 * MAX_BODY_BYTES,
            answer_silence: Duration::from_secs(60),
            half_close_wait: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(75),
            max_connections: MAX_CONNECTIONS,
            max_requests_per_second: None,
            max_handshakes: 512,
            max_tails: MAX_TAILS,
            max_tail_bytes_per_second: MAX_TAIL_BYTES_PER_SECOND,
            linger: Duration::from_secs(2),
            grace: Duration::from_secs(5),
        }
    }
}
