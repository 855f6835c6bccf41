//! All subscriptions of a bus, read as one, and made again when they were denied.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use async_nats::{Client, Message, Subscriber};
use futures_util::{FutureExt as _, Stream};
use tokio::task::unconstrained;

use super::super::limits::{BURST_PACKETS, RENEWAL_MAX};
use super::options::NatsSetupError;
use super::renewal::Renewal;

/// The subscriptions, read in turns of at most [`BURST_PACKETS`].
///
/// It stays with the one that has packets: a busy subscription costs one look a packet, not one a
/// subscription.
pub(super) struct Inbound {
    subscriptions: Vec<Subscription>,
    /// Whose turn it is.
    turn: usize,
    /// Packets taken in this turn.
    taken: usize,
}

struct Subscription {
    subject: String,
    /// None: the client had no room for it. It is tried again as one that is denied.
    subscriber: Option<Subscriber>,
    /// The server does not serve it, as far as this node knows.
    denied: Option<Renewal>,
}

impl Inbound {
    /// Subscribes to each subject.
    pub(super) async fn subscribe(client: &Client, subjects: Vec<String>) -> Result<Self, NatsSetupError> {
        let mut subscriptions = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let subscriber = client.subscribe(subject.clone()).await;
            let refused = |error| NatsSetupError::one(format!("cannot subscribe to {subject:?}: {error}"));
            let subscriber = Some(subscriber.map_err(refused)?);
            subscriptions.push(Subscription { subject, subscriber, denied: None });
        }
        Ok(Self { subscriptions, turn: 0, taken: 0 })
    }

    /// The next packet of any subscription. Pending when none has one; each of them wakes the task then.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        for _ in 0..self.subscriptions.len() {
            if let Some(subscriber) = &mut self.subscriptions[self.turn].subscriber
                && let Poll::Ready(Some(message)) = Pin::new(subscriber).poll_next(cx)
            {
                self.on_taken();
                return Poll::Ready(message);
            }
            self.next_turn();
        }
        Poll::Pending
    }

    /// The server refused this subscription, or took it away.
    pub(super) fn on_denied(&mut self, subject: &str, now: Instant) {
        if let Some(denied) =
            self.subscriptions.iter_mut().find(|subscription| subscription.subject == subject)
        {
            denied.denied.get_or_insert_with(|| Renewal::new(RENEWAL_MAX)).on_denied(now);
        }
    }

    /// Over a new connection the client subscribes to everything again.
    pub(super) fn on_connected(&mut self) {
        for subscription in &mut self.subscriptions {
            subscription.denied = None;
        }
    }

    /// Subscribes again where it is time. The subject of one that is in place again.
    pub(super) fn renew(&mut self, client: &Client, now: Instant) -> Option<String> {
        for subscription in &mut self.subscriptions {
            let Some(denied) = &mut subscription.denied else { continue };
            if denied.is_in_place(now) {
                subscription.denied = None;
                return Some(subscription.subject.clone());
            }
            if denied.is_due(now) {
                // First the old one goes: were the server to serve both, each packet would come twice.
                subscription.subscriber = None;
                subscription.subscriber = subscribe_now(client, &subscription.subject);
                if subscription.subscriber.is_none() {
                    denied.on_denied(now);
                }
            }
        }
        None
    }

    fn on_taken(&mut self) {
        self.taken += 1;
        if self.taken >= BURST_PACKETS {
            self.next_turn();
        }
    }

    fn next_turn(&mut self) {
        self.turn = (self.turn + 1) % self.subscriptions.len();
        self.taken = 0;
    }
}

/// None if the client's queue has no room for it now.
pub(super) fn subscribe_now(client: &Client, subject: &str) -> Option<Subscriber> {
    // Without `unconstrained` a task that has used up its turn would take a free queue for a full one.
    unconstrained(client.subscribe(subject.to_owned())).now_or_never()?.ok()
}
