//! The bus over NATS, core publish and subscribe only.
//!
//! What the client library does not promise is made up for here: a publish that returns Ok may be lost, a
//! flush proves nothing, events may be dropped, and a subscription may not be in place when it returns.
//! So *up* means that a packet of our own came back over this very connection, and the state of the
//! connection is read from the client, never inferred from its events; they only say when to look.
//!
//! In a cluster the round trip proves the server we are connected to. The others hear of our subscriptions a
//! moment later; what is lost in that moment is sent again like everything else that is lost.

mod inbound;
mod link;
mod notices;
mod options;
mod service;
mod setup;
mod url;

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use async_nats::connection::State;
use async_nats::{Client, Message, PublishError, PublishErrorKind, Statistics};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::unconstrained;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tracing::{error, info, warn};

use self::inbound::Inbound;
use self::link::{Change, Link};
use self::notices::{Denials, Notice, NoticeSender, Novelty};
pub use self::options::{NatsOptions, NatsSetupError};
pub use self::service::{Asker, NatsService};
pub use self::url::{NatsUrl, NatsUrlError};
use super::limits::{CLOSE_TIMEOUT, LINK_CHECK_INTERVAL, SEND_QUEUE_PACKETS};
use super::{Bus, BusEvent, Incoming, Outgoing, Refused};

/// A node's connection to NATS. Reconnects for ever; dropping it closes the connection.
///
/// Logs when the connection comes, goes, cannot be made, and when the server refuses something; the
/// receiver of the events need not.
pub struct NatsBus {
    client: Client,
    statistics: Arc<Statistics>,
    inbound: Inbound,
    notices: mpsc::Receiver<Notice>,
    notice_sender: NoticeSender,
    link: Link,
    denials: Denials,
    /// Why the last attempt to connect failed; None while connected. Logged when it changes.
    complaint: Option<String>,
    probe_subject: String,
    look: Interval,
}

