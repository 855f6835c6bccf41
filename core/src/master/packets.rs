//! Between packets and the core's words.

use bytes::Bytes;
use replog_shared::{
    LogName, NodeName,
    subjects::{Channel, Subjects},
    wire::{self, WireError},
};

use super::Event;
use crate::packet::{Incoming, Outgoing, STATUS_NO_RESPONDERS};

/// What a master says to another node.
#[derive(Debug)]
pub enum Packet {
    /// Lines of the log for a secondary.
    Entries {
        /// To whom, and which.
        header: wire::EntriesHeader,
        /// The lines.
        lines: Bytes,
        /// Where the answer to a fetch goes; none: pushed.
        reply: Option<String>,
    },
    /// The answer to a join.
    JoinAnswer {
        /// Where to.
        reply: String,
        /// With what.
        answer: Box<wire::JoinAnswer>,
    },
    /// This master is alive.
    Heartbeat(wire::Heartbeat),
    /// What do you hold?
    Ask(wire::Ask),
    /// Promise this epoch.
    Promise(NodeName, wire::Promise),
    /// Give me a range.
    Read(NodeName, wire::Read),
    /// The answer to another master's ask or promise.
    State {
        /// Where to.
        reply: String,
        /// With what.
        state: Box<wire::State>,
    },
    /// The answer to another master's read.
    ReadAnswer {
        /// Where to.
        reply: String,
        /// Which lines.
        header: wire::EntriesHeader,
        /// The lines.
        lines: Bytes,
    },
}

/// Why a packet was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No subject of this log.
    #[error("unknown subject")]
    Subject,
    /// Not an envelope.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The subject names another node than the envelope.
    #[error("the envelope is of another node than its subject")]
    WrongNode,
    /// The answer is wanted on a subject that is not the asker's own inbox.
    #[error("the reply subject is not the inbox of the node that asks")]
    WrongReply,
}

impl Refused {
    /// One word a kind, for counting.
    pub const fn kind(&self) -> &'static str {
        match self {
            Refused::Subject => "subject",
            Refused::Wire(WireError::Version(_)) => "version",
            Refused::Wire(_) => "malformed",
            Refused::WrongNode => "wrong_node",
            Refused::WrongReply => "wrong_reply",
        }
    }
}

/// Translates for one master.
#[derive(Debug)]
pub struct Translator {
    subjects: Subjects,
    node: NodeName,
    inbox: String,
}

impl Translator {
    /// For the master of this name and log.
    pub fn new(log: LogName, node: &NodeName) -> Translator {
        let subjects = Subjects::new(log);
        let inbox = subjects.inbox(node);
        Translator { subjects, node: node.clone(), inbox }
    }

