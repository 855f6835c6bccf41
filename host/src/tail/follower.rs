//! One client that follows the log.

use std::sync::Arc;

use axum::BoxError;
use bytes::Bytes;
use futures_util::{Stream, stream};
use replog_shared::{
    Order,
    store::{ReadError, Reader},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    All, Seat,
    format::Format,
    limits::{KEEP_ALIVE, PAGE_BYTES, PIECE_BYTES},
};
use crate::{
    edge::stream::Overtaken,
    pages::{Shown, SteadyReader},
};

/// Where one client is in the log.
#[derive(Debug)]
pub(super) struct Follower<R> {
    pub(super) reader: SteadyReader<R>,
    pub(super) shown: watch::Receiver<Shown>,
    pub(super) format: Format,
    /// The next order.
    pub(super) at: Order,
    /// The log was cut before this client came back.
    pub(super) cut: bool,
    pub(super) all: Arc<All>,
    pub(super) stopping: CancellationToken,
    /// Given back when the client leaves.
    #[expect(dead_code, reason = "it is held, not used")]
    pub(super) seat: Seat,
}

/// What is sent, and what follows it.
struct State<R> {
    follower: Follower<R>,
    /// What was read and is not sent yet: more than one piece only of an entry that is larger than one.
    left: Bytes,
    /// When a sign of life is due.
    quiet_until: Instant,
    /// The last word is in `left`.
    over: bool,
}

/// What happens next to a client that has got all that was read for it.
enum Next {
    Send(Bytes),
    /// The last word.
    End(Bytes),
}

impl<R: Reader> Follower<R> {
    /// The answer, piece by piece. The next is made when the one before is taken.
    pub(super) fn pieces(self) -> impl Stream<Item = Result<Bytes, BoxError>> {
        let (left, quiet_until) = (self.format.greeting(), Instant::now() + KEEP_ALIVE);
        let state = State { follower: self, left, quiet_until, over: false };
        stream::try_unfold(state, State::next)
    }

    /// The log was cut: the last word, or a broken-off answer where there is none.
    fn end_of_history(&self) -> Result<Next, BoxError> {
        self.format.cut().map(Next::End).ok_or_else(|| Overtaken.into())
    }

    /// Waits until there is something to send.
    async fn wait(&mut self, quiet_until: Instant) -> Result<Next, BoxError> {
        loop {
            if self.cut || self.reader.was_cut() {
                return self.end_of_history();
            }
            let length = self.shown.borrow().length;
            if self.at < length {
                return self.read(length).await;
            }
            match timeout_at(quiet_until, self.shown.changed()).await {
                Ok(Ok(())) => {}
                // The node is gone.
                Ok(Err(_)) => return Ok(Next::End(Bytes::new())),
                Err(_) => return Ok(Next::Send(self.format.keep_alive())),
            }
        }
    }

    async fn read(&mut self, length: Order) -> Result<Next, BoxError> {
        let all = Arc::clone(&self.all);
        let page = all.turns.take(self.page(length), |page| page.as_ref().map_or(0, Bytes::len)).await;
        match page {
            Ok(page) => Ok(Next::Send(page)),
            Err(_) if self.reader.was_cut() => self.end_of_history(),
            Err(error) => Err(error.into()),
        }
    }

    /// The next entries as they are sent.
    async fn page(&mut self, at_least: Order) -> Result<Bytes, ReadError> {
        // More may be shown since the turn was asked for.
        let length = self.shown.borrow().length.max(at_least);
        let page = self.reader.read(self.at, length, PAGE_BYTES).await?;
        if page.to <= self.at {
            return Err(ReadError { order: self.at, reason: "it is shown, and not there".into() });
        }
        let entries = self.format.entries(self.at, &page.bytes);
        self.at = page.to;
        Ok(entries)
    }
}

impl<R: Reader> State<R> {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, BoxError> {
        while self.left.is_empty() {
            if self.over {
                return Ok(None);
            }
            // Only between two entries: an answer that ends well ends with a whole one.
            let (stopping, quiet_until) = (self.follower.stopping.clone(), self.quiet_until);
            match stopping.run_until_cancelled(self.follower.wait(quiet_until)).await {
                None => return Ok(None),
                Some(next) => match next? {
                    Next::Send(bytes) => self.left = bytes,
                    Next::End(bytes) => (self.left, self.over) = (bytes, true),
                },
            }
        }
        self.quiet_until = Instant::now() + KEEP_ALIVE;
        let piece = self.left.split_to(self.left.len().min(PIECE_BYTES));
        Ok(Some((piece, self)))
    }
}
