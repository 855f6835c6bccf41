//! What one connection is doing, and until when it may.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use http::Method;

use super::EdgeLimits;

/// What a connection's driver, its socket and its service know in common.
///
/// hyper tells a service of requests only, and a socket of bytes only. Together they tell what neither
/// sees: that a head is late, that bytes are written which no request has asked for, what a head said
/// before hyper tidied it. No timer is touched here: deadlines are noted, [`super::connection`] keeps them.
pub(super) struct Watch {
    limits: Arc<EdgeLimits>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// The client has taken no byte for a while; the time at which that is too long.
    stalled_until: Option<Instant>,
    /// What has been read since the last answer was out: the next head, and what came with it.
    head: Vec<u8>,
    /// Something of the client's may be left unread when the connection closes.
    unread: bool,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of a request has been read: a new connection, or one between two requests.
    Idle {
        /// When that is too long.
        until: Instant,
    },
    /// A part of a head has been read.
    Head {
        /// When that is too long.
        until: Instant,
    },
    /// A request is with the service. It may take as long as its route lets it.
    Serving,
    /// The answer is complete, and on its way.
    Flushing,
    /// The answer is out, and nothing more is taken; the client may still be reading.
    Closing {
        /// When that is too long.
        until: Instant,
    },
}

impl Watch {
    /// A new connection; its first head is due within the header time.
    pub(super) fn new(limits: Arc<EdgeLimits>) -> Self {
        let phase = Phase::Idle { until: Instant::now() + limits.header_timeout };
        let state = State { phase, stalled_until: None, head: Vec::new(), unread: false };
        Self { limits, state: Mutex::new(state) }
    }

    pub(super) fn limits(&self) -> &EdgeLimits {
        &self.limits
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// When this connection will have taken too long for what it is doing. `None`: it may take its time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::Idle { until } | Phase::Head { until } | Phase::Closing { until } => Some(until),
            Phase::Serving | Phase::Flushing => state.stalled_until,
        }
    }

    /// Bytes have come from the client.
    pub(super) fn on_read(&self, bytes: &[u8]) {
        let mut state = self.state();
        match state.phase {
            Phase::Idle { .. } => {
                state.phase = Phase::Head { until: Instant::now() + self.limits.header_timeout };
            }
            Phase::Head { .. } => {}
            Phase::Serving | Phase::Flushing | Phase::Closing { .. } => return,
        }
        let room = self.limits.max_header_bytes.saturating_sub(state.head.len());
        state.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// A head was complete and fine.
    pub(super) fn on_request(&self) {
        self.state().phase = Phase::Serving;
    }

    /// The service has given all of its answer.
    pub(super) fn on_answered(&self) {
        self.state().phase = Phase::Flushing;
    }

    /// All that was written is out.
    pub(super) fn on_flushed(&self) {
        let mut state = self.state();
        if state.phase == Phase::Flushing {
            state.phase = Phase::Idle { until: Instant::now() + self.limits.idle_timeout };
            state.head.clear();
        }
    }

    /// The client takes no more bytes for now, or takes them again.
    pub(super) fn on_stall(&self, stalled: bool) {
        self.state().stalled_until = stalled.then(|| Instant::now() + self.limits.answer_silence);
    }

    /// Something of the client's will not be read: the connection cannot be used further.
    pub(super) fn on_unread(&self) {
        self.state().unread = true;
    }

    /// The connection closes. `true`: wait for the client, since something it sent is unread.
    pub(super) fn on_close(&self) -> bool {
        let mut state = self.state();
        if !matches!(state.phase, Phase::Closing { .. }) {
            state.phase = Phase::Closing { until: Instant::now() + self.limits.linger };
        }
        state.unread
    }

    /// Whether bytes that are written now were asked for by no request: hyper's own refusal of a head.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state().phase, Phase::Idle { .. } | Phase::Head { .. })
    }

    /// How often the head of the request that begins with `method` named a content length, counted in the
    /// bytes as they came. `None`: the head did not come on its own, but behind an earlier request.
    ///
    /// hyper drops `Content-Length` beside `Transfer-Encoding`, so the parsed head does not tell.
    pub(super) fn content_lengths(&self, method: &Method) -> Option<usize> {
        let state = self.state();
        let head = state.head.trim_ascii_start();
        let own = head.strip_prefix(method.as_str().as_bytes()).is_some_and(|rest| rest.starts_with(b" "));
        own.then(|| head_lines(head).filter(|line| names_content_length(line)).count())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines of a head, without the request line and without what follows the empty line.
fn head_lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.split(|&byte| byte == b'\n').skip(1);
    lines.take_while(|line| !line.trim_ascii().is_empty())
}

fn names_content_length(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"content-length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(Arc::new(EdgeLimits::default()))
    }

    fn lengths_in(reads: &[&[u8]]) -> Option<usize> {
        let watch = watch();
        reads.iter().for_each(|read| watch.on_read(read));
        watch.content_lengths(&Method::POST)
    }

    #[test]
    fn content_lengths_are_counted_in_the_head_only() {
        assert_eq!(lengths_in(&[b"POST / HTTP/1.1\r\nHost: a\r\n\r\nContent-Length: 1\r\n"]), Some(0));
        assert_eq!(lengths_in(&[b"\r\nPOST / HTTP/1.1\r\ncontent-", b"LENGTH : 1\r\n\r\n"]), Some(1));
    }

    #[test]
    fn a_head_that_did_not_come_alone_is_not_judged() {
        assert_eq!(lengths_in(&[b"Transfer-Encoding: chunked\r\n\r\n"]), None);
        assert_eq!(lengths_in(&[b"POSTER: x\r\n\r\n"]), None);
        assert_eq!(lengths_in(&[]), None);
    }

    #[test]
    fn a_life_of_two_requests() {
        let watch = watch();
        assert!(watch.is_waiting());
        watch.on_read(b"GET / HTTP/1.1\r\n\r\n");
        assert!(matches!(watch.phase(), Phase::Head { .. }));
        watch.on_request();
        assert_eq!((watch.is_waiting(), watch.deadline()), (false, None));
        watch.on_flushed();
        assert_eq!(watch.phase(), Phase::Serving, "a flush within an answer does not end it");
        watch.on_answered();
        watch.on_flushed();
        assert!(matches!(watch.phase(), Phase::Idle { .. }));
        watch.on_read(b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n");
        assert_eq!(watch.content_lengths(&Method::POST), Some(1), "the first head is forgotten");
    }

    #[test]
    fn a_client_that_takes_nothing_has_a_deadline() {
        let watch = watch();
        watch.on_request();
        watch.on_stall(true);
        assert!(watch.deadline().is_some());
        watch.on_stall(false);
        assert!(watch.deadline().is_none());
    }
}
