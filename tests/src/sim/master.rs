//! The real master core with its store, driven as `replog_master::node` drives it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use replog_host::bus::Incoming;
use replog_master::{
    bus::{Event, Translator},
    core::{
        AckOutcome, CoreConfig, Effect, MasterCore, Push, StartTerms,
        events::{Notice, WaitId},
    },
};
use replog_shared::{
    Identity, Incarnation, LogName, MarkKind, Moment, NodeName, Order,
    store::{Cut, LogView, MemoryStore, Reader, Store},
    wire::{self, Verdict},
};

use super::{
    Mutant,
    client::{self, Command},
    coverage::Path,
    hub::Hub,
    plan::Plan,
};

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
    core: MasterCore,
    store: MemoryStore,
    translator: Translator,
    secondaries: Vec<NodeName>,
    /// When it started, in microseconds of the simulation.
    started: u64,
    now: u64,
    inbox: VecDeque<Input>,
    idle_turns: u32,
    window_envelopes: usize,
    /// For mutants: the admitted process of each secondary, and what was pushed, asked and acked
    /// already.
    admitted: BTreeMap<usize, Incarnation>,
    sent_once: BTreeSet<(usize, Order)>,
    asked_once: bool,
    last_acks: BTreeMap<usize, wire::Ack>,
}

