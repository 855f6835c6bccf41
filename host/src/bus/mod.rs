//! The bus: how envelopes travel between nodes.
//!
//! A [`Bus`] carries packets from subject to subject, nothing more: it does not know what an entry is, and
//! promises no delivery. Whatever it loses is sent again from the log, and the only proof that a packet
//! arrived is the answer of the node that took it.
//!
//! | implementation | for |
//! | --- | --- |
//! | [`NatsBus`] | every deployment; async-nats types stop here |
//! | [`InProcessBus`] | `replog dev` without a nats-server, and tests |
//!
//! Clients that are no nodes are served by a [`NatsService`], over a connection of its own.
//!
//! What both buses keep: packets of one bus to one subject arrive in the order in which they were sent; a packet
//! that nobody listens for comes back as an empty one with status 503 on its own reply subject, if this bus
//! listens there; every queue is bounded and drops the newest.

mod in_process;
mod limits;
mod nats;
mod service;
mod subject;

use std::future::Future;

pub use replog_core::packet::{Incoming, Outgoing, STATUS_NO_RESPONDERS};

pub use in_process::{InProcessBus, InProcessHub};
pub use limits::{CLOSE_TIMEOUT, MAX_SERVICE_REQUESTS, RECEIVE_QUEUE_PACKETS, SEND_QUEUE_PACKETS};
pub use nats::{Asker, NatsBus, NatsOptions, NatsService, NatsSetupError, NatsUrl, NatsUrlError};
pub use service::{Answer, Refusal, Request, ServiceTerms};
pub use subject::Pattern;

/// What a bus has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// A packet arrived. May also be one that an old connection left behind.
    Message(Incoming),
    /// Connected, and a packet of its own came back: every subscription is in place, packets may be sent.
    Up {
        /// The server's limit for one payload, in bytes; it may differ from connection to connection.
        max_payload: usize,
    },
    /// The connection is gone. Follows an [`Up`](Self::Up); before the first one the bus is down anyway.
    Down,
    /// The server refused a publish, a subscription or the login. A refused subscription is told once for each
    /// connection, everything else again and again while it goes on, at most once a second.
    Denied {
        /// The server's own text; for a permission it names the subject.
        what: String,
    },
    /// Packets were dropped because this node read too slowly. Which ones is for the reader to find out,
    /// from the orders that are missing.
    Overrun,
}

/// Why a packet was not taken. Nothing is lost by it: the log is the retransmit buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no proven connection.
    #[error("not connected to NATS")]
    NotConnected,
    /// [`SEND_QUEUE_PACKETS`] wait for the connection already.
    #[error("too many packets wait to be sent")]
    Full,
    /// The server would close the connection over it.
    #[error("the packet is larger than the {limit} bytes that the server takes")]
    TooLarge {
        /// The most that it takes, in bytes.
        limit: usize,
    },
    /// The subject or the reply subject cannot be written on a NATS line: it is empty or has white space.
    #[error("the subject or the reply subject is empty or has white space")]
    BadSubject,
}

/// What is wrong between a node and NATS, in sentences for its operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusTrouble {
    /// What NATS has denied since this connection was opened, and is not known to allow again; before there is a connection, a
    /// login. In the server's own words, which name the subject.
    pub denied: Option<String>,
    /// Why NATS cannot be reached: the server, the cause, what to check. None while there is a connection, and before
    /// the first attempt has failed.
    pub unreachable: Option<String>,
    /// JetStream streams that answer requests on this log's subjects, before a node does.
    pub streams: Vec<String>,
}

/// A connection to the other nodes.
pub trait Bus: Send + 'static {
    /// Hands a packet over; never blocks and never awaits. `Ok` means *queued*, nothing more.
    ///
    /// # Errors
    /// The packet was not taken, see [`Refused`].
    fn send(&mut self, packet: Outgoing) -> Result<(), Refused>;

    /// The next event. Cancel safe: dropping the future loses nothing.
    ///
    /// It also drives the bus (probes, noticing a lost connection), so a node keeps awaiting it.
    fn next(&mut self) -> impl Future<Output = BusEvent> + Send;

    /// An event that is already there, to take many at one wake-up. None also when this task has used up
    /// its turn: [`next`](Self::next) tells.
    fn try_next(&mut self) -> Option<BusEvent>;

    /// What is wrong with it now, besides being up or not.
    fn trouble(&self) -> BusTrouble {
        BusTrouble::default()
    }

    /// Something is refused or held back because it is larger than the `max_payload` that is known: the bus asks whether it is
    /// still so.
    fn suspect_limit(&mut self) {}

    /// A packet was refused, as no node of this log wrote it: the bus looks who did.
    fn on_refused(&mut self, _packet: &Incoming) {}

    /// Sends what is queued, then closes. Takes at most [`CLOSE_TIMEOUT`].
    fn close(self) -> impl Future<Output = ()> + Send;
}
