//! The bus over NATS, core publish and subscribe only.
//!
//! What the client library does not promise is made up for here: a publish that returns Ok may be lost, a
//! flush proves nothing, events may be dropped, and a subscription may not be in place when it returns.
//! So *up* means that a packet of our own came back over this very connection, and the state of the
//! connection is read from the client, never inferred from its events; they only say when to look.
//!
//! In a cluster the round trip proves the server we are connected to. The others hear of our subscriptions a
//! moment later; what is lost in that moment is sent again like everything else that is lost.
//!
//! | file | holds |
//! | --- | --- |
//! | `options`, `url`, `setup` | the servers and who we are to them, checked; the client |
//! | `dial`, `cause`, `reach` | which server is tried; why that failed, for people |
//! | `link` | whether there is a proven connection |
//! | `inbound`, `renewal` | the subscriptions, made again when they were denied |
//! | `notices`, `denials` | what the client tells; what the server denies, until it is allowed |
//! | `payload_limit` | the server's `max_payload`, asked for again |
//! | `streams` | JetStream streams that answer in the nodes' place |
//! | `service` | requests of clients that are no nodes |

mod cause;
mod denials;
mod dial;
mod inbound;
mod link;
mod notices;
mod options;
mod payload_limit;
mod reach;
mod renewal;
mod service;
mod setup;
mod streams;
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
use tokio::time::{Interval, timeout};
use tracing::{error, info, warn};