impl NatsBus {
    /// Starts connecting and returns at once, whether or not a server is there: [`BusEvent::Up`] tells.
    ///
    /// Listens on `subscriptions` and on everything below `inbox` (one per node, such as
    /// `replog.main.inbox.master`). The subject `<inbox>.probe` is the bus's own: what arrives there is never
    /// surfaced. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// All that is wrong with the options and the subscriptions, never that a server is not there.
    pub async fn connect(
        options: NatsOptions,
        subscriptions: Vec<String>,
        inbox: String,
    ) -> Result<Self, NatsSetupError> {
        let ready = options.check()?;
        let (notice_sender, notices) = notices::channel();
        // Before there is a server the subscriptions wait in this queue: with less room connecting would hang.
        let send_queue = SEND_QUEUE_PACKETS.max(subscriptions.len() + 1);
        let client_options = setup::with_our_limits(ready.options, &notice_sender, send_queue);
        let client = client_options
            .name(options.name)
            .custom_inbox_prefix(&inbox)
            .connect(ready.servers)
            .await
            .map_err(|error| NatsSetupError::one(error.to_string()))?;
        let inbound = setup::subscribe(&client, subscriptions, &inbox).await?;
        Ok(Self {
            statistics: client.statistics(),
            client,
            inbound,
            notices,
            notice_sender,
            link: Link::Down,
            denials: Denials::default(),
            complaint: None,
            probe_subject: format!("{inbox}.probe"),
            look: look_interval(),
        })
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<BusEvent> {
        loop {
            if let Ok(notice) = self.notices.try_recv() {
                if let Some(event) = self.on_notice(notice) {
                    return Poll::Ready(event);
                }
            } else if let Poll::Ready(message) = self.inbound.poll_next(cx) {
                if let Some(event) = self.on_message(message) {
                    return Poll::Ready(event);
                }
            } else if let Poll::Ready(Some(notice)) = self.notices.poll_recv(cx) {
                if let Some(event) = self.on_notice(notice) {
                    return Poll::Ready(event);
                }
            } else if self.look.poll_tick(cx).is_ready() {
                if let Some(event) = self.on_tick() {
                    return Poll::Ready(event);
                }
            } else {
                return Poll::Pending;
            }
        }
    }

    fn on_notice(&mut self, notice: Notice) -> Option<BusEvent> {
        match notice {
            Notice::LinkChanged => self.look_at_link(),
            Notice::Denied(what) => self.on_denied(what),
            Notice::Unreachable(why) => self.on_unreachable(why),
            Notice::Overrun => {
                self.notice_sender.overrun_taken();
                Some(BusEvent::Overrun)
            }
        }
    }

    /// The safety net below the notices, and the timer of the probe.
    fn on_tick(&mut self) -> Option<BusEvent> {
        let event = self.look_at_link();
        self.send_probe();
        event
    }

    /// Compares what we believe about the connection with what the client says.
    fn look_at_link(&mut self) -> Option<BusEvent> {
        match self.link.on_look(self.connection()) {
            Change::None => None,
            Change::Lost => {
                warn!("the connection to NATS is lost");
                Some(BusEvent::Down)
            }
            Change::Connected => {
                self.denials = Denials::default();
                self.complaint = None;
                self.send_probe();
                None
            }
        }
    }

    /// Which connection there is now, counted from the first; None while there is none.
    fn connection(&self) -> Option<u64> {
        let connected = self.client.connection_state() == State::Connected;
        connected.then(|| self.statistics.connects.load(Ordering::Relaxed))
    }

    /// Sends the probe of a connection that is not proven yet. One that cannot be sent now, or is lost, is
    /// sent again at the next tick.
    fn send_probe(&mut self) {
        if let Some(proof) = self.link.proof() {
            let probe = Outgoing { subject: self.probe_subject.clone(), reply: None, payload: proof };
            let _sent_again_at_the_next_tick = self.publish(probe, usize::MAX);
        }
    }

    fn on_message(&mut self, message: Message) -> Option<BusEvent> {
        if message.subject.as_str() == self.probe_subject {
            return self.on_probe(&message.payload);
        }
        Some(BusEvent::Message(message.into()))
    }

    fn on_probe(&mut self, proof: &Bytes) -> Option<BusEvent> {
        let server = self.client.server_info();
        if !self.link.on_probe(proof, self.connection(), server.max_payload) {
            return None;
        }
        info!(
            nats.server = server.server_name,
            nats.version = server.version,
            nats.max_payload_bytes = server.max_payload,
            "connected to NATS"
        );
        Some(BusEvent::Up { max_payload: server.max_payload })
    }

    fn on_denied(&mut self, what: String) -> Option<BusEvent> {
        match self.denials.on_denied(&what, Instant::now()) {
            Novelty::First => error!(nats.error = what, "NATS refuses what this node needs"),
            Novelty::GoesOn => {}
            Novelty::Echo => return None,
        }
        Some(BusEvent::Denied { what })
    }

    fn on_unreachable(&mut self, why: String) -> Option<BusEvent> {
        if self.complaint.as_ref() != Some(&why) {
            warn!(nats.error = why, "NATS cannot be reached; trying again for ever");
            self.complaint = Some(why);
        }
        None
    }

    /// Queues a packet without waiting. `limit` is the largest payload in bytes.
    fn publish(&self, packet: Outgoing, limit: usize) -> Result<(), Refused> {
        let Outgoing { subject, reply, payload } = packet;
        // Without `unconstrained` a task that has used up its turn would take a free queue for a full one.
        let queued = match reply {
            Some(reply) => {
                unconstrained(self.client.publish_with_reply(subject, reply, payload)).now_or_never()
            }
            None => unconstrained(self.client.publish(subject, payload)).now_or_never(),
        };
        queued.ok_or(Refused::Full)?.map_err(|error| refused(&error, limit))
    }

    /// Sends a packet to ourselves and waits for it: then the server has all that was sent before.
    async fn round_trip(&mut self) {
        let proof = link::new_proof();
        if self.client.publish(self.probe_subject.clone(), proof.clone()).await.is_err() {
            return;
        }
        while poll_fn(|cx| self.inbound.poll_next(cx)).await.payload != proof {}
    }
}

impl Bus for NatsBus {
    fn send(&mut self, packet: Outgoing) -> Result<(), Refused> {
        let limit = self.link.max_payload(self.connection()).ok_or(Refused::NotConnected)?;
        if packet.payload.len() > limit {
            return Err(Refused::TooLarge { limit });
        }
        self.publish(packet, limit)
    }

    fn next(&mut self) -> impl Future<Output = BusEvent> + Send {
        poll_fn(|cx| self.poll_next(cx))
    }

    fn try_next(&mut self) -> Option<BusEvent> {
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        }
    }

    async fn close(mut self) {
        if self.link.max_payload(self.connection()).is_some()
            && timeout(CLOSE_TIMEOUT, self.round_trip()).await.is_err()
        {
            warn!("NATS did not confirm the last packets before the connection was closed");
        }
    }
}

impl From<Message> for Incoming {
    fn from(message: Message) -> Self {
        Self {
            subject: message.subject.into_string(),
            reply: message.reply.map(|reply| reply.into_string()),
            payload: message.payload,
            status: message.status.map(|status| status.as_u16()),
        }
    }
}

fn look_interval() -> Interval {
    let mut look = interval(LINK_CHECK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

fn refused(error: &PublishError, limit: usize) -> Refused {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => Refused::TooLarge { limit },
        PublishErrorKind::InvalidSubject => Refused::BadSubject,
        PublishErrorKind::Send => Refused::NotConnected,
    }
}
