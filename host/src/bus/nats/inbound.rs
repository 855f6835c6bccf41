//! All subscriptions of a bus, read as one.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_nats::{Message, Subscriber};
use futures_util::Stream;

use super::super::limits::BURST_PACKETS;

/// The subscriptions, read in turns of at most [`BURST_PACKETS`].
///
/// It stays with the one that has packets: a busy subscription costs one look a packet, not one a
/// subscription.
pub(super) struct Inbound {
    subscribers: Vec<Subscriber>,
    /// Whose turn it is.
    turn: usize,
    /// Packets taken in this turn.
    taken: usize,
}

impl Inbound {
    pub(super) fn new(subscribers: Vec<Subscriber>) -> Self {
        Self { subscribers, turn: 0, taken: 0 }
    }

    /// The next packet of any subscription. Pending when none has one; each of them wakes the task then.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        for _ in 0..self.subscribers.len() {
            if let Poll::Ready(Some(message)) = Pin::new(&mut self.subscribers[self.turn]).poll_next(cx) {
                self.on_taken();
                return Poll::Ready(message);
            }
            self.next_turn();
        }
        Poll::Pending
    }

    fn on_taken(&mut self) {
        self.taken += 1;
        if self.taken >= BURST_PACKETS {
            self.next_turn();
        }
    }

    fn next_turn(&mut self) {
        self.turn = (self.turn + 1) % self.subscribers.len();
        self.taken = 0;
    }
}
