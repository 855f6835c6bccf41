//! The client's events, boiled down to what the bus acts on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::{Event, ServerError};
use tokio::sync::mpsc;
use tracing::warn;

use super::super::limits::NOTICE_QUEUE;
use super::denials;
use super::dial::Failure;

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
    Unreachable(Failure),
    /// A server says this of its limit for one payload; none if it said nothing.
    PayloadLimit(Option<usize>),
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
            Event::LameDuckMode => warn!("the NATS server is about to stop; another one is tried then"),
            // It says that an attempt failed, and not which or why: that is read before the next one.
            Event::ClientError(_) | Event::Draining => {}
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
            self.tell(Notice::Denied(denials::without_sid(&what).to_owned()));
        } else {
            warn!(nats.error = what, "the NATS server complains");
        }
    }

    /// An attempt to connect failed.
    pub(super) fn on_unreachable(&self, failure: Failure) {
        self.tell(Notice::Unreachable(failure));
    }

    /// The server was asked for its limit.
    pub(super) fn on_payload_limit(&self, limit: Option<usize>) {
        self.tell(Notice::PayloadLimit(limit));
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

/// Whether the server says that it will not do what was asked.
pub(super) fn is_refusal(text: &str) -> bool {
    let text = text.to_lowercase();
    REFUSALS.iter().any(|refusal| text.contains(refusal))
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
    fn a_refused_subscription_is_the_same_whatever_its_number() {
        let refused = |more: &str| {
            let text = format!("Permissions Violation for Subscription to \"a\"{more}");
            notices_of([Event::ServerError(ServerError::Other(text))])
        };
        assert_eq!(refused(" (sid \"7\")"), refused(""));
    }
}
