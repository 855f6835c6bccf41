//! The real secondary core over its disk, driven as the secondary's node drives it.
//!
//! The node's own translator is private to its crate, so subjects are read and written here once more, with the
//! same functions for the bytes.

mod effects;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use replog_core::secondary::{Faults, PullLimits, SecondaryCore, Settings, Status};
use replog_host::{bus::Incoming, parking::Parking};
use replog_shared::{
    Digest, Lines, Moment, NodeName, Order,
    entry::EntryLine,
    mark::Mark,
    store::{LogView, Lookup, Store as _},
    subjects::{Channel, Subjects},
    wire::{self, WireError},
};

use super::{
    Mutant,
    coverage::Path,
    disk::{Disk, Lies},
    hub::Hub,
    node::Birth,
    reads::Reads,
};

/// Deadlines done in one turn, as in the node.
const MAX_DEADLINES: usize = 256;

/// What comes to a secondary.
#[derive(Debug)]
pub(super) enum Input {
    Packet(Incoming),
    Up { max_payload: usize },
    Down,
}

/// What may look at old lines.
#[derive(Debug)]
enum Late {
    JoinAnswer(wire::JoinAnswer),
    Read(wire::Read, String),
}

/// One process.
#[derive(Debug)]
pub(super) struct Secondary {
    index: usize,
    name: NodeName,
    subjects: Subjects,
    inbox_subject: String,
    core: SecondaryCore,
    disk: Disk,
    started: u64,
    now: u64,
    inbox: VecDeque<Input>,
    parking: Parking<Late>,
    reads: Reads,
    /// How often its log was cut.
    cuts: u64,
    pull: PullLimits,
    /// Bytes of a page that a promoting master reads: few, so that a log has several.
    page_bytes: usize,
    /// For mutants: the highest end received with its digest, and what was asked for already.
    highest: (Order, Digest),
    fetched_once: BTreeSet<Order>,
    joined_once: bool,
    /// The length that the last answer to a join told.
    told_length: Order,
    /// What is cut next is a log with nothing in it.
    gives_way: bool,
}

impl Secondary {
    pub(super) fn start(birth: Birth<'_>, faults: Faults, mut disk: Disk, hub: &mut Hub) -> Secondary {
        let Birth { now, index, names, log, plan, incarnation, seed } = birth;
        disk.store = disk.store.reopened(false);
        disk.store.keep_in_memory(plan.tail_of(index));
        disk.store.lie(if hub.is(Mutant::AckedBeforeSync) { Lies::All } else { Lies::None });
        hub.oracle.on_start(index, disk.identity.whole, &disk.store);
        let settings = Settings {
            name: names[index].clone(),
            incarnation,
            durability: plan.level_of(index),
            heartbeat_interval: plan.heartbeat,
            pull: plan.pull,
            faults,
            outline_marks: plan.outline_marks,
        };
        let subjects = Subjects::new(log.clone());
        let identity = disk.identity.clone();
        Secondary {
            inbox_subject: subjects.inbox(&settings.name),
            subjects,
            index,
            name: settings.name.clone(),
            core: SecondaryCore::new(settings, identity, fastrand::Rng::with_seed(seed)),
            disk,
            started: now,
            now,
            inbox: VecDeque::new(),
            parking: Parking::default(),
            reads: Reads::default(),
            cuts: 0,
            pull: plan.pull,
            page_bytes: plan.push.envelope_bytes,
            highest: (Order::ZERO, Digest::EMPTY),
            fetched_once: BTreeSet::new(),
            joined_once: false,
            told_length: Order::ZERO,
            gives_way: false,
        }
    }

    pub(super) fn push(&mut self, input: Input) {
        self.inbox.push_back(input);
    }

    /// When it must be woken, in microseconds of the simulation.
    pub(super) fn wake_at(&self) -> Option<u64> {
        let at = |deadline: Moment| self.started + deadline.since_start().as_nanos().div_ceil(1_000) as u64;
        Some(self.core.next_deadline().map(at).into_iter().chain(self.reads.next_at()).min()?.max(self.now))
    }

    pub(super) fn status(&self) -> Status {
        self.core.status(self.moment(), &self.disk.store)
    }

    /// Whether it hears no master.
    pub(super) fn hears_nobody(&self, now: u64) -> bool {
        self.core.hears(Moment::after_start(Duration::from_micros(now - self.started))).is_none()
    }

