//! One client that follows the log.

use std::sync::Arc;

use axum::BoxError;
use bytes::Bytes;
use futures_util::{Stream, stream};
use replog_shared::{
    Order,
    entry::EntryLine,
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
    request::Seen,
};
use crate::{
    edge::stream::Overtaken,
    pages::{Shown, SteadyReader, entry_lines},
};

/// Where one client is in the log.
#[derive(Debug)]
pub(super) struct Follower<R> {
    pub(super) reader: SteadyReader<R>,
    pub(super) shown: watch::Receiver<Shown>,
    pub(super) format: Format,
    /// The next order.
    pub(super) at: Order,
    /// The entry before `at`, which the client has seen elsewhere or earlier, until this log is known to hold the
    /// same.
    pub(super) seen: Option<Seen>,
    /// As in [`super::Source`].
    pub(super) is_whole: bool,
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

/// What this log says of an entry that a client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    /// It holds the same, or nothing tells that it does not.
    Same,
    /// It holds another one at that order, or will.
    Other,
    /// It is not there yet.
    NotYet,
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

    /// The client has seen another history: it is told so, and gets this one from its beginning.
    fn begin_anew(&mut self) -> Result<Next, BoxError> {
        (self.seen, self.at) = (None, Order::ZERO);
        self.format.cut().map(Next::Send).ok_or_else(|| Overtaken.into())
    }

    /// Whether this log, of which `length` entries are shown, holds what the client has seen.
    async fn compare(&mut self, length: Order) -> Result<Compared, ReadError> {
        let Some(seen) = self.seen else { return Ok(Compared::Same) };
        let compared = match seen.epoch {
            _ if self.is_whole && seen.order >= length => Compared::Other,
            None => Compared::Same,
            Some(epoch) if seen.order < length => {
                let page = self.reader.read(seen.order, seen.order.next(), PAGE_BYTES).await?;
                let found = entry_lines(&page.bytes).next().and_then(|line| EntryLine::parse(line).ok());
                let same = found.is_some_and(|entry| entry.epoch == epoch);
                if same { Compared::Same } else { Compared::Other }
            }
            // Epochs never fall along a log: what comes at that order is of the last epoch of what is shown or of a later
            // one. Not of the epoch in which the node answers: while a log is taken over, most of it is not shown when that
            // begins.
            Some(epoch) if self.shown.borrow().history.epoch() > Some(epoch) => Compared::Other,
            Some(_) => Compared::NotYet,
        };
        if compared == Compared::Same {
            self.seen = None;
        }
        Ok(compared)
    }

    /// Waits until there is something to send.
    async fn wait(&mut self, quiet_until: Instant) -> Result<Next, BoxError> {
        loop {
            if self.reader.was_cut() {
                return self.end_of_history();
            }
            let length = self.shown.borrow().length;
            match self.compare(length).await {
                Ok(Compared::Same) if self.at < length => return self.read(length).await,
                Ok(Compared::Same | Compared::NotYet) => {}
                Ok(Compared::Other) => return self.begin_anew(),
                Err(_) if self.reader.was_cut() => return self.end_of_history(),
                Err(error) => return Err(error.into()),
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
