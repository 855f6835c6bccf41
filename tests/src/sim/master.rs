//! The real master core over its disk, driven as `replog_master::node` drives it.

mod effects;
mod parked;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use replog_core::master::{
    AckOutcome, CoreConfig, Effect, MasterCore, StartTerms,
    events::{NotLeading, WaitId},
};
use replog_host::{bus::Incoming, parking::Parking};
use replog_master::bus::{Event, Translator};
use replog_shared::{
    Incarnation, Moment, NodeName, Order, WallTime,
    store::LogView,
    wire::{self, Verdict},
};

use super::{
    Mutant,
    client::{self, Command},
    coverage::Path,
    disk::{Disk, Lies},
    hub::Hub,
    node::Birth,
    reads::Reads,
};
use parked::Late;

/// Turns in which nothing came and something stayed due: more than these and the node would spin.
const MAX_IDLE_TURNS: u32 = 64;

/// What comes to a master.
#[derive(Debug)]
pub(super) enum Input {
    Packet(Incoming),
    Up { max_payload: usize },
    Down,
    Command(Command),
}

/// One process.
#[derive(Debug)]
pub(super) struct Master {
    /// Which node it is.
    index: usize,
    core: MasterCore,
    disk: Disk,
    translator: Translator,
    /// The other nodes: their names in the order of its configuration, and which nodes they are.
    secondaries: Vec<NodeName>,
    peers: Vec<usize>,
    /// It promises nothing that a living master would mind (docs/RECOVERY.md, section 4).
    automatic: bool,
    /// Its operator says that its disk is an old copy.
    recovers: bool,
    /// When it started, in microseconds of the simulation.
    started: u64,
    now: u64,
    inbox: VecDeque<Input>,
    parking: Parking<Late>,
    reads: Reads,
    /// How often its log was cut.
    cuts: u64,
    /// The next step of its start waits for old lines.
    deadline_waits: bool,
    idle_turns: u32,
    window_envelopes: usize,
    /// The admitted process of each secondary, and which admission that was.
    admitted: BTreeMap<usize, (Incarnation, u64)>,
    has_led: bool,
    /// What is executed at the moment empties the log.
    cleans: bool,
    /// For mutants: what was pushed, asked and acked already.
    sent_once: BTreeSet<(usize, Order)>,
    asked_once: bool,
    last_acks: BTreeMap<usize, wire::Ack>,
}

impl Master {
    pub(super) fn start(
        birth: Birth<'_>,
        terms: StartTerms,
        automatic: bool,
        mut disk: Disk,
        hub: &mut Hub,
    ) -> Master {
        let Birth { now, index, names, log, plan, incarnation, seed, .. } = birth;
        disk.store = disk.store.reopened(!hub.is(Mutant::IdIndexLost));
        disk.store.keep_in_memory(plan.tail_of(index));
        disk.store.lie(match hub.mutant {
            Some(Mutant::PublishedBeforeSync) => Lies::All,
            Some(Mutant::MarkNotSynced) => Lies::Marks,
            _ => Lies::None,
        });
        hub.oracle.on_start(index, disk.identity.whole, &disk.store);
        let peers: Vec<usize> = (0..names.len()).filter(|node| *node != index).collect();
        let (name, secondaries) = (names[index].clone(), peers.iter().map(|node| names[*node].clone()));
        let secondaries: Vec<NodeName> = secondaries.collect();
        let config = CoreConfig {
            node: name.clone(),
            secondaries: secondaries.clone(),
            incarnation,
            heartbeat_interval: plan.heartbeat,
            recovery_wait: plan.recovery_wait,
            read_only_without_majority: plan.read_only,
            start: terms,
            push: plan.push,
            http: None,
            outline_marks: plan.outline_marks,
        };
        let mut identity = disk.identity.clone();
        identity.whole |= hub.is(Mutant::PartlyHeldCounts);
        Master {
            index,
            core: MasterCore::new(config, identity, Moment::default(), seed),
            disk,
            translator: Translator::new(log.clone(), &name),
            secondaries,
            peers,
            automatic,
            recovers: terms.recover,
            started: now,
            now,
            inbox: VecDeque::new(),
            parking: Parking::default(),
            reads: Reads::default(),
            cuts: 0,
            deadline_waits: false,
            idle_turns: 0,
            window_envelopes: plan.push.window_envelopes,
            admitted: BTreeMap::new(),
            has_led: false,
            cleans: false,
            sent_once: BTreeSet::new(),
            asked_once: false,
            last_acks: BTreeMap::new(),
        }
    }

    pub(super) fn push(&mut self, input: Input) {
        self.idle_turns = 0;
        self.inbox.push_back(input);
    }

