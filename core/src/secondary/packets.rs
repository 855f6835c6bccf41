//! Between packets and the core's words.

use bytes::Bytes;
use replog_shared::{
    LogName, NodeName,
    subjects::{Channel, Subjects},
    wire::{self, WireError},
};

use super::Event;
use crate::packet::{Incoming, Outgoing};

#[cfg(test)]
mod tests;

/// What a secondary says to another node.
#[derive(Debug)]
pub enum Packet {
    /// Admit me.
    Join(wire::Join),
    /// Give me a range.
    Fetch(wire::Fetch),
    /// What is held.
    Ack(wire::Ack),
    /// The answer to a master's ask or promise.
    State {
        /// Where to.
        reply: String,
        /// With what.
        state: Box<wire::State>,
    },
    /// The answer to a master's read.
    ReadAnswer {
        /// Where to.
        reply: String,
        /// Which lines.
        header: wire::EntriesHeader,
        /// The lines.
        lines: Bytes,
    },
}

/// Why a packet was not taken, and what kind of packet it is.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// What its subject says it is, for counting.
    pub kind: &'static str,
    why: Refusal,
}

/// Why a packet tells the core nothing.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("nothing is expected on this subject")]
    Unexpected,
    #[error("the envelope was not understood: {0}")]
    Wire(#[from] WireError),
    #[error("its reply subject is not in the inbox of the node that asks")]
    NotTheirInbox,
}

/// Translates for one secondary.
#[derive(Debug)]
pub struct Translator {
    subjects: Subjects,
    node: NodeName,
    inbox: String,
}

impl Translator {
    /// For the secondary of this name and log.
    pub fn new(log: LogName, node: &NodeName) -> Translator {
        let subjects = Subjects::new(log);
        let inbox = subjects.inbox(node);
        Translator { subjects, node: node.clone(), inbox }
    }

    /// What a secondary listens to, besides its inbox.
    pub fn subscriptions(&self) -> Vec<String> {
        let Translator { subjects, node, .. } = self;
        vec![
            subjects.entries(node),
            subjects.heartbeat(),
            subjects.ask(),
            subjects.promise(node),
            subjects.read(node),
        ]
    }

    /// Below this, answers arrive.
    pub fn inbox(&self) -> &str {
        &self.inbox
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn read(&self, packet: &Incoming) -> Result<Event, Refused> {
        if packet.status.is_some() {
            return Ok(Event::Unanswered);
        }
        let kind = self.kind(&packet.subject);
        self.event(kind, packet).map_err(|why| Refused { kind, why })
    }

    /// What the subject says the packet is.
    fn kind(&self, subject: &str) -> &'static str {
        match self.subjects.parse(subject) {
            Some((Channel::Entries, _)) => "entries",
            Some((Channel::Heartbeat, _)) => "heartbeat",
            Some((Channel::Ask, _)) => "ask",
            Some((Channel::Promise, _)) => "promise",
            Some((Channel::Read, _)) => "read",
            Some((Channel::Inbox, _)) => self.inbox_kind(subject).unwrap_or("inbox"),
            _ => "unknown",
        }
    }

    fn inbox_kind(&self, subject: &str) -> Option<&'static str> {
        let rest = subject.strip_prefix(&self.inbox)?.strip_prefix('.')?;
        match rest.split('.').next()? {
            "join" => Some("join answer"),
            "fetch" => Some("fetched entries"),
            _ => None,
        }
    }

    fn event(&self, kind: &'static str, packet: &Incoming) -> Result<Event, Refusal> {
        let payload = &packet.payload;
        match kind {
            "heartbeat" => Ok(Event::Heartbeat(wire::decode(payload)?)),
            "join answer" => Ok(Event::JoinAnswer(wire::decode(payload)?)),
            "entries" => pushed(payload),
            "fetched entries" => fetched(payload),
            "ask" => {
                let ask: wire::Ask = wire::decode(payload)?;
                let reply = self.reply(&ask.sender, packet.reply.as_deref())?;
                Ok(Event::Ask(ask, reply))
            }
            "promise" => {
                let promise: wire::Promise = wire::decode(payload)?;
                let reply = self.reply(&promise.sender, packet.reply.as_deref())?;
                Ok(Event::Promise(promise, reply))
            }
            "read" => {
                let read: wire::Read = wire::decode(payload)?;
                let reply = self.reply(&read.sender, packet.reply.as_deref())?;
                Ok(Event::Read(read, reply))
            }
            _ => Err(Refusal::Unexpected),
        }
    }

    /// Where the answer goes: only to an inbox of the node that asks.
    fn reply(&self, sender: &wire::Sender, reply: Option<&str>) -> Result<String, Refusal> {
        let reply = reply.filter(|reply| self.subjects.is_inbox_of(&sender.node, reply));
        reply.map(str::to_owned).ok_or(Refusal::NotTheirInbox)
    }

    /// The packet as the bus carries it.
    pub fn write(&self, packet: Packet) -> Outgoing {
        let Translator { subjects, node, .. } = self;
        match packet {
            Packet::Join(join) => {
                self.request(subjects.join(Some(node)), "join", join.request, wire::encode(&join))
            }
            Packet::Fetch(fetch) => {
                self.request(subjects.fetch(Some(node)), "fetch", fetch.request, wire::encode(&fetch))
            }
            Packet::Ack(ack) => Outgoing::unasked(subjects.acks(Some(node)), wire::encode(&ack)),
            Packet::State { reply, state } => Outgoing::unasked(reply, wire::encode(&state)),
            Packet::ReadAnswer { reply, header, lines } => {
                Outgoing::unasked(reply, wire::encode_entries(&header, &lines))
            }
        }
    }

    fn request(&self, subject: String, kind: &str, request: u64, payload: Bytes) -> Outgoing {
        Outgoing { subject, reply: Some(format!("{}.{kind}.{request}", self.inbox)), payload }
    }
}

/// What is pushed answers no request, whatever it says.
fn pushed(payload: &Bytes) -> Result<Event, Refusal> {
    let (mut header, lines) = wire::decode_entries(payload)?;
    header.request = None;
    Ok(Event::Entries(header, lines))
}

fn fetched(payload: &Bytes) -> Result<Event, Refusal> {
    let (header, lines) = wire::decode_entries(payload)?;
    if header.request.is_none() {
        return Err(Refusal::Unexpected);
    }
    Ok(Event::Entries(header, lines))
}