    pub(super) const fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) const fn disk_mut(&mut self) -> &mut Disk {
        &mut self.disk
    }

    pub(super) fn into_disk(self) -> Disk {
        self.disk
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
        self.take_up_parked(hub);
        if hub.crashed {
            return;
        }
        while let Some(input) = self.inbox.pop_front() {
            match input {
                Input::Packet(packet) => self.on_packet(moment, packet, hub),
                Input::Up { max_payload } => self.core.on_connected(moment, max_payload),
                Input::Down => {}
            }
            self.execute(hub);
            if hub.crashed {
                return;
            }
        }
        self.do_what_is_due(moment, hub);
        self.core.on_burst_end(moment, &self.disk.store);
        self.execute(hub);
        self.reads.begin(now, &mut self.parking, self.cuts, &self.disk.store);
        hub.check_shown(self.index, &self.disk.store);
    }

    fn do_what_is_due(&mut self, now: Moment, hub: &mut Hub) {
        for _ in 0..MAX_DEADLINES {
            if self.core.next_deadline().is_none_or(|deadline| deadline > now) {
                return;
            }
            self.core.on_deadline(now, &self.disk.store);
            self.execute(hub);
        }
        let index = self.index;
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
        let (payload, log) = (&packet.payload, &self.disk.store);
        let reply = packet.reply.unwrap_or_default();
        match self.subjects.parse(&packet.subject) {
            Some((Channel::Heartbeat, _)) => self.core.on_heartbeat(now, &wire::decode(payload)?, log),
            Some((Channel::Ask, _)) => self.core.on_ask(now, &wire::decode(payload)?, reply, log),
            Some((Channel::Promise, _)) => self.core.on_promise(now, wire::decode(payload)?, reply, log),
            Some((Channel::Read, _)) => self.bring(Late::Read(wire::decode(payload)?, reply), hub),
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
            let answer: wire::JoinAnswer = wire::decode(payload)?;
            self.bring(Late::JoinAnswer(answer), hub);
        } else if kind.starts_with(".fetch.") {
            let (header, lines) = wire::decode_entries(payload)?;
            self.on_entries(now, header, lines, Mutant::FetchedAppendedBlindly, hub);
        }
        Ok(())
    }

    /// As the node does.
    fn bring(&mut self, late: Late, hub: &mut Hub) {
        if let Some(lookup) = self.missing(&late) {
            let index = self.index;
            hub.story.tell(|| format!("n{index} reads {lookup:?} before it takes {late:?}"));
            hub.coverage.hit(Path::Parked);
            if self.parking.park(late, 1, lookup).is_err() {
                hub.oracle.found(|| "more waits for reads than ever comes".to_owned());
            }
        } else {
            self.take_late(late, hub);
        }
    }

    fn missing(&self, late: &Late) -> Option<Lookup> {
        self.disk.store.missing(|log| match late {
            Late::JoinAnswer(answer) => self.core.look_ahead_join_answer(answer, log),
            Late::Read(read, _) => self.core.look_ahead_read(read, self.page_bytes, log),
        })
    }

    fn take_late(&mut self, late: Late, hub: &mut Hub) {
        let now = self.moment();
        match late {
            Late::JoinAnswer(answer) => {
                self.told_length = answer.length;
                self.core.on_join_answer(now, answer, &self.disk.store);
            }
            Late::Read(read, reply) => self.core.on_read(read, reply),
        }
        self.execute(hub);
    }

    fn take_up_parked(&mut self, hub: &mut Hub) {
        while let Some((turn, lines)) = self.reads.next_done(self.now) {
            let Some(mut parked) = self.parking.on_read(turn, lines, self.cuts) else { continue };
            self.disk.store.lend(std::mem::take(&mut parked.pages));
            if let Some(lookup) = self.missing(&parked.event) {
                parked.pages = self.disk.store.take_back();
                self.parking.go_on(parked, lookup);
            } else {
                self.take_late(parked.event, hub);
                drop(self.disk.store.take_back());
            }
            if hub.crashed {
                return;
            }
        }
    }

    fn on_entries(
        &mut self,
        now: Moment,
        mut header: wire::EntriesHeader,
        lines: Bytes,
        blind: Mutant,
        hub: &mut Hub,
    ) {
        if hub.is(Mutant::OldEntriesTaken) {
            header.epoch = self.status().fence.unwrap_or(header.epoch);
        }
        if hub.is(blind) && self.status().fence.as_ref() == Some(&header.epoch) {
            return self.append_blindly(&lines, hub);
        }
        if hub.is(Mutant::AckOfHighestReceived) {
            self.highest = self.highest.max((header.from.plus(header.count), header.digest));
        }
        self.core.on_entries(now, header, lines, &self.disk.store);
    }

    fn append_blindly(&mut self, lines: &Bytes, hub: &mut Hub) {
        let entries: Vec<&[u8]> =
            lines.split_inclusive(|byte| *byte == b'\n').filter(|line| !Mark::is_mark(line)).collect();
        let ends = entries.iter().scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        });
        let tip = self.disk.store.tip();
        let last = entries.last().and_then(|line| EntryLine::parse(line).ok()?.at);
        let at = last.or(tip.at).unwrap_or_default();
        let run = Lines::of_entries(entries.concat().into(), ends, at, tip);
        self.append(&run, hub);
    }
}