    /// When it must be woken, in microseconds of the simulation.
    pub(super) fn wake_at(&self) -> Option<u64> {
        let core = self.core.next_deadline().filter(|_| !self.deadline_waits);
        let deadlines = core.into_iter().chain(self.parking.events().filter_map(Late::deadline));
        let at = |deadline: Moment| self.started + deadline.since_start().as_nanos().div_ceil(1_000) as u64;
        Some(deadlines.map(at).chain(self.reads.next_at()).min()?.max(self.now))
    }

    pub(super) fn leads(&self) -> bool {
        self.core.epoch().is_some()
    }

    /// Whether it ever led.
    pub(super) const fn has_led(&self) -> bool {
        self.has_led
    }

    /// Why it takes no appends.
    pub(super) fn not_leading(&self) -> Option<NotLeading> {
        self.core.not_leading()
    }

    pub(super) fn pending_writes(&self) -> usize {
        self.core.pending_writes()
    }

    pub(super) const fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) const fn disk_mut(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// It is stopped in good order: its callers are told of what is durable by then.
    pub(super) fn stop(&mut self, now: u64, hub: &mut Hub) {
        self.now = now;
        if !hub.is(Mutant::AnswersBeforeSeal) {
            self.disk.settle();
            hub.oracle.on_durable(self.index, self.disk.store.held());
        }
        self.core.on_stop(self.moment(), &self.disk.store);
        self.execute(hub);
        self.give_up_parked(hub);
    }

    pub(super) fn into_disk(self) -> Disk {
        self.disk
    }

    fn moment(&self) -> Moment {
        Moment::after_start(Duration::from_micros(self.now - self.started))
    }

    /// The time of day on this node, which goes wrong by up to half a second, each process in its own way.
    fn wall_clock(&self) -> WallTime {
        let wrong_by = self.started.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 45;
        WallTime::from_ms((self.now + wrong_by) / 1_000)
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
            self.on_input(moment, input, hub);
            self.execute(hub);
            if hub.crashed {
                return;
            }
        }
        if self.core.next_deadline().is_some_and(|deadline| deadline <= moment) {
            self.on_deadline(moment, hub);
        }
        self.core.on_wall_clock(self.wall_clock());
        self.take_up_held(moment, hub);
        self.core.on_burst_end(moment, &self.disk.store);
        self.execute(hub);
        self.reads.begin(now, &mut self.parking, self.cuts, &self.disk.store);
        hub.check_shown(self.index, &self.disk.store);
        self.has_led |= self.leads();
        self.check_idle(hub);
    }

    fn check_idle(&mut self, hub: &mut Hub) {
        let due = self.core.next_deadline().is_some_and(|deadline| deadline <= self.moment())
            && !self.deadline_waits;
        self.idle_turns = if due { self.idle_turns + 1 } else { 0 };
        if self.idle_turns > MAX_IDLE_TURNS {
            hub.oracle.found(|| "the master spins: a deadline stays due and nothing is done".to_owned());
        }
    }

    fn on_input(&mut self, now: Moment, input: Input, hub: &mut Hub) {
        match input {
            Input::Packet(packet) => self.on_packet(now, &packet, hub),
            Input::Up { max_payload } => self.core.on_bus_up(now, max_payload),
            Input::Down => self.core.on_bus_down(),
            Input::Command(command) => self.on_command(now, command, hub),
        }
    }

    fn on_command(&mut self, now: Moment, command: Command, hub: &mut Hub) {
        let deadline = |timeout: Option<u64>| timeout.map(|timeout| now.plus(Duration::from_micros(timeout)));
        match command {
            Command::Append { wait, messages, w, expect, timeout } => {
                let expect = expect.filter(|_| !hub.is(Mutant::ExpectedOrderIgnored));
                let w =
                    if hub.is(Mutant::WriteConcernIgnored) { replog_shared::WriteConcern::ONE } else { w };
                let append = client::append(messages, w, expect, deadline(timeout));
                self.bring(now, Late::Append(WaitId(wait), append), hub);
            }
            Command::Wait { wait, order, w, timeout } => {
                self.bring(
                    now,
                    Late::Wait { wait: WaitId(wait), order, w, deadline: deadline(timeout) },
                    hub,
                );
            }
            Command::Clean { wait, w } => {
                let clean = client::append(Vec::new(), w, None, None);
                self.core.on_clean(now, WaitId(wait), clean, &self.disk.store);
            }
            Command::HangUp { wait } => {
                self.core.on_hang_up(WaitId(wait));
                drop(self.parking.take_if(|late| late.wait() == Some(WaitId(wait))));
            }
        }
    }

    fn on_packet(&mut self, now: Moment, packet: &Incoming, hub: &mut Hub) {
        match self.translator.read(packet) {
            Ok(event) => self.bring(now, Late::Packet(event), hub),
            Err(_) => hub.coverage.hit(Path::DamageRefused),
        }
    }

    fn on_event(&mut self, now: Moment, event: Event, hub: &mut Hub) {
        match event {
            Event::Ack(ack) => self.on_ack(now, ack, hub),
            Event::Join { join, reply } => self.on_join(now, &join, reply, hub),
            Event::Fetch { fetch, reply } => {
                self.core.on_fetch(now, &fetch, reply, &self.disk.store);
                if hub.is(Mutant::FetchTakenAsAck) {
                    self.take_fetch_as_ack(now, &fetch);
                }
            }
            Event::Heartbeat(heartbeat) => self.core.on_heartbeat(now, &heartbeat),
            Event::Ask(ask, reply) => self.core.on_ask(now, &ask, reply, &self.disk.store),
            Event::Promise(promise, reply) => self.core.on_promise(now, &promise, reply, &self.disk.store),
            Event::Read(read, reply) => self.core.on_read(read, reply),
            Event::State(_) if hub.is(Mutant::OrdersReused) => {}
            Event::State(mut state) => {
                state.whole |= hub.is(Mutant::PartlyHeldCounts);
                self.core.on_state(now, *state, &self.disk.store);
            }
            Event::ReadAnswer(header, lines) => {
                self.core.on_read_answer(now, &header, &lines, &self.disk.store);
            }
            Event::NoResponders(node) => {
                hub.coverage.hit(Path::NoResponders);
                self.core.on_no_responders(now, &node);
            }
            Event::Unanswered => {}
        }
    }

    fn on_ack(&mut self, now: Moment, mut ack: wire::Ack, hub: &mut Hub) {
        let index = self.secondaries.iter().position(|name| *name == ack.sender.node);
        let admitted = index.and_then(|index| Some(self.admitted.get(&index)?.0));
        if hub.is(Mutant::OldIncarnationCounts) {
            ack.sender.incarnation = admitted.unwrap_or(ack.sender.incarnation);
            ack.joined = None;
        }
        if hub.is(Mutant::AckBeforeMark) && ack.epoch.as_ref() == self.core.epoch() {
            // The digest of a log on its way to the mark is never the master's.
            self.take_at_its_word(&mut ack);
        }
        match (self.core.on_ack(now, &ack, &self.disk.store), index) {
            (AckOutcome::NotAdmitted, _) => hub.coverage.hit(Path::OldIncarnationIgnored),
            (AckOutcome::Counted, Some(index)) if hub.is(Mutant::AckedSurvivesRestart) => {
                self.last_acks.insert(index, ack.clone());
            }
            _ => {}
        }
        if hub.is(Mutant::AcksCountedTwice) && admitted == Some(ack.sender.incarnation) {
            self.count_for_neighbour(now, ack, index);
        }
    }

    fn count_for_neighbour(&mut self, now: Moment, mut ack: wire::Ack, index: Option<usize>) {
        let Some((other, (incarnation, _))) = self.admitted.iter().find(|(other, _)| Some(**other) != index)
        else {
            return;
        };
        ack.sender.node = self.secondaries[*other].clone();
        ack.sender.incarnation = *incarnation;
        ack.joined = None;
        let _counted = self.core.on_ack(now, &ack, &self.disk.store);
    }

    fn take_at_its_word(&self, ack: &mut wire::Ack) {
        let store = &self.disk.store;
        let place = replog_shared::Place::new(ack.through, store.durable().marks);
        ack.digest = store.digest_at(place).unwrap_or(ack.digest);
    }

    fn take_fetch_as_ack(&mut self, now: Moment, fetch: &wire::Fetch) {
        let place = replog_shared::Place::new(fetch.from, self.disk.store.durable().marks);
        let Some(digest) = self.disk.store.digest_at(place) else { return };
        let ack = wire::Ack {
            sender: fetch.sender.clone(),
            epoch: Some(fetch.epoch.clone()),
            through: fetch.from,
            digest,
            durability: replog_shared::Durability::Memory,
            fence: None,
            whole: false,
            state: wire::SecondaryState::Streaming,
            joined: None,
            diverged_from: None,
            error: None,
        };
        let _counted = self.core.on_ack(now, &ack, &self.disk.store);
    }

    fn on_join(&mut self, now: Moment, join: &wire::Join, reply: String, hub: &mut Hub) {
        self.core.on_join(now, join, reply, &self.disk.store);
        let Some(index) = self.secondaries.iter().position(|name| *name == join.sender.node) else { return };
        let mut effects = Vec::new();
        self.core.take_effects(&mut effects);
        let admitted = effects.iter().any(|effect| {
            matches!(effect, Effect::JoinAnswer { answer, .. } if answer.verdict == Verdict::Admitted)
        });
        if admitted {
            self.admitted.insert(index, (join.sender.incarnation, hub.oracle.on_admitted()));
        }
        self.execute_all(effects, hub);
        if let Some(mut ack) = self.last_acks.get(&index).filter(|_| admitted).cloned() {
            ack.sender.incarnation = join.sender.incarnation;
            ack.joined = None;
            let _counted = self.core.on_ack(now, &ack, &self.disk.store);
        }
    }
}
