//! The real secondary core with its store, driven as the secondary's node drives it.
//!
//! The node's own translator is private to its crate, so subjects are read and written here once more, with the
//! same functions for the bytes.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use replog_host::bus::{Incoming, Outgoing};
use replog_secondary::core::{
    Effect, Faults, Notice, PullLimits, ReadAnswer, SecondaryCore, Settings, Status,
};
use replog_shared::{
    Digest, Durability, Identity, Incarnation, Lines, LogName, Moment, NodeName, Order,
    mark::Mark,
    store::{Cut, LogView, MemoryStore, Reader, Store},
    subjects::{Channel, Subjects},
    wire::{self, WireError},
};

use super::{Mutant, coverage::Path, hub::Hub, plan::Plan};

/// Deadlines done in one turn, as in the node.
const MAX_DEADLINES: usize = 256;

/// What comes to a secondary.
#[derive(Debug)]
pub(super) enum Input {
    Packet(Incoming),
    Up,
    Down,
}

/// Who it is, over all its processes.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) index: usize,
    pub(super) name: NodeName,
    pub(super) log: LogName,
}

/// One process.
#[derive(Debug)]
pub(super) struct Secondary {
    member: Member,
    subjects: Subjects,
    inbox_subject: String,
    core: SecondaryCore,
    store: MemoryStore,
    started: u64,
    now: u64,
    inbox: VecDeque<Input>,
    pull: PullLimits,
    /// Bytes of a page that a promoting master reads: few, so that a log has several.
    page_bytes: usize,
    /// For mutants: the highest end received with its digest, and what was asked for already.
    highest: (Order, Digest),
    fetched_once: BTreeSet<Order>,
    joined_once: bool,
}

impl Secondary {
    pub(super) fn start(
        now: u64,
        member: Member,
        plan: &Plan,
        faults: Faults,
        incarnation: Incarnation,
        seed: u64,
        hub: &mut Hub,
    ) -> Secondary {
        hub.oracle.on_start(member.index, incarnation);
        let settings = Settings {
            name: member.name.clone(),
            incarnation,
            durability: Durability::Memory,
            heartbeat_interval: plan.heartbeat,
            pull: plan.pull,
            faults,
        };
        let subjects = Subjects::new(member.log.clone());
        Secondary {
            inbox_subject: subjects.inbox(&member.name),
            subjects,
            member,
            core: SecondaryCore::new(settings, Identity::default(), fastrand::Rng::with_seed(seed)),
            store: MemoryStore::without_ids(),
            started: now,
            now,
            inbox: VecDeque::new(),
            pull: plan.pull,
            page_bytes: plan.push.envelope_bytes,
            highest: (Order::ZERO, Digest::EMPTY),
            fetched_once: BTreeSet::new(),
            joined_once: false,
        }
    }

    pub(super) fn push(&mut self, input: Input) {
        self.inbox.push_back(input);
    }

    /// When it must be woken, in microseconds of the simulation.
    pub(super) fn wake_at(&self) -> Option<u64> {
        let deadline = self.core.next_deadline()?;
        Some((self.started + deadline.since_start().as_nanos().div_ceil(1_000) as u64).max(self.now))
    }

    pub(super) fn status(&self) -> Status {
        self.core.status(self.moment(), &self.store)
    }

    pub(super) fn store(&self) -> &MemoryStore {
        &self.store
    }

    pub(super) fn stop_faults(&mut self) {
        self.core.set_faults(self.moment(), Faults::default());
    }

    fn moment(&self) -> Moment {
        Moment::after_start(Duration::from_micros(self.now - self.started))
    }

    /// Takes all that has come, as one burst.
    pub(super) fn turn(&mut self, now: u64, hub: &mut Hub) {
        self.now = now;
        let moment = self.moment();
        while let Some(input) = self.inbox.pop_front() {
            match input {
                Input::Packet(packet) => self.on_packet(moment, packet, hub),
                Input::Up => self.core.on_connected(moment),
                Input::Down => {}
            }
            self.execute(hub);
        }
        self.do_what_is_due(moment, hub);
        self.core.on_burst_end(moment, &self.store);
        self.execute(hub);
    }

