//! Envelopes in, envelopes out: between the core's words and the subjects of NATS.

use std::collections::BTreeMap;

use bytes::Bytes;
use replog_host::bus::{Incoming, Outgoing, STATUS_NO_RESPONDERS};
use replog_shared::{
    LogName, NodeName,
    store::LookAhead,
    subjects::{Channel, Subjects},
    wire::{self, WireError},
};

use replog_core::master::MasterCore;

/// What arrived.
#[derive(Debug)]
pub enum Event {
    /// A secondary says what it holds.
    Ack(wire::Ack),
    /// A secondary asks to join.
    Join {
        /// The request.
        join: wire::Join,
        /// Its own inbox.
        reply: String,
    },
    /// A secondary asks for a range.
    Fetch {
        /// The request.
        fetch: wire::Fetch,
        /// Its own inbox.
        reply: String,
    },
    /// A master says that it is alive.
    Heartbeat(wire::Heartbeat),
    /// Another master asks what this node holds; the answer goes to its own inbox.
    Ask(wire::Ask, String),
    /// … asks it to promise an epoch.
    Promise(wire::Promise, String),
    /// … asks it for a range of its log.
    Read(wire::Read, String),
    /// A node tells what it holds.
    State(Box<wire::State>),
    /// A range of a log that is taken over.
    ReadAnswer(wire::EntriesHeader, Bytes),
    /// Nobody listens on this secondary's subject.
    NoResponders(NodeName),
    /// The server's word that nobody listened to a request.
    Unanswered,
}

impl Event {
    /// Asks what the core will look at of the log when this comes.
    pub fn look_ahead(&self, core: &MasterCore, log: &LookAhead<'_>) {
        match self {
            Event::Ack(ack) => core.look_ahead_ack(ack, log),
            Event::Join { join, .. } => core.look_ahead_join(join, log),
            Event::Fetch { fetch, .. } => core.look_ahead_fetch(fetch, log),
            Event::Read(read, _) => core.look_ahead_read(read, log),
            Event::State(state) => core.look_ahead_state(state, log),
            Event::ReadAnswer(header, _) => core.look_ahead_read_answer(header, log),
            Event::Heartbeat(_)
            | Event::Ask(..)
            | Event::Promise(..)
            | Event::NoResponders(_)
            | Event::Unanswered => {}
        }
    }
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

    /// Entries for a secondary: pushed, or the answer to a fetch at `reply`.
    pub fn entries(&self, header: &wire::EntriesHeader, lines: &[u8], reply: Option<String>) -> Outgoing {
        let payload = wire::encode_entries(header, lines);
        match reply {
            Some(subject) => Outgoing { subject, reply: None, payload },
            None => {
                let node = &header.sender.node;
                let reply = Some(self.subjects.acks(Some(node)));
                Outgoing { subject: self.subjects.entries(node), reply, payload }
            }
        }
    }

    /// The answer to a join.
    pub fn join_answer(&self, reply: String, answer: &wire::JoinAnswer) -> Outgoing {
        Outgoing { subject: reply, reply: None, payload: wire::encode(answer) }
    }

    /// The answer to another master's ask or promise.
    pub fn state(reply: String, state: &wire::State) -> Outgoing {
        Outgoing { subject: reply, reply: None, payload: wire::encode(state) }
    }

    /// The heartbeat.
    pub fn heartbeat(&self, heartbeat: &wire::Heartbeat) -> Outgoing {
        Outgoing { subject: self.subjects.heartbeat(), reply: None, payload: wire::encode(heartbeat) }
    }

    /// What do you hold?
    pub fn ask(&self, ask: &wire::Ask) -> Outgoing {
        let reply = Some(format!("{}.state.{}", self.inbox, ask.request));
        Outgoing { subject: self.subjects.ask(), reply, payload: wire::encode(ask) }
    }

    /// Promise this epoch.
    pub fn promise(&self, node: &NodeName, promise: &wire::Promise) -> Outgoing {
        let reply = Some(format!("{}.state.{}", self.inbox, promise.request));
        Outgoing { subject: self.subjects.promise(node), reply, payload: wire::encode(promise) }
    }

    /// Give me a range.
    pub fn read_range(&self, node: &NodeName, read: &wire::Read) -> Outgoing {
        let reply = Some(format!("{}.read.{}", self.inbox, read.request));
        Outgoing { subject: self.subjects.read(node), reply, payload: wire::encode(read) }
    }
}

/// Counts what was refused, by kind and sender, and says which kind is new so that it is logged once.
#[derive(Debug, Default)]
pub struct RefusedCounts {
    counts: BTreeMap<(&'static str, String), u64>,
}

/// Kinds and subjects that are told apart; the rest is counted together, since anybody can make up subjects.
const MAX_REFUSED_KINDS: usize = 256;

impl RefusedCounts {
    /// Counts one; true the first time.
    pub fn count(&mut self, kind: &'static str, subject: &str) -> bool {
        let full = self.counts.len() >= MAX_REFUSED_KINDS;
        let key = (kind, subject.to_owned());
        let key = if full && !self.counts.contains_key(&key) { (kind, "other".to_owned()) } else { key };
        let count = self.counts.entry(key).or_default();
        *count += 1;
        *count == 1
    }

    /// How many, by kind.
    pub fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        let mut sums = BTreeMap::new();
        for ((kind, _), count) in &self.counts {
            *sums.entry(*kind).or_default() += count;
        }
        sums
    }
}