impl Master {
    pub(super) fn start(
        now: u64,
        log: LogName,
        names: &[NodeName],
        plan: &Plan,
        incarnation: Incarnation,
        seed: u64,
        hub: &mut Hub,
    ) -> Master {
        hub.oracle.on_start(0, incarnation);
        hub.oracle.on_master_start();
        let (name, secondaries) = (names[0].clone(), names[1..].to_vec());
        let config = CoreConfig {
            node: name.clone(),
            secondaries: secondaries.clone(),
            incarnation,
            heartbeat_interval: plan.heartbeat,
            recovery_wait: plan.recovery_wait,
            read_only_without_majority: plan.read_only,
            start: StartTerms::default(),
            push: plan.push,
            http: None,
        };
        let store =
            if hub.is(Mutant::IdIndexLost) { MemoryStore::without_ids() } else { MemoryStore::with_ids() };
        let translator = Translator::new(log, &name);
        let core = MasterCore::new(config, Identity::default(), Moment::default(), seed);
        Master {
            core,
            store,
            translator,
            secondaries,
            started: now,
            now,
            inbox: VecDeque::new(),
            idle_turns: 0,
            window_envelopes: plan.push.window_envelopes,
            admitted: BTreeMap::new(),
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
        let deadline = self.core.next_deadline()?;
        Some((self.started + deadline.since_start().as_nanos().div_ceil(1_000) as u64).max(self.now))
    }

    pub(super) fn leads(&self) -> bool {
        self.core.epoch().is_some()
    }

    pub(super) fn waits_for(&self) -> String {
        format!("{:?}", self.core.not_leading())
    }

    /// Whether it stopped taking appends for good.
    pub(super) fn has_stopped(&self) -> bool {
        use replog_master::core::events::NotLeading;
        !matches!(self.core.not_leading(), None | Some(NotLeading::Recovering { .. }))
    }

    pub(super) fn pending_writes(&self) -> usize {
        self.core.pending_writes()
    }

    pub(super) fn length(&self) -> u64 {
        self.store.tip().place.length.get()
    }

    pub(super) fn store(&self) -> &MemoryStore {
        &self.store
    }

    fn moment(&self) -> Moment {
        Moment::after_start(Duration::from_micros(self.now - self.started))
    }

    /// Takes all that has come, as one burst.
    pub(super) fn turn(&mut self, now: u64, hub: &mut Hub) {
        self.now = now;
        let moment = self.moment();
        while let Some(input) = self.inbox.pop_front() {
            self.on_input(moment, input, hub);
            self.execute(hub);
        }
        if self.core.next_deadline().is_some_and(|deadline| deadline <= moment) {
            self.core.on_deadline(moment, &self.store);
            self.execute(hub);
        }
        while self.core.on_leading(moment, &self.store) {
            self.execute(hub);
        }
        self.core.on_burst_end(moment, &self.store);
        self.execute(hub);
        self.check_idle(hub);
    }

    fn check_idle(&mut self, hub: &mut Hub) {
        let due = self.core.next_deadline().is_some_and(|deadline| deadline <= self.moment());
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

    fn on_command(&mut self, now: Moment, command: Command, hub: &Hub) {
        let deadline = |timeout: Option<u64>| timeout.map(|timeout| now.plus(Duration::from_micros(timeout)));
        match command {
            Command::Append { wait, messages, w, expect, timeout } => {
                let expect = expect.filter(|_| !hub.is(Mutant::ExpectedOrderIgnored));
                let w =
                    if hub.is(Mutant::WriteConcernIgnored) { replog_shared::WriteConcern::ONE } else { w };
                let append = client::append(messages, w, expect, deadline(timeout));
                self.core.on_append(now, WaitId(wait), append, &self.store);
            }
            Command::Wait { wait, order, w, timeout } => {
                self.core.on_wait(WaitId(wait), order, w, deadline(timeout), &self.store);
            }
            Command::Clean { wait, w } => {
                let clean = client::append(Vec::new(), w, None, None);
                self.core.on_clean(now, WaitId(wait), clean, &self.store);
            }
            Command::HangUp { wait } => self.core.on_hang_up(WaitId(wait)),
        }
    }

    fn on_packet(&mut self, now: Moment, packet: &Incoming, hub: &mut Hub) {
        match self.translator.read(packet) {
            Ok(event) => self.on_event(now, event, hub),
            Err(_) => hub.coverage.hit(Path::DamageRefused),
        }
    }

    fn on_event(&mut self, now: Moment, event: Event, hub: &mut Hub) {
        match event {
            Event::Ack(ack) => self.on_ack(now, ack, hub),
            Event::Join { join, reply } => self.on_join(now, &join, reply, hub),
            Event::Fetch { fetch, reply } => {
                self.core.on_fetch(now, &fetch, reply, &self.store);
                if hub.is(Mutant::FetchTakenAsAck) {
                    self.take_fetch_as_ack(now, &fetch);
                }
            }
            Event::Heartbeat(heartbeat) => self.core.on_heartbeat(now, &heartbeat),
            Event::Ask(ask, reply) => self.core.on_ask(now, &ask, reply, &self.store),
            Event::Promise(promise, reply) => self.core.on_promise(now, &promise, reply, &self.store),
            Event::Read(read, reply) => self.core.on_read(read, reply),
            Event::State(_) if hub.is(Mutant::OrdersReused) => {}
            Event::State(state) => self.core.on_state(now, *state, &self.store),
            Event::ReadAnswer(header, lines) => self.core.on_read_answer(now, &header, &lines, &self.store),
            Event::NoResponders(node) => {
                hub.coverage.hit(Path::NoResponders);
                self.core.on_no_responders(now, &node);
            }
            Event::Unanswered => {}
        }
    }

    fn on_ack(&mut self, now: Moment, ack: wire::Ack, hub: &mut Hub) {
        let index = self.secondaries.iter().position(|name| *name == ack.sender.node);
        let admitted = index.and_then(|index| self.admitted.get(&index)).copied();
        match (self.core.on_ack(now, &ack, &self.store), index) {
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
        let Some((other, incarnation)) = self.admitted.iter().find(|(other, _)| Some(**other) != index)
        else {
            return;
        };
        ack.sender.node = self.secondaries[*other].clone();
        ack.sender.incarnation = *incarnation;
        let _counted = self.core.on_ack(now, &ack, &self.store);
    }

    fn take_fetch_as_ack(&mut self, now: Moment, fetch: &wire::Fetch) {
        let place = replog_shared::Place::new(fetch.from, self.store.durable().marks);
        let Some(digest) = self.store.digest_at(place) else { return };
        let ack = wire::Ack {
            sender: fetch.sender.clone(),
            epoch: Some(fetch.epoch.clone()),
            through: fetch.from,
            digest,
            durability: replog_shared::Durability::Memory,
            fence: None,
            whole: false,
            state: wire::SecondaryState::Streaming,
            error: None,
        };
        let _counted = self.core.on_ack(now, &ack, &self.store);
    }

    fn on_join(&mut self, now: Moment, join: &wire::Join, reply: String, hub: &mut Hub) {
        self.core.on_join(now, join, reply, &self.store);
        let Some(index) = self.secondaries.iter().position(|name| *name == join.sender.node) else { return };
        let mut effects = Vec::new();
        self.core.take_effects(&mut effects);
        let admitted = effects.iter().any(|effect| {
            matches!(effect, Effect::JoinAnswer { answer, .. } if answer.verdict == Verdict::Admitted)
        });
        if admitted {
            self.admitted.insert(index, join.sender.incarnation);
            hub.oracle.on_admitted(index + 1, join.sender.incarnation);
        }
        self.execute_all(effects, hub);
        if let Some(mut ack) = self.last_acks.get(&index).filter(|_| admitted).cloned() {
            ack.sender.incarnation = join.sender.incarnation;
            let _counted = self.core.on_ack(now, &ack, &self.store);
        }
    }

    fn execute(&mut self, hub: &mut Hub) {
        let mut effects = Vec::new();
        self.core.take_effects(&mut effects);
        self.execute_all(effects, hub);
    }

    fn execute_all(&mut self, effects: Vec<Effect>, hub: &mut Hub) {
        let mut pushes = BTreeMap::<usize, usize>::new();
        for effect in effects {
            if let Effect::Entries { secondary, answer: None, .. } = &effect {
                *pushes.entry(*secondary).or_default() += 1;
            }
            self.execute_one(effect, hub);
        }
        let most = pushes.into_values().max().unwrap_or_default();
        if most == self.window_envelopes {
            hub.coverage.hit(Path::WindowFull);
        }
        if most > self.window_envelopes {
            hub.oracle
                .found(|| format!("bounded: {most} envelopes were pushed at one time to one secondary"));
        }
    }

    fn execute_one(&mut self, effect: Effect, hub: &mut Hub) {
        match effect {
            Effect::Save(_) => {}
            Effect::State { reply, state } => hub.sent.push(Translator::state(reply, &state)),
            Effect::ReadAnswer(_) => hub.oracle.found(|| "a master was promised and read".to_owned()),
            Effect::Append(lines) => {
                hub.story.tell(|| {
                    format!(
                        "master appends {}..{} ({} marks)",
                        lines.from(),
                        lines.tip().place.length,
                        lines.marks().len()
                    )
                });
                if lines.marks().iter().any(|placed| placed.mark.kind == MarkKind::Clean) {
                    hub.coverage.hit(Path::Cleaned);
                }
                let stored = self.store.append(&lines);
                hub.oracle.on_append(0, lines.from(), stored, &self.store);
            }
            Effect::Truncate(place) => {
                hub.story.tell(|| format!("master cuts its log at {}", place.length));
                self.store.truncate(place, Cut::Drop).expect("a place of this log");
                self.sent_once.clear();
                self.admitted.clear();
                hub.oracle.on_truncate(0, &self.store, None);
            }
            Effect::Answer { wait, outcome } => {
                hub.story.tell(|| format!("master answers request {}: {outcome:?}", wait.0));
                hub.clients.on_answer(wait, &outcome, &mut hub.oracle, &mut hub.coverage);
            }
            Effect::Entries { secondary, push, answer } => self.send_entries(secondary, push, answer, hub),
            Effect::JoinAnswer { reply, answer } => {
                hub.sent.push(self.translator.join_answer(reply, &answer));
            }
            Effect::Heartbeat(heartbeat) => hub.sent.push(self.translator.heartbeat(&heartbeat)),
            Effect::Ask(ask) => {
                if !std::mem::replace(&mut self.asked_once, true) || !hub.is(Mutant::RetryGivesUp) {
                    hub.sent.push(self.translator.ask(&ask));
                }
            }
            Effect::Promise(node, promise) => hub.sent.push(self.translator.promise(&node, &promise)),
            Effect::Read(node, read) => hub.sent.push(self.translator.read_range(&node, &read)),
            Effect::Notice(notice) => {
                hub.story.tell(|| format!("master notes {notice:?}"));
                if matches!(notice, Notice::Adopting { .. }) {
                    hub.coverage.hit(Path::LogAdopted);
                }
            }
        }
    }

    fn send_entries(&mut self, secondary: usize, push: Push, answer: Option<(u64, String)>, hub: &mut Hub) {
        if answer.is_none() && hub.is(Mutant::RetryGivesUp) && !self.sent_once.insert((secondary, push.from))
        {
            return;
        }
        let (request, reply) = answer.map_or((None, None), |(request, reply)| (Some(request), Some(reply)));
        let page = match self.store.reader().read(push.from, push.to, usize::MAX) {
            Ok(page) => page,
            Err(failure) => return hub.oracle.found(|| failure.to_string()),
        };
        let length = self.store.durable().length;
        let Some(header) = self.core.entries_header(secondary, push, request, &page, length) else { return };
        let (to, kind) = (page.to, if request.is_some() { "answers a fetch of" } else { "pushes" });
        hub.story.tell(|| format!("master {kind} {}..{to} to s{}", push.from, secondary + 1));
        hub.sent.push(self.translator.entries(&header, &page.bytes, reply));
    }
}
