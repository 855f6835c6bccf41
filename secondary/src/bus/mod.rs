//! Between packets and the core's events and effects.

use std::collections::BTreeMap;

use bytes::Bytes;
use replog_host::bus::{Incoming, Outgoing};
use replog_shared::{
    LogName, NodeName,
    subjects::{Channel, Subjects},
    wire::{self, WireError},
};

#[cfg(test)]
mod tests;

/// What a packet tells the core.
#[derive(Debug)]
pub(crate) enum Event {
    /// A master is alive.
    Heartbeat(wire::Heartbeat),
    /// Entries, pushed or fetched.
    Entries(wire::EntriesHeader, Bytes),
    /// The answer to a join.
    JoinAnswer(wire::JoinAnswer),
    /// A question, and where the answer goes.
    Ask(wire::Ask, String),
    /// A promise asked for, and where the answer goes.
    Promise(wire::Promise, String),
    /// A page asked for, and where the answer goes.
    Read(wire::Read, String),
}

/// A packet that tells nothing.
#[derive(Debug)]
pub(crate) enum Ignored {
    /// Nobody listened to a request: the retry timer asks again.
    NobodyListens,
    /// No node of this log wrote it.
    Refused(Incoming),
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

/// Reads packets and writes them, for one node of one log.
#[derive(Debug)]
pub struct Translator {
    subjects: Subjects,
    name: NodeName,
    inbox: String,
    /// Packets refused, by kind.
    refused: BTreeMap<&'static str, u64>,
}

impl Translator {
    /// For the secondary `name` of the log `log`.
    pub fn new(log: LogName, name: NodeName) -> Translator {
        let subjects = Subjects::new(log);
        let inbox = subjects.inbox(&name);
        Translator { subjects, name, inbox, refused: BTreeMap::new() }
    }

    /// The subjects to listen on, besides everything below the inbox.
    pub fn subscriptions(&self) -> Vec<String> {
        let Translator { subjects, name, .. } = self;
        vec![
            subjects.entries(name),
            subjects.heartbeat(),
            subjects.ask(),
            subjects.promise(name),
            subjects.read(name),
        ]
    }

    /// The subject below which answers to this node arrive.
    pub fn inbox(&self) -> &str {
        &self.inbox
    }

    /// Packets that were refused so far, by kind.
    pub(crate) const fn refused(&self) -> &BTreeMap<&'static str, u64> {
        &self.refused
    }

    /// What a packet tells; refused ones are counted, and the first of each kind is logged.
    ///
    /// # Errors
    /// It tells nothing.
    pub(crate) fn read(&mut self, packet: Incoming) -> Result<Event, Ignored> {
        if packet.status.is_some() {
            return Err(Ignored::NobodyListens);
        }
        let Some(kind) = self.kind(&packet.subject) else { return Err(Ignored::Refused(packet)) };
        match self.event(kind, &packet) {
            Ok(event) => Ok(event),
            Err(refusal) => {
                self.on_refused(kind, &packet.subject, &refusal);
                Err(Ignored::Refused(packet))
            }
        }
    }

    /// What the subject says the packet is.
    fn kind(&mut self, subject: &str) -> Option<&'static str> {
        let kind = match self.subjects.parse(subject) {
            Some((Channel::Entries, _)) => "entries",
            Some((Channel::Heartbeat, _)) => "heartbeat",
            Some((Channel::Ask, _)) => "ask",
            Some((Channel::Promise, _)) => "promise",
            Some((Channel::Read, _)) => "read",
            Some((Channel::Inbox, _)) => self.inbox_kind(subject).unwrap_or("inbox"),
            _ => "unknown",
        };
        if matches!(kind, "inbox" | "unknown") {
            self.on_refused(kind, subject, &Refusal::Unexpected);
            return None;
        }
        Some(kind)
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

    fn on_refused(&mut self, kind: &'static str, subject: &str, refusal: &Refusal) {
        let count = self.refused.entry(kind).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!(kind, subject, %refusal, "refused an envelope; more of its kind are only counted");
        }
    }

    /// The packet of a join.
    pub(crate) fn join(&self, join: &wire::Join) -> Outgoing {
        self.request(self.subjects.join(Some(&self.name)), "join", join.request, wire::encode(join))
    }

    /// The packet of a fetch.
    pub(crate) fn fetch(&self, fetch: &wire::Fetch) -> Outgoing {
        self.request(self.subjects.fetch(Some(&self.name)), "fetch", fetch.request, wire::encode(fetch))
    }

    /// The packet of an ack.
    pub(crate) fn ack(&self, ack: &wire::Ack) -> Outgoing {
        answer(self.subjects.acks(Some(&self.name)), wire::encode(ack))
    }

    fn request(&self, subject: String, kind: &str, request: u64, payload: Bytes) -> Outgoing {
        Outgoing { subject, reply: Some(format!("{}.{kind}.{request}", self.inbox)), payload }
    }
}

/// A packet that wants no answer.
pub(crate) const fn answer(subject: String, payload: Bytes) -> Outgoing {
    Outgoing { subject, reply: None, payload }
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