use self::denials::{About, Denials, Novelty};
use self::dial::{Dial, Failure, host_and_port};
use self::inbound::Inbound;
use self::link::{Change, Link};
use self::notices::{Notice, NoticeSender};
pub use self::options::{NatsOptions, NatsSetupError};
use self::payload_limit::LimitWatch;
use self::reach::Reach;
pub use self::service::{Asker, NatsService};
use self::streams::Streams;
pub use self::url::{NatsUrl, NatsUrlError};
use super::limits::{CLOSE_TIMEOUT, SEND_QUEUE_PACKETS};
use super::{Bus, BusEvent, BusTrouble, Incoming, Outgoing, Refused};

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
    dial: Dial,
    link: Link,
    denials: Denials,
    reach: Reach,
    limit: LimitWatch,
    streams: Streams,
    probe_subject: String,
    look: Interval,
    /// The server of the last connection that was proven.
    address: Option<String>,
    /// What was found while something else was looked at.
    next_event: Option<BusEvent>,
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
        let dial = Dial::new(notice_sender.clone());
        // Before there is a server the subscriptions wait in this queue: with less room connecting would hang.
        let send_queue = SEND_QUEUE_PACKETS.max(subscriptions.len() + 1);
        let client_options = setup::with_our_limits(ready.options, &notice_sender, &dial, send_queue);
        let client = client_options
            .name(options.name)
            .custom_inbox_prefix(&inbox)
            .connect(ready.servers)
            .await
            .map_err(|error| NatsSetupError::one(error.to_string()))?;
        let subjects = subscriptions.into_iter().chain([format!("{inbox}.>")]).collect();
        let inbound = Inbound::subscribe(&client, subjects).await?;
        Ok(Self {
            statistics: client.statistics(),
            client,
            inbound,
            notices,
            notice_sender,
            dial,
            link: Link::Down,
            denials: Denials::default(),
            reach: Reach::new(ready.terms),
            limit: LimitWatch::default(),
            streams: Streams::new(&inbox),
            probe_subject: format!("{inbox}.probe"),
            look: setup::look_interval(),
            address: None,
            next_event: None,
        })
    }

    /// Looks for JetStream streams that answer requests on these subjects, as far as this node may ask JetStream.
    #[must_use]
    pub fn looking_for_streams_over(mut self, subjects: String) -> Self {
        self.streams.look_after(subjects);
        self
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<BusEvent> {
        loop {
            if let Some(event) = self.next_event.take() {
                return Poll::Ready(event);
            }
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
            Notice::Unreachable(failure) => self.on_unreachable(&failure),
            Notice::PayloadLimit(limit) => self.on_payload_limit(limit),
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
        let now = Instant::now();
        while let Some(subject) = self.inbound.renew(&self.client, now) {
            note_allowed(self.denials.on_subscribed(&subject));
        }
        while let Some(what) = self.denials.take_over(now) {
            note_allowed(Some(what));
        }
        if self.link.max_payload(self.connection()).is_some() {
            self.ask_for_limit(now);
            self.ask_for_streams(now);
        }
        event
    }

    fn ask_for_limit(&mut self, now: Instant) {
        let Some(server) = self.dial.server().filter(|_| self.limit.is_due(now)) else { return };
        let (notices, server_id) = (self.notice_sender.clone(), self.client.server_info().server_id);
        tokio::spawn(async move { notices.on_payload_limit(payload_limit::ask(server, server_id).await) });
    }

    fn ask_for_streams(&mut self, now: Instant) {
        self.streams.forget(now);
        if let Some(question) = self.streams.question(now) {
            let _asked_again_later = self.publish(question, usize::MAX);
        }
    }

    /// Compares what we believe about the connection with what the client says.
    fn look_at_link(&mut self) -> Option<BusEvent> {
        match self.link.on_look(self.connection()) {
            Change::None => None,
            Change::Lost => {
                warn!(nats.address = self.address, "the connection to NATS is lost");
                Some(BusEvent::Down)
            }
            Change::Connected => {
                self.denials.on_connected();
                self.inbound.on_connected();
                self.reach.on_connected();
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
            self.denials.on_sent(&probe.subject);
            let _sent_again_at_the_next_tick = self.publish(probe, usize::MAX);
        }
    }

    fn on_message(&mut self, message: Message) -> Option<BusEvent> {
        if message.subject.as_str() == self.probe_subject {
            return self.on_probe(&message.payload);
        }
        if self.streams.is_answer(&message.subject) {
            self.streams.on_answer(&message.payload);
            return None;
        }
        Some(BusEvent::Message(incoming(message)))
    }

    fn on_probe(&mut self, proof: &Bytes) -> Option<BusEvent> {
        let server = self.client.server_info();
        if !self.link.on_probe(proof, self.connection(), server.max_payload) {
            return None;
        }
        self.limit.on_up(Instant::now());
        self.streams.on_up();
        let failed_attempts = self.reach.on_up();
        self.address = self.dial.server().as_ref().map(host_and_port);
        info!(
            nats.address = self.address,
            nats.server = server.server_name,
            nats.version = server.version,
            nats.max_payload_bytes = server.max_payload,
            failed_attempts,
            "connected to NATS"
        );
        Some(BusEvent::Up { max_payload: server.max_payload })
    }

    fn on_denied(&mut self, what: String) -> Option<BusEvent> {
        // What was denied before this connection is forgotten first, else what comes over it would be.
        let event = self.look_at_link();
        if event.is_some() {
            // One connection was lost, and its successor is there.
            let _nothing_to_tell = self.look_at_link();
        }
        if self.streams.on_denied(&what) {
            return event;
        }
        let now = Instant::now();
        if let About::Subscription(subject) = About::of(&what) {
            self.inbound.on_denied(&subject, now);
        }
        match self.denials.on_denied(&what, now) {
            Novelty::First => error!(nats.error = what, "NATS refuses what this node needs"),
            Novelty::GoesOn => {}
            Novelty::Echo => return event,
        }
        let denied = BusEvent::Denied { what };
        match event {
            None => Some(denied),
            Some(event) => {
                self.next_event = Some(denied);
                Some(event)
            }
        }
    }

    fn on_unreachable(&mut self, failure: &Failure) -> Option<BusEvent> {
        self.reach.on_failure(failure);
        if !notices::is_refusal(&failure.words) {
            return None;
        }
        let what = format!("{} by {}", failure.words, failure.server);
        match self.denials.on_denied(&what, Instant::now()) {
            Novelty::Echo => None,
            Novelty::First | Novelty::GoesOn => Some(BusEvent::Denied { what }),
        }
    }

    /// The client reads the limit when it connects, and then holds on to it.
    fn on_payload_limit(&mut self, limit: Option<usize>) -> Option<BusEvent> {
        let known = self.link.max_payload(self.connection())?;
        let changed = limit.filter(|limit| *limit != self.client.server_info().max_payload)?;
        info!(
            nats.max_payload_bytes = changed,
            known_bytes = known,
            "the max_payload of nats-server has changed: connecting again"
        );
        let _asked_again_later = unconstrained(self.client.force_reconnect()).now_or_never();
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
        self.denials.on_sent(&packet.subject);
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

    fn trouble(&self) -> BusTrouble {
        BusTrouble {
            denied: self.denials.in_words(),
            unreachable: self.reach.in_words(),
            streams: self.streams.names(),
        }
    }

    fn suspect_limit(&mut self) {
        self.limit.suspect();
    }

    fn on_refused(&mut self, packet: &Incoming) {
        self.streams.on_refused(packet, Instant::now());
    }

    async fn close(mut self) {
        if self.link.max_payload(self.connection()).is_some()
            && timeout(CLOSE_TIMEOUT, self.round_trip()).await.is_err()
        {
            warn!("NATS did not confirm the last packets before the connection was closed");
        }
    }
}

fn incoming(message: Message) -> Incoming {
    Incoming {
        subject: message.subject.into_string(),
        reply: message.reply.map(|reply| reply.into_string()),
        payload: message.payload,
        status: message.status.map(|status| status.as_u16()),
    }
}

fn note_allowed(denied: Option<String>) {
    if let Some(what) = denied {
        info!(nats.error = what, "NATS does not refuse this any more");
    }
}

fn refused(error: &PublishError, limit: usize) -> Refused {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => Refused::TooLarge { limit },
        PublishErrorKind::InvalidSubject => Refused::BadSubject,
        PublishErrorKind::Send => Refused::NotConnected,
    }
}
