//! `GET /tail`: the log as it grows, for both programs.
//!
//! | module | holds |
//! | --- | --- |
//! | `request` | where a client wants to begin, and how it wants to be answered |
//! | `follower` | one client: what it has been given, and what comes next |
//! | `format` | entries as server-sent events, or as lines |
//! | `turns` | who is served when, so that appends come first |
//! | `limits` | what one client may cost |

mod follower;
mod format;
mod limits;
mod request;
mod turns;

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, header};
use replog_shared::{Code, store::Reader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub use request::TailQuery;

use self::{follower::Follower, request::Wanted, turns::Turns};
use crate::{
    edge::{EdgeLimits, Problem, Waits, stream::Unending, waits::WaitPlace},
    pages::{Shown, SteadyReader, with_epoch},
    reads::Reads,
};

/// All clients that follow this node's log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tails(Arc<All>);

#[derive(Debug)]
struct All {
    seats: Arc<Semaphore>,
    /// A follower holds its connection for as long as it likes.
    waits: Waits,
    max: usize,
    turns: Turns,
}

/// What a follower holds while it follows.
#[derive(Debug)]
struct Seat {
    _seat: OwnedSemaphorePermit,
    _place: WaitPlace,
}

/// The log that is followed.
#[derive(Clone, Debug)]
pub struct Source<R> {
    /// Reads it.
    pub reads: Reads<R>,
    /// What may be shown of it.
    pub shown: watch::Receiver<Shown>,
    /// Whether this node shows all there is, as a master that leads does: who has seen more saw another history.
    pub is_whole: bool,
    /// The node stops: every answer ends.
    pub stopping: CancellationToken,
}

impl Tails {
    /// Nobody follows yet.
    pub fn new(limits: &EdgeLimits, waits: Waits) -> Tails {
        let max = limits.max_tails.min(waits.limit());
        let turns = Turns::new(limits.max_tail_bytes_per_second);
        Tails(Arc::new(All { seats: Arc::new(Semaphore::new(max)), waits, max, turns }))
    }

    /// Answers with the entries from where the client wants to begin, and goes on with each that is shown, until the
    /// client leaves, the log is cut or the node stops. Takes one page of memory; costs nothing while nothing is
    /// appended.
    ///
    /// # Errors
    /// 503: as many follow as may; 400, 406: what the client says.
    pub fn answer<R: Reader>(
        &self,
        source: Source<R>,
        query: TailQuery,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let began = source.shown.borrow().clone();
        let wanted = Wanted::of(query, headers, began.length)?;
        let seat = self.seat()?;
        let reader = SteadyReader::new(source.reads, source.shown.clone());
        let content_type = wanted.format.content_type();
        let follower = Follower {
            reader,
            shown: source.shown,
            format: wanted.format,
            at: wanted.from,
            seen: wanted.seen,
            is_whole: source.is_whole,
            all: Arc::clone(&self.0),
            stopping: source.stopping,
            seat,
        };
        Ok(unending(with_epoch(Response::new(Body::from_stream(follower.pieces())), &began), content_type))
    }

    fn seat(&self) -> Result<Seat, Problem> {
        let seat = Arc::clone(&self.0.seats).try_acquire_owned().ok();
        let seat = seat.and_then(|seat| Some(Seat { _seat: seat, _place: self.0.waits.take()? }));
        seat.ok_or_else(|| {
            let max = self.0.max;
            let detail = format!(
                "{max} clients may follow the log of this node, fewer while others wait here; now no more may. Follow another node."
            );
            Problem::new(Code::TooManyTails, detail).with("limit", max).retry_after(Duration::from_secs(5))
        })
    }
}

/// Says what no cache and no proxy may do with it.
fn unending(mut response: Response, content_type: HeaderValue) -> Response {
    response.extensions_mut().insert(Unending);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    // nginx collects what it passes on, unless told not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
