//! What one connection is doing, and until when it may.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Instant,
};

use http::Method;

use super::{
    EdgeLimits,
    framing::{BodyLength, Framing},
};

/// hyper's buffers are at least this long.
pub(super) const MIN_BUFFER_BYTES: usize = 64 * 1024;

/// What a connection's driver, its socket and its service know in common.
///
/// hyper tells a service of requests only, and a socket of bytes only. Together they tell what neither
/// sees: that a head is late, that bytes are written which no request has asked for, where a request begins,
/// and what its head said before hyper tidied it. No timer is touched here: deadlines are noted, [`super::connection`] keeps them.
pub(super) struct Watch {
    limits: Arc<EdgeLimits>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// The client has taken no byte for a while; the time at which that is too long.
    stalled_until: Option<Instant>,
    framing: Framing,
    /// Something of the client's may be left unread when the connection closes.
    unread: bool,
    /// The answer has no end of its own.
    unending: bool,
    /// How the client learns that the answer is whole.
    end: End,
    /// A piece of an unending answer is not out yet; who wants to give the next one is woken when it is.
    piece: Piece,
    /// The server stops.
    stopping: bool,
}

/// How a client learns that an answer is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By its length, or by its last chunk.
    Told,
    /// By the close, as in HTTP/1.0. Not all of it was given yet, so that a close of any kind, a killed process
    /// included, must not look like the end.
    Close,
    /// By the close, which may come now.
    ClosesWhole,
}

