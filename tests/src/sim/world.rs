//! The clock, the heap of events, and the two phases of a schedule.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use fastrand::Rng;
use replog_host::bus::Incoming;
use replog_secondary::core::Faults;
use replog_shared::{Digest, Incarnation, LogName, NodeName, wire::SecondaryState};

use super::{
    Failure, LIVENESS, Mutant, Options, Stats,
    client::Command,
    coverage::Path,
    hub::Hub,
    master::{self, Master},
    network::{Network, Packet},
    plan::{Plan, Timed},
    secondary::{self, Member, Secondary},
};

/// Between two looks at the nodes once the faults have healed, in microseconds.
const CHECK_INTERVAL: u64 = 100_000;

/// Looks at the same trouble before an operator acts: long enough for every time-out and backoff.
const OPERATOR_PATIENCE: u32 = 60;

/// What happens at a moment.
#[derive(Debug)]
enum Event {
    /// A packet arrives.
    Deliver(Packet),
    /// A node takes what has come or does what is due.
    Turn(usize),
    /// A client does something.
    Request,
    /// A fault, or an intervention.
    Fault(Timed),
    /// … is over.
    Mend(Timed),
    /// All faults are over.
    Heal,
    /// A look at the nodes after that.
    Check,
}

/// An event in the heap: by time, then by the order of scheduling.
#[derive(Debug)]
struct Scheduled {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// A place for one node's processes.
#[derive(Debug, Default)]
struct Slot {
    /// When it takes its next turn; an event of another time is stale.
    turn_at: Option<u64>,
    paused: bool,
    connected: bool,
    restarts: u32,
    /// For a mutant: the first process's incarnation.
    first: Option<Incarnation>,
    seed: u64,
}

/// A simulation.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    plan: Plan,
    random: Rng,
    now: u64,
    heap: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    network: Network,
    names: Vec<NodeName>,
    log: LogName,
    master: Option<Master>,
    secondaries: Vec<Option<Secondary>>,
    slots: Vec<Slot>,
    hub: Hub,
    healed_at: Option<u64>,
    trouble: u32,
    done: bool,
    trace: Digest,
    events: u64,
}

impl World {
    pub(super) fn new(seed: u64, options: Options) -> World {
        let mut random = Rng::with_seed(seed);
        let plan = Plan::draw(&mut random);
        let name = |text: &str| text.parse().unwrap_or_else(|error| unreachable!("a made up name: {error}"));
        let mut names: Vec<NodeName> = vec![name("master")];
        names.extend((1..=plan.secondaries).map(|index| name(&format!("s{index}"))));
        let log: LogName = "sim".parse().unwrap_or_else(|error| unreachable!("a made up name: {error}"));
        let mut hub = Hub::new(&plan, options);
        hub.story.tell(|| format!("{plan:?}"));
        World {
            seed,
            network: Network::new(log.clone(), names.clone(), plan.rates),
            master: None,
            secondaries: (0..plan.secondaries).map(|_| None).collect(),
            slots: names.iter().map(|_| Slot { seed: random.u64(..), ..Slot::default() }).collect(),
            hub,
            plan,
            random,
            now: 0,
            heap: BinaryHeap::new(),
            scheduled: 0,
            names,
            log,
            healed_at: None,
            trouble: 0,
            done: false,
            trace: Digest::EMPTY,
            events: 0,
        }
    }

    pub(super) fn run(mut self) -> Result<Stats, Box<Failure>> {
        self.begin();
        while let Some(Reverse(Scheduled { at, event, .. })) = self.heap.pop() {
            self.now = at;
            self.hub.story.now = at;
            self.events += 1;
            self.trace = self.trace.extend(&at.to_le_bytes());
            self.on_event(event);
            if let Some(what) = self.hub.oracle.take_violation() {
                return Err(self.failure(what));
            }
            if self.done {
                break;
            }
        }
        self.end()
    }

    fn failure(&mut self, what: String) -> Box<Failure> {
        let (seed, at, story) = (self.seed, Duration::from_micros(self.now), self.hub.story.take());
        Box::new(Failure { seed, at, what, story })
    }

    fn begin(&mut self) {
        for node in 0..self.names.len() {
            self.start(node);
        }
        for (at, timed) in std::mem::take(&mut self.plan.timed) {
            self.schedule(at, Event::Fault(timed));
        }
        for at in std::mem::take(&mut self.plan.requests) {
            self.schedule(at, Event::Request);
        }
        self.schedule(self.plan.chaos, Event::Heal);
    }

