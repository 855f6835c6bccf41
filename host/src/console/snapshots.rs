//! A node's state as server-sent events.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::{HeaderName, header};
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::edge::{Problem, Waits, stream::Unending, waits::WaitPlace};
use replog_shared::Code;

/// Between two looks at the node: quick enough for the eye, and each costs the node a turn.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Something is sent at least this often: a connection that is dead is found out, by both sides.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Open streams at one time. Each looks at the node for itself; a page open in more browsers than that waits.
const MAX_STREAMS: usize = 64;

/// The streams that are open. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Snapshots {
    open: Arc<AtomicUsize>,
    /// A stream holds its connection for as long as it likes.
    waits: Waits,
}

/// One open stream.
struct Place {
    open: Arc<AtomicUsize>,
    _wait: WaitPlace,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Snapshots {
    /// No stream is open.
    pub fn new(waits: Waits) -> Snapshots {
        Snapshots { open: Arc::default(), waits }
    }

    fn enter(&self) -> Result<Place, Problem> {
        let wait = self.waits.take().ok_or_else(|| self.waits.refusal())?;
        let place = Place { open: Arc::clone(&self.open), _wait: wait };
        if self.open.fetch_add(1, Ordering::Relaxed) < MAX_STREAMS {
            return Ok(place);
        }
        let detail = format!("{MAX_STREAMS} consoles are open here: close one.");
        Err(Problem::new(Code::Overloaded, detail))
    }
}

/// What `look` gives, at once and then each time it has changed. Ends with `stop`, when `look` gives nothing any
/// more, or when the client goes.
///
/// # Errors
/// Too many streams are open.
pub fn stream<T, F>(
    snapshots: &Snapshots,
    look: impl Fn() -> F + Send + 'static,
    stop: CancellationToken,
) -> Result<Response, Problem>
where
    T: Serialize,
    F: Future<Output = Option<T>> + Send,
{
    let place = snapshots.enter()?;
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watched = Watched { look, ticks, stop, seen: Vec::new(), sent_at: Instant::now(), _place: place };
    let events = unfold(watched, |mut watched| async {
        let event = watched.next().await?;
        Some((Ok::<_, Infallible>(event), watched))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx collects what it passes on, unless told not to.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let mut response = (headers, Body::from_stream(events)).into_response();
    response.extensions_mut().insert(Unending);
    Ok(response)
}

struct Watched<L> {
    look: L,
    ticks: Interval,
    stop: CancellationToken,
    /// What the client has.
    seen: Vec<u8>,
    sent_at: Instant,
    _place: Place,
}

impl<L> Watched<L> {
    /// The next event; none: the stream is over.
    async fn next<T, F>(&mut self) -> Option<Bytes>
    where
        L: Fn() -> F,
        T: Serialize,
        F: Future<Output = Option<T>>,
    {
        loop {
            self.stop.run_until_cancelled(self.ticks.tick()).await?;
            // A snapshot is plain data, which always has a JSON text.
            let now = serde_json::to_vec(&(self.look)().await?).ok()?;
            if now != self.seen {
                self.seen = now;
                self.sent_at = Instant::now();
                return Some([b"event: state\ndata: ", &self.seen[..], b"\n\n"].concat().into());
            }
            if self.sent_at.elapsed() >= KEEP_ALIVE {
                self.sent_at = Instant::now();
                // No blank line: it would end an event, and some readers give out an empty one.
                return Some(Bytes::from_static(b": alive\n"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use futures_util::StreamExt as _;

    use super::*;

    async fn next(body: &mut axum::body::BodyDataStream) -> Option<String> {
        let piece = body.next().await?;
        Some(String::from_utf8(piece.unwrap().to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_told_at_once_and_again_only_when_it_has_changed() {
        let (state, stop) = (Arc::new(AtomicU64::new(1)), CancellationToken::new());
        let look = {
            let state = Arc::clone(&state);
            move || std::future::ready(Some(state.load(Ordering::Relaxed)))
        };
        let response = stream(&Snapshots::new(Waits::of(MAX_STREAMS + 1)), look, stop.clone()).ok().unwrap();
        let mut body = response.into_body().into_data_stream();
        assert_eq!(next(&mut body).await.unwrap(), "event: state\ndata: 1\n\n");
        let started = Instant::now();
        assert_eq!(next(&mut body).await.unwrap(), ": alive\n");
        assert!(started.elapsed() >= KEEP_ALIVE - LOOK_INTERVAL);
        state.store(2, Ordering::Relaxed);
        assert_eq!(next(&mut body).await.unwrap(), "event: state\ndata: 2\n\n");
        stop.cancel();
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn streams_have_a_limit_and_one_that_ends_makes_room() {
        let (snapshots, stop) = (Snapshots::new(Waits::of(MAX_STREAMS + 1)), CancellationToken::new());
        let open = || stream(&snapshots, || std::future::ready(Some(1)), stop.clone());
        let mut opened: Vec<Response> = (0..MAX_STREAMS).map(|_| open().ok().unwrap()).collect();
        assert!(open().is_err());
        opened.pop();
        assert!(open().is_ok());
    }
}
