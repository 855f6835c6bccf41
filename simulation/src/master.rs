//! The real master core and its driver over a simulated disk, and what surrounds them.

mod surroundings;

use std::{collections::VecDeque, time::Duration};

use replog_core::{
    driver::{Driver, End},
    master::{
        Event, MasterCore, Settings, StartTerms,
        events::{NotLeading, WaitId},
    },
    packet::Incoming,
};
use replog_shared::{
    Durability, Moment, NodeName, Place, WallTime, WriteConcern,
    store::LogView,
    wire::{self, SecondaryState},
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
use surroundings::{Around, Surroundings};

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
    driver: Driver<MasterCore, Disk>,
    around: Around,
    /// When it started, in microseconds of the simulation.
    started: u64,
    now: u64,
    inbox: VecDeque<Input>,
    reads: Reads,
    idle_turns: u32,
    /// Its program has ended by itself.
    has_ended: bool,
}

impl Master {
    pub(super) fn start(
        birth: Birth<'_>,
        terms: StartTerms,
        automatic: bool,
        disk: Disk,
        hub: &mut Hub,
    ) -> Master {
        let Birth { now, index, names, log, plan, incarnation, seed, .. } = birth;
        let mut disk = disk.reopened(!hub.is(Mutant::IdIndexLost));
        disk.store.keep_in_memory(plan.tail_of(index));
        disk.store.lie(match hub.mutant {
            Some(Mutant::PublishedBeforeSync) => Lies::All,
            Some(Mutant::MarkNotSynced) => Lies::Marks,
            _ => Lies::None,
        });
        disk.tells_too_early = hub.is(Mutant::SaidBeforeSaved);
        hub.oracle.on_start(index, disk.identity.whole, &disk.store);
        let others = names.iter().enumerate().filter(|(node, _)| *node != index);
        let secondaries: Vec<NodeName> = others.map(|(_, name)| name.clone()).collect();
        let settings = Settings {
            name: names[index].clone(),
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
        let core = MasterCore::new(settings, identity, Moment::default(), seed);
        let mut around = Around::new(index, log, names[index].clone(), secondaries);
        around.automatic = automatic;
        around.recovers = terms.recover;
        around.window_envelopes = plan.push.window_envelopes;
        Master {
            driver: Driver::new(core, disk),
            around,
            started: now,
            now,
            inbox: VecDeque::new(),
            reads: Reads::default(),
            idle_turns: 0,
            has_ended: false,
        }
    }

    pub(super) fn push(&mut self, input: Input) {
        self.idle_turns = 0;
        self.inbox.push_back(input);
    }

    /// When it must be woken, in microseconds of the simulation.
    pub(super) fn wake_at(&self) -> Option<u64> {
        if self.has_ended {
            return None;
        }
        let at = |deadline: Moment| self.started + deadline.since_start().as_nanos().div_ceil(1_000) as u64;
        let deadline = self.driver.next_deadline().map(at);
        Some(deadline.into_iter().chain(self.reads.next_at()).min()?.max(self.now))
    }

    pub(super) fn leads(&self) -> bool {
        self.core().epoch().is_some()
    }

    /// Whether it ever led.
    pub(super) const fn has_led(&self) -> bool {
        self.around.has_led
    }

    /// Why it takes no appends.
    pub(super) fn not_leading(&self) -> Option<NotLeading> {
        self.core().not_leading()
    }

    pub(super) fn pending_writes(&self) -> usize {
        self.core().pending_writes()
    }

    const fn core(&self) -> &MasterCore {
        self.driver.core()
    }

    pub(super) const fn disk(&self) -> &Disk {
        self.driver.log()
    }

    pub(super) const fn disk_mut(&mut self) -> &mut Disk {
        self.driver.log_mut()
    }

    /// It is stopped in good order: its callers are told of what is durable by then.
    pub(super) fn stop(&mut self, now: u64, hub: &mut Hub) {
        self.now = now;
        if !hub.is(Mutant::AnswersBeforeSeal) {
            self.disk_mut().settle();
            hub.oracle.on_durable(self.around.index, self.disk().store.held());
            // As a node does: what waited for the disk is said before those who wait are told.
            self.driver.refresh(&mut Surroundings { around: &mut self.around, hub });
        }
        let moment = self.moment();
        self.driver.stop(moment, &mut Surroundings { around: &mut self.around, hub });
    }

    pub(super) fn into_disk(self) -> Disk {
        self.driver.into_log()
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
        if self.has_ended {
            return self.inbox.clear();
        }
        self.take_all(hub);
        self.check_end(hub);
        if hub.crashed {
            return;
        }
        hub.check_shown(self.around.index, &self.disk().store);
        self.around.has_led |= self.leads();
        self.check_idle(hub);
    }

    fn take_all(&mut self, hub: &mut Hub) {
        let moment = self.moment();
        let sent = hub.sent.len();
        self.driver.refresh(&mut Surroundings { around: &mut self.around, hub });
        hub.coverage.add(Path::WaitedForDisk, (hub.sent.len() - sent) as u64);
        let wall_clock = self.wall_clock();
        self.driver.core_mut().on_wall_clock(wall_clock);
        while let Some((turn, lines)) = self.reads.next_done(self.now) {
            self.around.parked = self.driver.parked().0;
            self.driver.on_read(moment, turn, lines, &mut Surroundings { around: &mut self.around, hub });
        }
        while let Some(input) = self.inbox.pop_front().filter(|_| !hub.crashed) {
            self.on_input(moment, input, hub);
        }
        self.driver.end_burst(moment, &mut Surroundings { around: &mut self.around, hub });
        self.reads.begin(self.now, &mut self.driver);
    }

    /// A program that has come to its end does nothing more.
    fn check_end(&mut self, hub: &mut Hub) {
        match self.driver.take_end() {
            Some(End::Over(_)) => self.has_ended = true,
            Some(End::Failed(failure)) if !hub.crashed => hub.oracle.found(|| failure.to_string()),
            _ => {}
        }
    }

    fn check_idle(&mut self, hub: &mut Hub) {
        let due = self.driver.next_deadline().is_some_and(|deadline| deadline <= self.moment());
        self.idle_turns = if due { self.idle_turns + 1 } else { 0 };
        if self.idle_turns > MAX_IDLE_TURNS {
            hub.oracle.found(|| "the master spins: a deadline stays due and nothing is done".to_owned());
        }
    }

    fn bring(&mut self, event: Event, hub: &mut Hub) {
        let moment = self.moment();
        self.around.parked = self.driver.parked().0;
        self.driver.bring(moment, event, 0, &mut Surroundings { around: &mut self.around, hub });
    }

    fn on_input(&mut self, now: Moment, input: Input, hub: &mut Hub) {
        match input {
            Input::Packet(packet) => self.on_packet(&packet, hub),
            Input::Up { max_payload } => self.bring(Event::BusUp { max_payload }, hub),
            Input::Down => self.bring(Event::BusDown, hub),
            Input::Command(command) => self.on_command(now, command, hub),
        }
    }

    fn on_command(&mut self, now: Moment, command: Command, hub: &mut Hub) {
        let deadline = |timeout: Option<u64>| timeout.map(|timeout| now.plus(Duration::from_micros(timeout)));
        match command {
            Command::Append { wait, messages, w, expect, timeout } => {
                let expect = expect.filter(|_| !hub.is(Mutant::ExpectedOrderIgnored));
                let w = if hub.is(Mutant::WriteConcernIgnored) { WriteConcern::ONE } else { w };
                let append = client::append(messages, w, expect, deadline(timeout));
                self.bring(Event::Append { wait: WaitId(wait), append, may_wait: true }, hub);
            }
            Command::Wait { wait, order, w, timeout } => {
                let deadline = deadline(timeout);
                self.bring(Event::Wait { wait: WaitId(wait), order, w, deadline, may_wait: true }, hub);
            }
            Command::Clean { wait, w } => {
                let append = client::append(Vec::new(), w, None, None);
                self.bring(Event::Clean { wait: WaitId(wait), append }, hub);
            }
            Command::HangUp { wait } => self.driver.on_hang_up(WaitId(wait)),
        }
    }

    fn on_packet(&mut self, packet: &Incoming, hub: &mut Hub) {
        match self.around.translator.read(packet) {
            Ok(Event::Ack(ack)) => self.on_ack(ack, hub),
            Ok(Event::Join { join, reply }) => self.on_join(join, reply, hub),
            Ok(Event::Fetch { fetch, reply }) => self.on_fetch(fetch, reply, hub),
            Ok(Event::State(_)) if hub.is(Mutant::OrdersReused) => {}
            Ok(Event::State(mut state)) => {
                state.whole |= hub.is(Mutant::PartlyHeldCounts);
                self.bring(Event::State(state), hub);
            }
            Ok(event) => {
                hub.coverage.add(Path::NoResponders, matches!(event, Event::NoResponders(_)).into());
                self.bring(event, hub);
            }
            Err(_) => hub.coverage.hit(Path::DamageRefused),
        }
    }

    fn on_ack(&mut self, mut ack: wire::Ack, hub: &mut Hub) {
        let index = self.around.index_of(&ack.sender.node);
        let admitted = index.and_then(|index| Some(self.around.admitted.get(&index)?.0));
        if hub.is(Mutant::OldIncarnationCounts) {
            ack.sender.incarnation = admitted.unwrap_or(ack.sender.incarnation);
            ack.joined = None;
        }
        if hub.is(Mutant::AckBeforeMark) && ack.epoch.as_ref() == self.core().epoch() {
            // The digest of a log on its way to the mark is never the master's.
            self.take_at_its_word(&mut ack);
        }
        let is_admitted = admitted == Some(ack.sender.incarnation);
        self.bring(Event::Ack(ack.clone()), hub);
        if let Some(index) = index.filter(|_| is_admitted && hub.is(Mutant::AckedSurvivesRestart)) {
            self.around.last_acks.insert(index, ack.clone());
        }
        if hub.is(Mutant::AcksCountedTwice) && is_admitted {
            self.count_for_neighbour(ack, index, hub);
        }
    }

    fn count_for_neighbour(&mut self, mut ack: wire::Ack, index: Option<usize>, hub: &mut Hub) {
        let neighbour = self.around.admitted.iter().find(|(other, _)| Some(**other) != index);
        let Some((other, (incarnation, _))) = neighbour else { return };
        ack.sender.node = self.around.secondaries[*other].clone();
        ack.sender.incarnation = *incarnation;
        ack.joined = None;
        self.bring(Event::Ack(ack), hub);
    }

    fn take_at_its_word(&self, ack: &mut wire::Ack) {
        let log = self.disk();
        let place = Place::new(ack.through, log.durable().marks);
        ack.digest = log.digest_at(place).unwrap_or(ack.digest);
    }

    fn on_fetch(&mut self, fetch: wire::Fetch, reply: String, hub: &mut Hub) {
        let ack = hub.is(Mutant::FetchTakenAsAck).then(|| self.fetch_as_ack(&fetch)).flatten();
        self.bring(Event::Fetch { fetch, reply }, hub);
        if let Some(ack) = ack {
            self.bring(Event::Ack(ack), hub);
        }
    }

    fn fetch_as_ack(&self, fetch: &wire::Fetch) -> Option<wire::Ack> {
        let place = Place::new(fetch.from, self.disk().durable().marks);
        let digest = self.disk().digest_at(place)?;
        Some(wire::Ack {
            sender: fetch.sender.clone(),
            epoch: Some(fetch.epoch.clone()),
            through: fetch.from,
            digest,
            durability: Durability::Memory,
            fence: None,
            whole: false,
            state: SecondaryState::Streaming,
            joined: None,
            diverged_from: None,
            error: None,
        })
    }

    fn on_join(&mut self, join: wire::Join, reply: String, hub: &mut Hub) {
        let incarnation = join.sender.incarnation;
        let index = self.around.index_of(&join.sender.node);
        self.bring(Event::Join { join, reply }, hub);
        let Some(index) = index else { return };
        let is_admitted =
            self.around.admitted.get(&index).is_some_and(|(admitted, _)| *admitted == incarnation);
        if let Some(mut ack) = self.around.last_acks.get(&index).filter(|_| is_admitted).cloned() {
            ack.sender.incarnation = incarnation;
            ack.joined = None;
            self.bring(Event::Ack(ack), hub);
        }
    }
}