    /// What a master listens to, besides its inbox.
    pub fn subscriptions(&self) -> Vec<String> {
        let subjects = &self.subjects;
        vec![
            subjects.acks(None),
            subjects.join(None),
            subjects.fetch(None),
            subjects.heartbeat(),
            subjects.ask(),
            subjects.promise(&self.node),
            subjects.read(&self.node),
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
        let (channel, node) = self.subjects.parse(&packet.subject).ok_or(Refused::Subject)?;
        if let Some(status) = packet.status {
            let down = node.filter(|_| status == STATUS_NO_RESPONDERS && channel == Channel::Acks);
            return Ok(down.map_or(Event::Unanswered, Event::NoResponders));
        }
        match channel {
            Channel::Acks => self.read_ack(packet, node),
            Channel::Join => {
                let join: wire::Join = wire::decode(&packet.payload)?;
                let reply = self.reply_of(packet, &join.sender, node)?;
                Ok(Event::Join { join, reply })
            }
            Channel::Fetch => {
                let fetch: wire::Fetch = wire::decode(&packet.payload)?;
                let reply = self.reply_of(packet, &fetch.sender, node)?;
                Ok(Event::Fetch { fetch, reply })
            }
            Channel::Ask => {
                let ask: wire::Ask = wire::decode(&packet.payload)?;
                let reply = self.reply(packet, &ask.sender)?;
                Ok(Event::Ask(ask, reply))
            }
            Channel::Promise => {
                let promise: wire::Promise = wire::decode(&packet.payload)?;
                let reply = self.reply(packet, &promise.sender)?;
                Ok(Event::Promise(promise, reply))
            }
            Channel::Read => {
                let read: wire::Read = wire::decode(&packet.payload)?;
                let reply = self.reply(packet, &read.sender)?;
                Ok(Event::Read(read, reply))
            }
            Channel::Heartbeat => Ok(Event::Heartbeat(wire::decode(&packet.payload)?)),
            Channel::Inbox => self.read_answer(packet),
            _ => Err(Refused::Subject),
        }
    }

    fn read_ack(&self, packet: &Incoming, node: Option<NodeName>) -> Result<Event, Refused> {
        let ack: wire::Ack = wire::decode(&packet.payload)?;
        if node.as_ref() != Some(&ack.sender.node) {
            return Err(Refused::WrongNode);
        }
        Ok(Event::Ack(ack))
    }

    fn read_answer(&self, packet: &Incoming) -> Result<Event, Refused> {
        let rest = packet.subject.strip_prefix(&self.inbox).ok_or(Refused::Subject)?;
        if rest.starts_with(".state") {
            return Ok(Event::State(Box::new(wire::decode(&packet.payload)?)));
        }
        if rest.starts_with(".read") {
            let (header, lines) = wire::decode_entries(&packet.payload)?;
            return Ok(Event::ReadAnswer(header, lines));
        }
        Err(Refused::Subject)
    }

    /// Where the answer to a request goes: only to the inbox of the node that the subject names.
    fn reply_of(
        &self,
        packet: &Incoming,
        sender: &wire::Sender,
        node: Option<NodeName>,
    ) -> Result<String, Refused> {
        if node.as_ref() != Some(&sender.node) {
            return Err(Refused::WrongNode);
        }
        self.reply(packet, sender)
    }

    /// Where the answer goes: only to the inbox of the node that asks.
    fn reply(&self, packet: &Incoming, sender: &wire::Sender) -> Result<String, Refused> {
        let reply = packet.reply.as_ref().filter(|reply| self.subjects.is_inbox_of(&sender.node, reply));
        reply.cloned().ok_or(Refused::WrongReply)
    }

    /// The packet as the bus carries it.
    pub fn write(&self, packet: Packet) -> Outgoing {
        let Translator { subjects, .. } = self;
        match packet {
            Packet::Entries { header, lines, reply } => self.entries(&header, &lines, reply),
            Packet::JoinAnswer { reply, answer } => Outgoing::unasked(reply, wire::encode(&answer)),
            Packet::Heartbeat(heartbeat) => Outgoing::unasked(subjects.heartbeat(), wire::encode(&heartbeat)),
            Packet::Ask(ask) => self.request(subjects.ask(), "state", ask.request, wire::encode(&ask)),
            Packet::Promise(node, promise) => {
                self.request(subjects.promise(&node), "state", promise.request, wire::encode(&promise))
            }
            Packet::Read(node, read) => {
                self.request(subjects.read(&node), "read", read.request, wire::encode(&read))
            }
            Packet::State { reply, state } => Outgoing::unasked(reply, wire::encode(&state)),
            Packet::ReadAnswer { reply, header, lines } => {
                Outgoing::unasked(reply, wire::encode_entries(&header, &lines))
            }
        }
    }

    fn entries(&self, header: &wire::EntriesHeader, lines: &[u8], reply: Option<String>) -> Outgoing {
        let payload = wire::encode_entries(header, lines);
        match reply {
            Some(subject) => Outgoing::unasked(subject, payload),
            None => {
                let node = &header.sender.node;
                let reply = Some(self.subjects.acks(Some(node)));
                Outgoing { subject: self.subjects.entries(node), reply, payload }
            }
        }
    }

    fn request(&self, subject: String, kind: &str, request: u64, payload: Bytes) -> Outgoing {
        Outgoing { subject, reply: Some(format!("{}.{kind}.{request}", self.inbox)), payload }
    }
}