    fn end(mut self) -> Result<Stats, Box<Failure>> {
        let entries = self.hub.oracle.length(0);
        if let Some(master) = &self.master {
            self.hub.oracle.check_store(0, master.store());
        }
        for (index, secondary) in self.secondaries.iter().enumerate() {
            let Some(secondary) = secondary else { continue };
            self.hub.oracle.check_store(index + 1, secondary.store());
            secondary.check_at_end(&mut self.hub);
            if self.slots[index + 1].restarts > 0 && entries > 0 {
                self.hub.coverage.hit(Path::WipedNodeRefilled);
            }
        }
        if let Some(what) = self.hub.oracle.take_violation() {
            return Err(self.failure(what));
        }
        let coverage = std::mem::take(&mut self.hub.coverage);
        Ok(Stats { trace: self.trace.to_string(), events: self.events, entries, coverage })
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.heap.push(Reverse(Scheduled { at, number: self.scheduled, event }));
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Deliver(packet) => self.deliver(packet),
            Event::Turn(node) => self.turn(node),
            Event::Request => self.request(),
            Event::Fault(timed) => self.on_fault(timed),
            Event::Mend(timed) if self.healed_at.is_none() => self.mend(timed),
            Event::Mend(_) => {}
            Event::Heal => self.heal(),
            Event::Check => self.check(),
        }
    }

    fn runs(&self, node: usize) -> bool {
        if node == 0 { self.master.is_some() } else { self.secondaries[node - 1].is_some() }
    }

    /// The process of a node starts, with an empty log.
    fn start(&mut self, node: usize) {
        if self.runs(node) {
            return;
        }
        let slot = &mut self.slots[node];
        let drawn = Incarnation::from_random(self.random.u64(..));
        let mut incarnation = drawn;
        if self.hub.is(Mutant::IncarnationSurvivesRestart) {
            incarnation = *slot.first.get_or_insert(drawn);
        }
        let reused = self.hub.is(Mutant::OrdersReused) && node == 0;
        let seed = if reused { slot.seed } else { self.random.u64(..) };
        let without = if self.healed_at.is_none() { self.plan.unconnected } else { 0 };
        let connects_after = if without > 0 { self.random.u64(..without) } else { 0 };
        slot.connected = connects_after == 0;
        let connected = slot.connected;
        self.hub.story.tell(|| format!("{} starts as {incarnation}", self.names[node]));
        if node == 0 {
            let mut master = Master::start(
                self.now,
                self.log.clone(),
                &self.names,
                &self.plan,
                incarnation,
                seed,
                &mut self.hub,
            );
            if connected {
                master.push(master::Input::Up { max_payload: self.plan.max_payload });
            }
            self.master = Some(master);
        } else {
            let member = Member { index: node, name: self.names[node].clone(), log: self.log.clone() };
            let faults = if self.healed_at.is_none() { self.plan.core_faults } else { Faults::default() };
            let mut secondary =
                Secondary::start(self.now, member, &self.plan, faults, incarnation, seed, &mut self.hub);
            if connected {
                secondary.push(secondary::Input::Up);
            }
            self.secondaries[node - 1] = Some(secondary);
        }
        if !connected {
            let mend = Timed::Reset { node, lasts: connects_after };
            self.schedule(self.now + connects_after, Event::Mend(mend));
        }
        self.listen(node);
        self.wake(node, self.now);
    }

    fn kill(&mut self, node: usize) {
        if !self.runs(node) {
            return;
        }
        self.hub.story.tell(|| format!("{} dies", self.names[node]));
        self.slots[node].restarts += 1;
        if node == 0 {
            self.master = None;
            self.hub.clients.on_master_died(&mut self.hub.oracle);
        } else {
            self.secondaries[node - 1] = None;
        }
        self.listen(node);
    }

    fn listen(&mut self, node: usize) {
        self.network.listening[node] = self.runs(node) && self.slots[node].connected;
    }

    /// Sees to it that the node takes a turn at this time or before.
    fn wake(&mut self, node: usize, at: u64) {
        let slot = &mut self.slots[node];
        if slot.paused || slot.turn_at.is_some_and(|turn| turn <= at) {
            return;
        }
        slot.turn_at = Some(at);
        self.schedule(at, Event::Turn(node));
    }

    fn deliver(&mut self, packet: Packet) {
        if !self.network.arrives(&packet) {
            return;
        }
        let Packet { to, incoming, from, .. } = packet;
        self.trace = self.trace.extend(incoming.subject.as_bytes()).extend(&incoming.payload);
        self.hub.story.tell(|| told(&self.names, from, to, &incoming));
        if to == 0 {
            let Some(master) = &mut self.master else { return };
            master.push(master::Input::Packet(incoming));
        } else {
            let Some(secondary) = &mut self.secondaries[to - 1] else { return };
            secondary.push(secondary::Input::Packet(incoming));
        }
        // What comes a little later still belongs to the burst.
        let at = self.now + self.random.u64(..200);
        self.wake(to, at);
    }

    fn turn(&mut self, node: usize) {
        if self.slots[node].turn_at != Some(self.now) || self.slots[node].paused {
            return;
        }
        self.slots[node].turn_at = None;
        let wake_at = if node == 0 {
            let Some(master) = &mut self.master else { return };
            master.turn(self.now, &mut self.hub);
            master.wake_at()
        } else {
            let Some(secondary) = &mut self.secondaries[node - 1] else { return };
            secondary.turn(self.now, &mut self.hub);
            secondary.wake_at()
        };
        for packet in std::mem::take(&mut self.hub.sent) {
            self.send(node, packet);
        }
        if let Some(at) = wake_at {
            self.wake(node, at);
        }
    }

    fn send(&mut self, from: usize, packet: replog_host::bus::Outgoing) {
        let subject = packet.subject.clone();
        let (flights, nobody) = self.network.send(self.now, from, packet, &mut self.random);
        if nobody {
            self.hub.story.tell(|| format!("nobody listens on {subject}"));
        }
        for (at, packet) in flights {
            self.schedule(at, Event::Deliver(packet));
        }
    }

    fn request(&mut self) {
        let length = self.master.as_ref().map_or(0, Master::length);
        let command = self.hub.clients.draw(length, &mut self.random, &mut self.hub.oracle);
        self.command(command);
    }

    fn command(&mut self, command: Command) {
        self.hub.story.tell(|| format!("a client: {command:?}"));
        if let Command::HangUp { wait } = &command {
            self.hub.clients.on_hung_up(*wait, &mut self.hub.oracle);
        }
        match &mut self.master {
            Some(master) => master.push(master::Input::Command(command)),
            None => self.hub.clients.on_unreachable(&command, &mut self.hub.oracle),
        }
        let at = self.now + self.random.u64(..200);
        self.wake(0, at);
    }

    fn on_fault(&mut self, timed: Timed) {
        self.hub.story.tell(|| format!("{timed:?}"));
        let lasts = match timed {
            Timed::Cut { from, to, lasts } => {
                self.network.cut(from, to);
                lasts
            }
            Timed::Slow { from, to, lasts, delay } => {
                self.network.slow_down(from, to, delay);
                lasts
            }
            Timed::Reset { node, lasts } => {
                self.disconnect(node);
                lasts
            }
            Timed::Kill { node, lasts } => {
                self.kill(node);
                lasts
            }
            Timed::Pause { node, lasts } => {
                self.slots[node].paused = true;
                lasts
            }
            Timed::Clean => {
                let command = self.hub.clients.clean(&mut self.random);
                return self.command(command);
            }
        };
        self.schedule(self.now + lasts, Event::Mend(timed));
    }

    fn mend(&mut self, timed: Timed) {
        match timed {
            Timed::Cut { from, to, .. } => self.network.mend(from, to),
            Timed::Slow { from, to, .. } => self.network.speed_up(from, to),
            Timed::Reset { node, .. } => self.connect(node),
            Timed::Kill { node, .. } => self.start(node),
            Timed::Pause { node, .. } => self.resume(node),
            Timed::Clean => {}
        }
    }

    fn disconnect(&mut self, node: usize) {
        self.network.reset(node);
        if std::mem::replace(&mut self.slots[node].connected, false) {
            self.tell_connection(node, false);
        }
    }

    fn connect(&mut self, node: usize) {
        if !std::mem::replace(&mut self.slots[node].connected, true) {
            self.tell_connection(node, true);
        }
    }

    fn tell_connection(&mut self, node: usize, up: bool) {
        self.listen(node);
        if node == 0 {
            let Some(master) = &mut self.master else { return };
            let max_payload = self.plan.max_payload;
            master.push(if up { master::Input::Up { max_payload } } else { master::Input::Down });
        } else {
            let Some(secondary) = &mut self.secondaries[node - 1] else { return };
            secondary.push(if up { secondary::Input::Up } else { secondary::Input::Down });
        }
        self.wake(node, self.now);
    }

    fn resume(&mut self, node: usize) {
        if std::mem::replace(&mut self.slots[node].paused, false) {
            self.slots[node].turn_at = None;
            self.wake(node, self.now);
        }
    }

    fn heal(&mut self) {
        self.hub.story.tell(|| "all faults are over".to_owned());
        self.healed_at = Some(self.now);
        self.network.heal();
        for secondary in self.secondaries.iter_mut().flatten() {
            secondary.stop_faults();
        }
        for node in 0..self.names.len() {
            self.connect(node);
            self.resume(node);
            self.start(node);
            self.wake(node, self.now);
        }
        self.schedule(self.now + CHECK_INTERVAL, Event::Check);
    }

    /// Looks whether all is well; asks the operator for help where the design says so.
    fn check(&mut self) {
        self.help();
        if self.master.as_ref().is_some_and(Master::leads) {
            for command in self.hub.clients.last_writes(&mut self.random, &mut self.hub.oracle) {
                self.command(command);
            }
        }
        let answered = self.hub.clients.all_last_met() && self.hub.clients.open_requests() == 0;
        let unequal = self.hub.oracle.unequal();
        self.done = answered && unequal.is_none();
        let limit = self.healed_at.unwrap_or_default() + LIVENESS.as_micros() as u64;
        if !self.done && self.now > limit {
            let master = self.master.as_ref().map(|master| (master.waits_for(), master.pending_writes()));
            let (open, met) = (self.hub.clients.open_requests(), self.hub.clients.last_met.clone());
            self.hub.oracle.found(|| {
                format!("liveness: unequal node {unequal:?}, {open} requests open, w met {met:?}, master (not leading, pending) {master:?}")
            });
        }
        self.schedule(self.now + CHECK_INTERVAL, Event::Check);
    }

    /// What only an operator can resolve, by design: nodes of two logs, a master that was fenced, an empty master
    /// whose secondaries are not all whole.
    fn help(&mut self) {
        let foreign: Vec<usize> = self
            .states()
            .filter(|(_, state, ..)| *state == SecondaryState::Foreign)
            .map(|(node, ..)| node)
            .collect();
        let leads = self.master.as_ref().is_some_and(Master::leads);
        let stopped = self.master.as_ref().is_some_and(Master::has_stopped);
        let stuck = !leads && !stopped && self.takeover_is_impossible();
        self.trouble = if foreign.is_empty() && !stuck && !stopped { 0 } else { self.trouble + 1 };
        if self.trouble <= OPERATOR_PATIENCE {
            return;
        }
        self.trouble = 0;
        let wiped = if stopped {
            self.hub.coverage.helped_stopped += 1;
            vec![0]
        } else if leads {
            self.hub.coverage.helped_foreign += 1;
            foreign
        } else {
            self.hub.coverage.helped_not_whole += 1;
            // The master too: one that began a takeover waits for that log, even where nobody holds it any more.
            (0..self.names.len()).collect()
        };
        self.hub.story.tell(|| format!("an operator restarts {wiped:?}"));
        for node in wiped {
            self.kill(node);
            self.start(node);
        }
    }

    fn states(&self) -> impl Iterator<Item = (usize, SecondaryState, Option<replog_shared::LogId>, bool)> {
        self.secondaries.iter().enumerate().filter_map(|(index, secondary)| {
            let status = secondary.as_ref()?.status();
            Some((index + 1, status.state, status.log_id, status.whole))
        })
    }

    /// Whether the secondaries hold a log, and not all of them all of it.
    fn takeover_is_impossible(&self) -> bool {
        let logs: Vec<_> = self.states().filter_map(|(_, _, log, _)| log).collect();
        let two = logs.iter().any(|log| *log != logs[0]);
        !logs.is_empty() && (two || self.states().any(|(.., whole)| !whole))
    }
}

fn told(names: &[NodeName], from: usize, to: usize, incoming: &Incoming) -> String {
    let text = String::from_utf8_lossy(&incoming.payload);
    let text: String = text.chars().filter(|c| *c != '\n').take(360).collect();
    let status = incoming.status.map_or(String::new(), |status| format!(" status {status}"));
    format!("{} -> {} {}{status} {text}", names[from], names[to], incoming.subject)
}