    fn do_what_is_due(&mut self, now: Moment, hub: &mut Hub) {
        for _ in 0..MAX_DEADLINES {
            if self.core.next_deadline().is_none_or(|deadline| deadline > now) {
                return;
            }
            self.core.on_deadline(now, &self.store);
            self.execute(hub);
        }
        let index = self.member.index;
        hub.oracle.found(|| format!("s{index} spins: a deadline stays due"));
    }

    /// The bounds that must hold at any time, and what its counters tell.
    pub(super) fn check_at_end(&self, hub: &mut Hub) {
        let status = self.status();
        let PullLimits { buffer_bytes, window_ranges, .. } = self.pull;
        if status.buffered_bytes > buffer_bytes || status.fetches_in_flight > window_ranges {
            hub.oracle.found(|| "bounded: a secondary keeps or asks for more than it may".to_owned());
        }
        let counters = status.counters;
        hub.coverage.add(Path::GapFilled, counters.out_of_order);
        hub.coverage.add(Path::DuplicateDropped, counters.duplicates);
        hub.coverage.add(Path::StaleEpochRefused, counters.stale);
        hub.coverage.add(Path::DamageRefused, counters.refused);
    }

    fn on_packet(&mut self, now: Moment, packet: Incoming, hub: &mut Hub) {
        if packet.status.is_some() {
            hub.coverage.hit(Path::NoResponders);
            return;
        }
        if self.take(now, packet, hub).is_err() {
            hub.coverage.hit(Path::DamageRefused);
        }
    }

    fn take(&mut self, now: Moment, packet: Incoming, hub: &mut Hub) -> Result<(), WireError> {
        let (payload, log) = (&packet.payload, &self.store);
        let reply = packet.reply.unwrap_or_default();
        match self.subjects.parse(&packet.subject) {
            Some((Channel::Heartbeat, _)) => self.core.on_heartbeat(now, &wire::decode(payload)?, log),
            Some((Channel::Ask, _)) => self.core.on_ask(now, &wire::decode(payload)?, reply, log),
            Some((Channel::Promise, _)) => self.core.on_promise(now, wire::decode(payload)?, reply, log),
            Some((Channel::Read, _)) => self.core.on_read(wire::decode(payload)?, reply),
            Some((Channel::Entries, _)) => {
                let (mut header, lines) = wire::decode_entries(payload)?;
                header.request = None;
                self.on_entries(now, header, lines, Mutant::PushedAppendedBlindly, hub);
            }
            Some((Channel::Inbox, _)) => self.take_answer(now, &packet.subject, payload, hub)?,
            _ => {}
        }
        Ok(())
    }

    fn take_answer(
        &mut self,
        now: Moment,
        subject: &str,
        payload: &Bytes,
        hub: &mut Hub,
    ) -> Result<(), WireError> {
        let kind = subject.strip_prefix(&self.inbox_subject).unwrap_or_default();
        if kind.starts_with(".join.") {
            self.core.on_join_answer(now, wire::decode(payload)?, &self.store);
        } else if kind.starts_with(".fetch.") {
            let (header, lines) = wire::decode_entries(payload)?;
            self.on_entries(now, header, lines, Mutant::FetchedAppendedBlindly, hub);
        }
        Ok(())
    }

    fn on_entries(
        &mut self,
        now: Moment,
        header: wire::EntriesHeader,
        lines: Bytes,
        blind: Mutant,
        hub: &mut Hub,
    ) {
        if hub.is(blind) && self.status().fence.as_ref() == Some(&header.epoch) {
            return self.append_blindly(&lines, hub);
        }
        if hub.is(Mutant::AckOfHighestReceived) {
            self.highest = self.highest.max((header.from.plus(header.count), header.digest));
        }
        self.core.on_entries(now, header, lines, &self.store);
    }

