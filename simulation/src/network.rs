//! What becomes of an envelope between two nodes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fastrand::Rng;
use replog_core::packet::{Incoming, Outgoing, STATUS_NO_RESPONDERS};
use replog_shared::{
    LogName, NodeName,
    subjects::{Channel, Subjects},
};

use super::plan::Rates;

/// A packet on its way.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) incoming: Incoming,
    /// The connections it travels on: a reset loses it.
    connections: (u64, u64),
}

/// A packet and when it arrives.
pub(super) type Flight = (u64, Packet);

/// The bus. Nodes are numbered.
#[derive(Debug)]
pub(super) struct Network {
    subjects: Subjects,
    names: Vec<NodeName>,
    pub(super) rates: Rates,
    /// Whether a node listens: it runs and is connected.
    pub(super) listening: Vec<bool>,
    /// Whether what runs on a node, or ran last, is a master: that decides what it subscribes to.
    pub(super) masters: Vec<bool>,
    connections: Vec<u64>,
    cuts: BTreeSet<(usize, usize)>,
    /// Links on which everything takes this much longer.
    slow: BTreeMap<(usize, usize), u64>,
    /// When the last packet of a link arrives: later ones do not overtake it, unless they are reordered.
    last: BTreeMap<(usize, usize), u64>,
}

impl Network {
    pub(super) fn new(log: LogName, names: Vec<NodeName>, rates: Rates) -> Network {
        let nodes = names.len();
        Network {
            subjects: Subjects::new(log),
            names,
            rates,
            listening: vec![false; nodes],
            masters: vec![false; nodes],
            connections: vec![0; nodes],
            cuts: BTreeSet::new(),
            slow: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    pub(super) fn mend(&mut self, from: usize, to: usize) {
        self.cuts.remove(&(from, to));
    }

    pub(super) fn slow_down(&mut self, from: usize, to: usize, delay: u64) {
        self.slow.insert((from, to), delay);
    }

    /// What is sent from now on may overtake what is on its way.
    pub(super) fn speed_up(&mut self, from: usize, to: usize) {
        self.slow.remove(&(from, to));
        self.last.remove(&(from, to));
    }

    /// Everything on its way to and from this node is lost.
    pub(super) fn reset(&mut self, node: usize) {
        self.connections[node] += 1;
    }

    /// No more faults.
    pub(super) fn heal(&mut self) {
        self.cuts.clear();
        self.slow.clear();
        self.last.clear();
        self.rates = Rates::healthy(self.rates.latency.min(2_000));
    }

    /// Whether every packet arrives within the ordinary time, as long as its connections last.
    pub(super) fn is_calm(&self) -> bool {
        let Rates { loss, delay, damage, .. } = self.rates;
        [loss, delay, damage] == [0.0; 3] && self.cuts.is_empty() && self.slow.is_empty()
    }

    /// Whether a packet that arrives now still has its connections and somebody to take it.
    pub(super) fn arrives(&self, packet: &Packet) -> bool {
        let (from, to) = packet.connections;
        from == self.connections[packet.from]
            && to == self.connections[packet.to]
            && self.listening[packet.to]
    }

    /// What arrives of a packet, and when; `true`: nobody listens to it.
    pub(super) fn send(
        &mut self,
        now: u64,
        from: usize,
        packet: Outgoing,
        random: &mut Rng,
    ) -> (Vec<Flight>, bool) {
        if !self.listening[from] {
            return (Vec::new(), false);
        }
        let mut listeners = self.listeners(&packet.subject);
        listeners.retain(|node| self.listening[*node]);
        let Outgoing { subject, reply, payload } = packet;
        if listeners.is_empty() {
            let status = reply.map(|subject| {
                let incoming = Incoming {
                    subject,
                    reply: None,
                    payload: Bytes::new(),
                    status: Some(STATUS_NO_RESPONDERS),
                };
                self.flight(now, from, from, incoming, random)
            });
            return (status.into_iter().collect(), true);
        }
        let mut flights = Vec::new();
        for to in listeners {
            let incoming = Incoming {
                subject: subject.clone(),
                reply: reply.clone(),
                payload: payload.clone(),
                status: None,
            };
            self.carry(now, from, to, incoming, random, &mut flights);
        }
        (flights, false)
    }

    fn carry(
        &mut self,
        now: u64,
        from: usize,
        to: usize,
        mut incoming: Incoming,
        random: &mut Rng,
        into: &mut Vec<Flight>,
    ) {
        let hit = |random: &mut Rng, rate: f64| rate > 0.0 && random.f64() < rate;
        if self.cuts.contains(&(from, to)) || hit(random, self.rates.loss) {
            return;
        }
        let copies = if hit(random, self.rates.duplicate) { 2 } else { 1 };
        if hit(random, self.rates.damage) {
            incoming.payload = damaged(&incoming.payload, random);
        }
        for _ in 0..copies {
            into.push(self.flight(now, from, to, incoming.clone(), random));
        }
    }

    fn flight(&mut self, now: u64, from: usize, to: usize, incoming: Incoming, random: &mut Rng) -> Flight {
        let rates = self.rates;
        let mut hit = |rate: f64| rate > 0.0 && random.f64() < rate;
        let (delayed, reordered) = (hit(rates.delay), hit(rates.reorder));
        let late = if delayed { random.u64(..rates.long_delay) } else { 0 };
        let slow = self.slow.get(&(from, to)).copied().unwrap_or_default();
        let mut at = now + late + slow + random.u64(50..=rates.latency);
        if !reordered && !delayed {
            let last = self.last.entry((from, to)).or_default();
            at = at.max(*last);
            *last = at;
        }
        let connections = (self.connections[from], self.connections[to]);
        (at, Packet { from, to, incoming, connections })
    }

    /// Who has subscribed to this, listening or not.
    fn listeners(&self, subject: &str) -> Vec<usize> {
        let all = || 0..self.names.len();
        let named = |node: &NodeName| all().filter(|index| self.names[*index] == *node).collect();
        match self.subjects.parse(subject) {
            Some((Channel::Acks | Channel::Join | Channel::Fetch, _)) => {
                all().filter(|node| self.masters[*node]).collect()
            }
            Some((Channel::Entries, Some(node))) => {
                let mut listeners: Vec<usize> = named(&node);
                listeners.retain(|node| !self.masters[*node]);
                listeners
            }
            Some((Channel::Promise | Channel::Read, Some(node))) => named(&node),
            Some((Channel::Heartbeat | Channel::Ask, _)) => all().collect(),
            Some((Channel::Inbox, _)) => self.owner_of_inbox(subject),
            _ => Vec::new(),
        }
    }

    fn owner_of_inbox(&self, subject: &str) -> Vec<usize> {
        let owns = |name: &NodeName| self.subjects.is_inbox_of(name, subject);
        self.names.iter().position(owns).into_iter().collect()
    }
}

/// Bytes as a broken peer might send them: cut short, replaced by junk, or with one byte changed in the lines
/// behind a header. A header that is damaged and still well-formed JSON is left out: TCP does not do that.
fn damaged(payload: &Bytes, random: &mut Rng) -> Bytes {
    let end = payload.len().max(1);
    match (random.u8(..3), payload.iter().position(|byte| *byte == b'\n')) {
        (0, _) => payload.slice(..random.usize(..end).min(payload.len())),
        (1, Some(header)) if header + 1 < payload.len() => {
            let mut bytes = payload.to_vec();
            bytes[random.usize(header + 1..payload.len())] ^= 1 << random.u8(..8);
            bytes.into()
        }
        _ => Bytes::from_iter((0..random.usize(..40)).map(|_| random.u8(..))),
    }
}
