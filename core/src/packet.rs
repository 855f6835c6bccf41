//! Packets, as a bus carries them.

use std::fmt;

use bytes::Bytes;

/// The NATS status of "nobody listens on that subject".
pub const STATUS_NO_RESPONDERS: u16 = 503;

/// One packet to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to; no wildcards.
    pub subject: String,
    /// The subject an answer shall go to. None: no answer is wanted, and nobody says when nobody listens.
    pub reply: Option<String>,
    /// The envelope, at most as long as what the bus last said that it takes.
    pub payload: Bytes,
}

/// One packet received.
#[derive(Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The subject it was sent to.
    pub subject: String,
    /// Where its sender wants the answer. The server does not check it: any client can name any subject.
    pub reply: Option<String>,
    /// The envelope; empty when there is a status.
    pub payload: Bytes,
    /// None for everything a client sent. `Some(503)` ([`STATUS_NO_RESPONDERS`]) comes from the server: a
    /// packet whose reply subject was `subject` found no listener. A hint only, and never an answer: one
    /// curious `nats sub '>'` anywhere removes it.
    pub status: Option<u16>,
}

impl Outgoing {
    /// One that wants no answer.
    pub(crate) const fn unasked(subject: String, payload: Bytes) -> Outgoing {
        Outgoing { subject, reply: None, payload }
    }
}

impl From<Outgoing> for Incoming {
    fn from(Outgoing { subject, reply, payload }: Outgoing) -> Incoming {
        Incoming { subject, reply, payload, status: None }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("subject", &self.subject)
            .field("reply", &self.reply)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("subject", &self.subject)
            .field("reply", &self.reply)
            .field("payload_bytes", &self.payload.len())
            .field("status", &self.status)
            .finish()
    }
}