/// Where the last piece of an unending answer is.
#[derive(Debug, Default)]
enum Piece {
    #[default]
    Out,
    OnItsWay(Option<Waker>),
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
        // What hyper holds, and one read more.
        let framing = Framing::new(2 * limits.max_header_bytes.max(MIN_BUFFER_BYTES));
        let state = State {
            phase,
            stalled_until: None,
            framing,
            unread: false,
            unending: false,
            end: End::Told,
            piece: Piece::Out,
            stopping: false,
        };
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
            Phase::Serving | Phase::Flushing => state.answer_deadline(),
        }
    }

    /// Bytes have come from the client.
    pub(super) fn on_read(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.framing.on_read(bytes);
        if matches!(state.phase, Phase::Idle { .. }) {
            state.phase = Phase::Head { until: Instant::now() + self.limits.header_timeout };
        }
    }

    /// A head was complete and fine.
    pub(super) fn on_request(&self, method: &Method, body: BodyLength) {
        let mut state = self.state();
        state.framing.on_request(method, body);
        state.phase = Phase::Serving;
        state.unending = false;
        state.end = End::Told;
    }

    /// The close is what ends the answer.
    pub(super) fn on_until_close(&self) {
        self.state().end = End::Close;
    }

    /// The answer has no end of its own, and is given a piece at a time.
    pub(super) fn on_unending(&self) {
        self.state().unending = true;
    }

    /// The server stops: an unending answer is not waited for.
    pub(super) fn on_stop(&self) {
        self.state().stopping = true;
    }

    /// Whether the piece before is out. If not, `waker` is woken when it is.
    pub(super) fn is_piece_out(&self, waker: &Waker) -> bool {
        match &mut self.state().piece {
            Piece::Out => true,
            Piece::OnItsWay(waiting) => {
                *waiting = Some(waker.clone());
                false
            }
        }
    }

    /// The service has given a piece.
    pub(super) fn on_piece(&self) {
        self.state().piece = Piece::OnItsWay(None);
    }

    /// The service gives nothing more of its answer, which is `whole` unless it broke off.
    pub(super) fn on_answered(&self, whole: bool) {
        let mut state = self.state();
        state.phase = Phase::Flushing;
        if whole && state.end == End::Close {
            state.end = End::ClosesWhole;
        }
    }

    /// All that was written is out.
    pub(super) fn on_flushed(&self) {
        let mut state = self.state();
        if let Piece::OnItsWay(Some(waiting)) = std::mem::take(&mut state.piece) {
            waiting.wake();
        }
        if state.phase == Phase::Flushing {
            state.phase = if state.framing.has_begun_next() {
                Phase::Head { until: Instant::now() + self.limits.header_timeout }
            } else {
                Phase::Idle { until: Instant::now() + self.limits.idle_timeout }
            };
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

    /// How the answer ends whose bytes are written now. None: no request has asked for them, they are hyper's own
    /// refusal of a head.
    pub(super) fn written_end(&self) -> Option<End> {
        let state = self.state();
        (!matches!(state.phase, Phase::Idle { .. } | Phase::Head { .. })).then_some(state.end)
    }

    /// How the last answer ends.
    pub(super) fn end(&self) -> End {
        self.state().end
    }

    /// Whether a request has come whole and its answer is not out yet.
    pub(super) fn owes_answer(&self) -> bool {
        let state = self.state();
        matches!(state.phase, Phase::Serving | Phase::Flushing) && state.framing.is_whole()
    }

    /// How often the head of the request that is served named a content length. `None`: its body is not chunked,
    /// or its head was not seen from its beginning.
    pub(super) fn content_lengths(&self) -> Option<usize> {
        self.state().framing.content_lengths()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whoever takes nothing of an unending answer has no share in a stop: it would only delay it.
    fn answer_deadline(&self) -> Option<Instant> {
        if self.stopping && self.unending {
            self.stalled_until.map(|_| Instant::now())
        } else {
            self.stalled_until
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(Arc::new(EdgeLimits::default()))
    }

    #[test]
    fn a_life_of_two_requests() {
        let watch = watch();
        assert_eq!(watch.written_end(), None);
        watch.on_read(b"GET / HTTP/1.1\r\n\r\n");
        assert!(matches!(watch.phase(), Phase::Head { .. }));
        watch.on_request(&Method::GET, BodyLength::Known(0));
        assert_eq!((watch.written_end(), watch.deadline()), (Some(End::Told), None));
        watch.on_flushed();
        assert_eq!(watch.phase(), Phase::Serving, "a flush within an answer does not end it");
        watch.on_answered(true);
        watch.on_flushed();
        assert!(matches!(watch.phase(), Phase::Idle { .. }));
        watch.on_read(b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n");
        watch.on_request(&Method::POST, BodyLength::Chunked);
        assert_eq!(watch.content_lengths(), Some(1), "the first head is forgotten");
    }

    #[test]
    fn a_head_that_began_before_the_answer_was_out_is_due_like_any_other() {
        let watch = watch();
        watch.on_read(b"GET / HTTP/1.1\r\n\r\nGET");
        watch.on_request(&Method::GET, BodyLength::Known(0));
        watch.on_answered(true);
        watch.on_flushed();
        assert!(matches!(watch.phase(), Phase::Head { .. }));
    }

    #[test]
    fn an_answer_that_ends_by_the_close_may_be_closed_when_it_is_whole() {
        let watch = watch();
        for (whole, end) in [(true, End::ClosesWhole), (false, End::Close)] {
            watch.on_request(&Method::GET, BodyLength::Known(0));
            watch.on_until_close();
            assert_eq!(watch.written_end(), Some(End::Close));
            watch.on_answered(whole);
            assert_eq!(watch.end(), end);
        }
        watch.on_request(&Method::GET, BodyLength::Known(0));
        watch.on_answered(true);
        assert_eq!(watch.end(), End::Told);
    }

    #[test]
    fn a_client_that_takes_nothing_has_a_deadline() {
        let watch = watch();
        watch.on_request(&Method::GET, BodyLength::Known(0));
        watch.on_stall(true);
        assert!(watch.deadline().is_some());
        watch.on_stall(false);
        assert!(watch.deadline().is_none());
    }

    #[test]
    fn a_stop_does_not_wait_for_who_takes_nothing_of_an_unending_answer() {
        let watch = watch();
        watch.on_request(&Method::GET, BodyLength::Known(0));
        watch.on_unending();
        watch.on_stop();
        assert_eq!(watch.deadline(), None);
        watch.on_stall(true);
        assert!(watch.deadline().is_some_and(|deadline| deadline <= Instant::now()));
    }

    #[test]
    fn the_next_piece_is_given_when_the_one_before_is_out() {
        let watch = watch();
        let waker = Waker::noop();
        assert!(watch.is_piece_out(waker));
        watch.on_piece();
        assert!(!watch.is_piece_out(waker));
        watch.on_flushed();
        assert!(watch.is_piece_out(waker));
    }
}
