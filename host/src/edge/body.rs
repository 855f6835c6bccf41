//! Bodies in, metered; bodies out, watched.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::{EdgeLimits, Problem, watch::Watch};
use replog_shared::{Applied, Code};

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("nothing came for {} s in the middle of the body", after.as_secs_f64())]
    Silent { after: Duration },
    #[error("too many bodies are arriving at one time")]
    Overloaded,
    #[error("the body is broken: {0}")]
    Broken(#[from] hyper::Error),
}

impl BodyError {
    /// What the client is told. A body that did not come whole has no id that could be looked up.
    pub(super) fn problem(&self) -> Problem {
        match self {
            Self::TooLarge { limit } => too_large(*limit),
            Self::Silent { after } => {
                let detail = format!("Nothing came for {} s in the middle of the body.", after.as_secs_f64());
                Problem::new(Code::BodyTooSlow, detail).applied(Applied::Unknown)
            }
            Self::Overloaded => {
                let detail = "Too many large bodies are arriving at one time. Try again a little later.";
                Problem::new(Code::Overloaded, detail)
                    .applied(Applied::Unknown)
                    .retry_after(Duration::from_secs(1))
            }
            Self::Broken(error) => {
                let detail = format!("The body did not come whole: {error}.");
                Problem::new(Code::BrokenBody, detail).applied(Applied::Unknown)
            }
        }
    }
}

/// The refusal of a body above the limit, announced or sent.
pub(super) fn too_large(limit: usize) -> Problem {
    let detail = format!("The body is larger than {limit} bytes. Send less at one time.");
    Problem::new(Code::BodyTooLarge, detail).with("limit", limit)
}

/// Bytes of all bodies that are arriving in pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Arriving(Arc<AtomicUsize>);

/// A request's body within its limits.
///
/// Costs nothing for a body that is there at once: the timer begins to run at the first wait, and only
/// what comes after the first piece is counted in [`Arriving`].
pub(super) struct RequestBody {
    body: Incoming,
    watch: Arc<Watch>,
    arriving: Arriving,
    /// What of this body is counted in `arriving`.
    counted: usize,
    received: usize,
    /// Runs while the body is waited for.
    silence: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, watch: Arc<Watch>, arriving: Arriving) -> Self {
        Self { body, watch, arriving, counted: 0, received: 0, silence: None, ended: false }
    }

    fn limits(&self) -> &EdgeLimits {
        self.watch.limits()
    }

    fn on_data(&mut self, data: &Bytes) -> Result<(), BodyError> {
        if self.received > 0 {
            self.counted += data.len();
            let all = self.arriving.0.fetch_add(data.len(), Relaxed) + data.len();
            if all > self.limits().max_arriving_bytes {
                return Err(BodyError::Overloaded);
            }
        }
        self.received += data.len();
        let limit = self.limits().max_body_bytes;
        if self.received > limit { Err(BodyError::TooLarge { limit }) } else { Ok(()) }
    }

    /// Ready when nothing has come for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let after = self.limits().body_silence;
        let timer = self.silence.get_or_insert_with(|| Box::pin(sleep(after)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(BodyError::Silent { after })
    }

    /// Something has come: the silence begins anew.
    fn end_silence(&mut self) {
        let after = self.limits().body_silence;
        if let Some(timer) = &mut self.silence {
            timer.as_mut().reset(Instant::now() + after);
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            return self.poll_silence(cx).map(|error| Some(Err(error)));
        };
        self.end_silence();
        Poll::Ready(match frame.transpose()? {
            Some(frame) => Some(match frame.data_ref() {
                Some(data) => self.on_data(data).map(|()| frame),
                None => Ok(frame),
            }),
            None => {
                self.ended = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.counted > 0 {
            self.arriving.0.fetch_sub(self.counted, Relaxed);
        }
        if !self.ended && !self.is_end_stream() {
            self.watch.on_unread();
        }
    }
}

/// An answer's body, which tells the watch when it is given away.
///
/// hyper takes pieces until 64 KiB of them wait in its buffer. Of an unending answer it gets the next one when the
/// one before is out: what a slow client costs is one piece.
pub(super) struct AnswerBody {
    body: Body,
    watch: Arc<Watch>,
    unending: bool,
    /// All of it was given.
    ended: bool,
}

impl AnswerBody {
    pub(super) fn new(body: Body, watch: Arc<Watch>, unending: bool) -> Self {
        if unending {
            watch.on_unending();
        }
        Self { body, watch, unending, ended: false }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.watch.on_answered(self.ended || self.body.is_end_stream());
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.unending && !self.watch.is_piece_out(cx.waker()) {
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if self.unending {
            self.watch.on_piece();
        }
        self.ended = frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, task::Waker};

    use futures_util::stream;
    use http_body::Body as _;

    use super::*;

    #[test]
    fn of_an_unending_answer_one_piece_at_a_time_is_given() {
        let watch = Arc::new(Watch::new(Arc::default()));
        let pieces = ["1", "2"].map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
        let body = Body::from_stream(stream::iter(pieces));
        let mut answer = AnswerBody::new(body, Arc::clone(&watch), true);
        let mut next =
            || Pin::new(&mut answer).poll_frame(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(next());
        assert!(!next(), "the first is not out");
        watch.on_flushed();
        assert!(next());
    }
}
