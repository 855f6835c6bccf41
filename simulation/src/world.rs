//! The clock, the nodes, and the two phases of a schedule.
//!
//! | file | is |
//! | --- | --- |
//! | `processes` | starts and deaths, turns, packets, syncs |
//! | `chaos` | faults as they come and go |
//! | `operator` | who is started as what while the faults go on |
//! | `healing` | what is checked, and what people do, once the faults are over |

mod chaos;
mod healing;
mod operator;
mod processes;

use std::{
    any::Any,
    collections::BTreeSet,
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use fastrand::Rng;
use replog_shared::{Digest, LogName, NodeName};

use super::{
    Failure, Focus, Mutant, Options, Stats,
    client::Command,
    coverage::Path,
    disk::Disk,
    hub::Hub,
    master,
    network::Network,
    node::{Role, Slot},
    plan::Plan,
    queue::{Event, Queue},
};
use healing::Healing;

/// A simulation.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    focus: Option<Focus>,
    plan: Plan,
    random: Rng,
    now: u64,
    queue: Queue,
    network: Network,
    names: Vec<NodeName>,
    log: LogName,
    slots: Vec<Slot>,
    hub: Hub,
    /// Once the faults are over.
    healing: Option<Healing>,
    /// The nodes that are cut off.
    isolated: BTreeSet<usize>,
    /// The nodes whose directories are swapped.
    swapped: Option<(usize, usize)>,
    /// When a link last changed, or a node other than a master came or went.
    disturbed_at: u64,
    /// Some directory was emptied, damaged, mixed up or replaced by an old copy: people may have to help.
    spoiled: bool,
    done: bool,
    trace: Digest,
    events: u64,
}

impl World {
    pub(super) fn new(seed: u64, options: Options) -> World {
        Mutant::switch(options.mutant);
        let mut random = Rng::with_seed(seed);
        let plan = Plan::of(options.focus, &mut random);
        let name = |text: &str| text.parse().unwrap_or_else(|error| unreachable!("a made up name: {error}"));
        let mut names: Vec<NodeName> = vec![name("master")];
        names.extend((1..=plan.secondaries).map(|index| name(&format!("s{index}"))));
        let log: LogName = "sim".parse().unwrap_or_else(|error| unreachable!("a made up name: {error}"));
        let mut hub = Hub::new(&plan, &names, options, random.fork());
        hub.story.tell(|| format!("{plan:?}"));
        let slot = |(index, name): (usize, &NodeName)| {
            let role = if index == 0 { Role::plain_master() } else { Role::Secondary };
            let mut disk = Disk::new(name.clone(), plan.level_of(index));
            disk.forgets_fence = hub.is(Mutant::FenceNotSaved);
            Slot::new(role, disk, random.u64(..))
        };
        World {
            seed,
            focus: options.focus,
            network: Network::new(log.clone(), names.clone(), plan.rates),
            slots: names.iter().enumerate().map(slot).collect(),
            hub,
            plan,
            random,
            now: 0,
            queue: Queue::default(),
            names,
            log,
            healing: None,
            isolated: BTreeSet::new(),
            swapped: None,
            disturbed_at: 0,
            spoiled: false,
            done: false,
            trace: Digest::EMPTY,
            events: 0,
        }
    }

    pub(super) fn run(mut self) -> Result<Stats, Box<Failure>> {
        self.begin();
        while let Some((at, event)) = self.queue.pop() {
            self.now = at;
            self.hub.story.now = at;
            self.events += 1;
            self.trace = self.trace.extend(&at.to_le_bytes());
            if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| self.on_event(event))) {
                return Err(self.failure(words_of(&*panic)));
            }
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
        Box::new(Failure { seed, focus: self.focus, at, what, story })
    }

    fn begin(&mut self) {
        for node in 0..self.names.len() {
            self.start(node);
        }
        for (at, timed) in std::mem::take(&mut self.plan.timed) {
            self.queue.schedule(at, Event::Fault(timed));
        }
        for at in std::mem::take(&mut self.plan.requests) {
            self.queue.schedule(at, Event::Request);
        }
        self.queue.schedule(self.plan.chaos, Event::Heal);
        self.queue.schedule(operator::TEND_INTERVAL, Event::Tend);
    }

    fn end(mut self) -> Result<Stats, Box<Failure>> {
        let leader = self.leaders().next().unwrap_or_default();
        let entries = self.hub.oracle.length(leader);
        for node in 0..self.slots.len() {
            self.hub.oracle.check_store(node, &self.slots[node].disk().store);
            if let Some(secondary) = self.slots[node].secondary() {
                secondary.check_at_end(&mut self.hub);
            }
            if self.slots[node].restarts > 0 && entries > 0 {
                self.hub.coverage.hit(Path::WipedNodeRefilled);
            }
        }
        self.hub.oracle.check_end(leader);
        if let Some(what) = self.hub.oracle.take_violation() {
            return Err(self.failure(what));
        }
        let coverage = std::mem::take(&mut self.hub.coverage);
        Ok(Stats { trace: self.trace.to_string(), events: self.events, entries, coverage })
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Deliver(packet) => self.deliver(packet),
            Event::Turn(node) => self.turn(node),
            Event::Synced { node, start } => self.synced(node, start),
            Event::Request => self.request(),
            Event::Fault(timed) if self.healing.is_none() => self.on_fault(timed),
            Event::Mend(timed) if self.healing.is_none() => self.mend(timed),
            Event::Fault(_) | Event::Mend(_) => {}
            Event::Restart(node) => self.start(node),
            Event::Tend => self.tend(),
            Event::Heal => self.heal(),
            Event::Check => self.check(),
        }
    }

    /// The nodes that lead.
    fn leaders(&self) -> impl Iterator<Item = usize> {
        (0..self.slots.len()).filter(|node| self.slots[*node].leads())
    }

    fn request(&mut self) {
        let Some(node) = self.some_master() else { return };
        let length = self.hub.oracle.length(node);
        let command =
            self.hub.clients.draw(node, length, self.plan.retries, &mut self.random, &mut self.hub.oracle);
        self.command(node, command);
    }

    /// A node that clients believe to be a master.
    fn some_master(&mut self) -> Option<usize> {
        let masters: Vec<usize> =
            (0..self.slots.len()).filter(|node| self.slots[*node].role.is_master()).collect();
        if masters.is_empty() { None } else { Some(masters[self.random.usize(..masters.len())]) }
    }

    fn command(&mut self, node: usize, command: Command) {
        self.hub.story.tell(|| format!("a client to n{node}: {command:?}"));
        if let Command::HangUp { wait } = &command {
            self.hub.clients.on_hung_up(*wait, &mut self.hub.oracle);
        }
        match self.slots[node].master_mut() {
            Some(master) => master.push(master::Input::Command(command)),
            None => self.hub.clients.on_unreachable(&command, &mut self.hub.oracle),
        }
        let at = self.now + self.random.u64(..200);
        self.wake(node, at);
    }
}

/// What a node says that breaks off because an assertion of its own does not hold.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("a node panicked: {}", words.unwrap_or("without a word"))
}