    fn append_blindly(&mut self, lines: &Bytes, hub: &mut Hub) {
        let entries: Vec<&[u8]> =
            lines.split_inclusive(|byte| *byte == b'\n').filter(|line| !Mark::is_mark(line)).collect();
        let ends = entries.iter().scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        });
        let run = Lines::of_entries(entries.concat().into(), ends, self.store.tip());
        self.append(&run, hub);
    }

    fn execute(&mut self, hub: &mut Hub) {
        for effect in self.core.take_effects() {
            self.execute_one(effect, hub);
        }
    }

    fn append(&mut self, lines: &Lines, hub: &mut Hub) {
        let index = self.member.index;
        hub.story.tell(|| {
            format!(
                "s{index} appends {}..{} ({} marks)",
                lines.from(),
                lines.tip().place.length,
                lines.marks().len()
            )
        });
        let stored = self.store.append(lines);
        hub.oracle.on_append(index, lines.from(), stored, &self.store);
    }

    fn execute_one(&mut self, effect: Effect, hub: &mut Hub) {
        match effect {
            Effect::Save(_) => {}
            Effect::Append(lines) => self.append(&lines, hub),
            Effect::Truncate(_) if hub.is(Mutant::CutSkipped) => {}
            Effect::Truncate(place) => {
                let index = self.member.index;
                hub.story.tell(|| format!("s{index} cuts its log at {}", place.length));
                hub.coverage.hit(Path::SuffixCut);
                self.store.truncate(place, Cut::Drop).expect("a place of this log");
                hub.oracle.on_truncate(index, &self.store, self.status().fence.as_ref());
            }
            Effect::Join(join) => {
                if std::mem::replace(&mut self.joined_once, true) && hub.is(Mutant::RetryGivesUp) {
                    return;
                }
                let subject = self.subjects.join(Some(&self.member.name));
                self.request(subject, "join", join.request, wire::encode(&join), hub);
            }
            Effect::Fetch(fetch) => {
                if hub.is(Mutant::RetryGivesUp) && !self.fetched_once.insert(fetch.from) {
                    return;
                }
                let index = self.member.index;
                hub.story.tell(|| format!("s{index} asks for {}..{}", fetch.from, fetch.to));
                let subject = self.subjects.fetch(Some(&self.member.name));
                self.request(subject, "fetch", fetch.request, wire::encode(&fetch), hub);
            }
            Effect::Ack(ack) => self.send_ack(ack, hub),
            Effect::State { reply, state } => hub.sent.push(answer(reply, wire::encode(&state))),
            Effect::ReadAnswer(answer) => self.answer_read(answer, hub),
            Effect::Notice(notice) => self.on_notice(&notice, hub),
        }
    }

    fn on_notice(&self, notice: &Notice, hub: &mut Hub) {
        let index = self.member.index;
        hub.story.tell(|| format!("s{index} notes {notice:?}"));
        if let Notice::Diverged { orders } | Notice::Damaged { orders } = notice {
            hub.oracle.found(|| format!("s{index}: {notice:?} at {orders}, and no disk was touched"));
        }
    }

    fn send_ack(&self, mut ack: wire::Ack, hub: &mut Hub) {
        if hub.is(Mutant::AckOfHighestReceived) && self.highest.0 > ack.through {
            (ack.through, ack.digest) = self.highest;
        }
        hub.oracle.on_ack(self.member.index, &ack);
        hub.sent.push(answer(self.subjects.acks(Some(&self.member.name)), wire::encode(&ack)));
    }

    fn request(&self, subject: String, kind: &str, request: u64, payload: Bytes, hub: &mut Hub) {
        let reply = Some(format!("{}.{kind}.{request}", self.inbox_subject));
        hub.sent.push(Outgoing { subject, reply, payload });
    }

    fn answer_read(&self, read: ReadAnswer, hub: &mut Hub) {
        let ReadAnswer { reply, sender, request, epoch, from } = read;
        let length = self.store.durable().length;
        let page = match self.store.reader().read(from, length, self.page_bytes) {
            Ok(page) => page,
            Err(error) => return hub.oracle.found(|| error.to_string()),
        };
        let (count, digest) = (page.to.since(from), page.digest);
        let header =
            wire::EntriesHeader { sender, epoch, from, count, length, digest, request: Some(request) };
        hub.sent.push(answer(reply, wire::encode_entries(&header, &page.bytes)));
    }
}

fn answer(subject: String, payload: Bytes) -> Outgoing {
    Outgoing { subject, reply: None, payload }
}
