//! The client's events, boiled down to what the bus acts on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_nats::{ClientError, Event, ServerError};
use tokio::sync::mpsc;
use tracing::warn;

use super::super::limits::{DENIED_AGAIN_AFTER, MAX_DENIALS, NOTICE_QUEUE};

/// Texts, in lower case, by which the server says that it will not do what was asked. Other errors announce
/// the end of a connection, which the link notices by itself.
const REFUSALS: [&str; 5] = ["violation", "authori", "authenti", "exceeded", "invalid"];

/// What the bus must know about. Lossy: the queue of the client, and ours, drop what they cannot hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Connected or disconnected: look at the link.
    LinkChanged,
    /// The server refused something, in its own words.
    Denied(String),
    /// An attempt to connect failed.
    Unreachable(String),
    /// A subscription was full.
    Overrun,
}

/// The end that the client's callback holds.
#[derive(Clone)]
pub(super) struct NoticeSender {
    queue: mpsc::Sender<Notice>,
    /// An overrun is queued and not taken yet. One is as good as a hundred, and a hundred would push out the
    /// rest.
    overrun_queued: Arc<AtomicBool>,
}

pub(super) fn channel() -> (NoticeSender, mpsc::Receiver<Notice>) {
    let (queue, notices) = mpsc::channel(NOTICE_QUEUE);
    (NoticeSender { queue, overrun_queued: Arc::default() }, notices)
}

impl NoticeSender {
    pub(super) fn on_event(&self, event: Event) {
        match event {
            Event::Connected | Event::Disconnected | Event::Closed => self.tell(Notice::LinkChanged),
            Event::SlowConsumer(_) => self.tell_overrun(),
            Event::ServerError(error) => self.on_server_error(error),
            Event::ClientError(error) => self.on_client_error(error),
            Event::LameDuckMode => warn!("the NATS server is about to stop; another one is tried then"),
            Event::Draining => {}
        }
    }

    /// The bus has told its reader of the overrun; the next one is news again.
    pub(super) fn overrun_taken(&self) {
        self.overrun_queued.store(false, Ordering::Relaxed);
    }

    fn on_server_error(&self, error: ServerError) {
        let what = match error {
            ServerError::Other(text) => text,
            known => known.to_string(),
        };
        if is_refusal(&what) {
            self.tell(Notice::Denied(what));
        } else {
            warn!(nats.error = what, "the NATS server complains");
        }
    }

    fn on_client_error(&self, error: ClientError) {
        let why = match error {
            ClientError::Other(text) => text,
            known => known.to_string(),
        };
        let notice = if is_refusal(&why) { Notice::Denied(why) } else { Notice::Unreachable(why) };
        self.tell(notice);
    }

    fn tell_overrun(&self) {
        if !self.overrun_queued.swap(true, Ordering::Relaxed) && self.queue.try_send(Notice::Overrun).is_err()
        {
            self.overrun_taken();
        }
    }

    /// A full queue drops the notice: the link is looked at anyway, and a refusal that goes on comes again.
    fn tell(&self, notice: Notice) {
        let _dropped_when_full = self.queue.try_send(notice);
    }
}

fn is_refusal(text: &str) -> bool {
    let text = text.to_lowercase();
    REFUSALS.iter().any(|refusal| text.contains(refusal))
}

/// The refusals of one connection. The server repeats one for every single packet.
#[derive(Debug, Default)]
pub(super) struct Denials {
    seen: Vec<(String, Instant)>,
}

/// How new a refusal is.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Novelty {
    /// Not seen over this connection.
    First,
    /// Known, and told long enough ago to tell it again.
    GoesOn,
    /// Told a moment ago.
    Echo,
}

impl Denials {
    pub(super) fn on_denied(&mut self, what: &str, now: Instant) -> Novelty {
        let Some((_, told)) = self.seen.iter_mut().find(|(text, _)| text == what) else {
            return self.on_unseen(what, now);
        };
        if now.duration_since(*told) < DENIED_AGAIN_AFTER {
            return Novelty::Echo;
        }
        *told = now;
        Novelty::GoesOn
    }

    fn on_unseen(&mut self, what: &str, now: Instant) -> Novelty {
        if self.seen.len() >= MAX_DENIALS {
            return Novelty::Echo;
        }
        self.seen.push((what.to_owned(), now));
        Novelty::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices_of(events: impl IntoIterator<Item = Event>) -> Vec<Notice> {
        let (sender, mut notices) = channel();
        events.into_iter().for_each(|event| sender.on_event(event));
        std::iter::from_fn(|| notices.try_recv().ok()).collect()
    }

    #[test]
    fn a_flood_of_overruns_is_one_and_pushes_nothing_out() {
        let flood = (0..1000).map(|_| Event::SlowConsumer(1)).chain([Event::Disconnected]);
        assert_eq!(notices_of(flood), [Notice::Overrun, Notice::LinkChanged]);
    }

    #[test]
    fn after_it_was_taken_an_overrun_is_news_again() {
        let (sender, mut notices) = channel();
        for _ in 0..2 {
            sender.on_event(Event::SlowConsumer(1));
            assert_eq!(notices.try_recv(), Ok(Notice::Overrun));
            sender.overrun_taken();
        }
    }

    #[test]
    fn refusals_are_told_apart_from_the_end_of_a_connection() {
        let told = |text: &str| notices_of([Event::ServerError(ServerError::Other(text.to_owned()))]);
        for text in [
            r#"Permissions Violation for Publish to "a""#,
            "User Authentication Expired",
            "maximum subscriptions exceeded",
        ] {
            assert_eq!(told(text), [Notice::Denied(text.to_owned())]);
        }
        assert_eq!(told("Stale Connection"), []);
    }

    #[test]
    fn a_refused_login_is_denied_and_a_missing_server_is_not() {
        let told = |text: &str| notices_of([Event::ClientError(ClientError::Other(text.to_owned()))]);
        assert_eq!(told("authorization violation"), [Notice::Denied("authorization violation".to_owned())]);
        assert_eq!(told("IO error"), [Notice::Unreachable("IO error".to_owned())]);
    }

    #[test]
    fn a_refusal_is_told_again_only_after_a_while() {
        let start = Instant::now();
        let mut denials = Denials::default();
        assert_eq!(denials.on_denied("a", start), Novelty::First);
        assert_eq!(denials.on_denied("a", start), Novelty::Echo);
        assert_eq!(denials.on_denied("b", start), Novelty::First);
        let later = start + DENIED_AGAIN_AFTER;
        assert_eq!(denials.on_denied("a", later), Novelty::GoesOn);
        assert_eq!(denials.on_denied("a", later), Novelty::Echo);
    }
}
