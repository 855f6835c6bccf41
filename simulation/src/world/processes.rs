//! Starts and deaths, turns, packets, syncs.

use replog_core::packet::{Incoming, Outgoing};
use replog_core::{master::StartTerms, secondary::Faults};
use replog_shared::{Durability, Incarnation, NodeName};

use super::World;
use crate::{
    Mutant,
    coverage::Path,
    disk::Disk,
    faults::Timed,
    master::Master,
    network::Packet,
    node::{Birth, Fate, Process, Role},
    queue::Event,
};

impl World {
    /// The process of a node starts over its disk, if that is its own.
    pub(super) fn start(&mut self, node: usize) {
        if self.slots[node].process.is_some() || !self.name_fits(node) {
            return;
        }
        let drawn = Incarnation::from_random(self.random.u64(..));
        let drawn_seed = self.random.u64(..);
        self.draw_flags(node);
        let slot = &mut self.slots[node];
        let (mut incarnation, mut seed) = (drawn, drawn_seed);
        if self.hub.is(Mutant::IncarnationSurvivesRestart) {
            incarnation = *slot.first.get_or_insert(drawn);
        }
        if self.hub.is(Mutant::OrdersReused) && slot.role.is_master() {
            seed = slot.seed;
        }
        let healed = self.healing.is_some();
        let faults = if healed { Faults::default() } else { self.plan.core_faults };
        let without = if healed { 0 } else { self.plan.unconnected };
        let connects_after = if without > 0 { self.random.u64(..without) } else { 0 };
        slot.connected = connects_after == 0;
        slot.starts += 1;
        let (role, disk) = (slot.role, slot.take_disk());
        if !role.is_master() {
            self.disturbed_at = self.now;
        }
        self.hub.story.tell(|| format!("{} starts as {incarnation}: {role:?}", self.names[node]));
        let (names, log, plan) = (&self.names, &self.log, &self.plan);
        let birth = Birth { now: self.now, index: node, names, log, plan, incarnation, seed };
        let mut process = Process::start(birth, role, faults, disk, &mut self.hub);
        if connects_after == 0 {
            process.on_connection(true, self.plan.max_payload);
        } else {
            let mend = Timed::Reset { node, lasts: connects_after };
            self.queue.schedule(self.now + connects_after, Event::Mend(mend));
        }
        self.slots[node].process = Some(process);
        self.slots[node].patience = self.now + self.random.u64(400_000..2_500_000);
        self.network.masters[node] = role.is_master();
        self.listen(node);
        self.wake(node, self.now);
    }

    /// Now and then a plain start of a master has flags that were left from another one.
    fn draw_flags(&mut self, node: usize) {
        let plain = self.slots[node].role == Role::plain_master();
        if plain && self.plan.flags && self.healing.is_none() && self.random.u8(..3) == 0 {
            let recover = self.random.bool();
            let reach = (!recover || self.random.bool()).then(|| self.random.usize(..self.slots.len()));
            let terms = StartTerms { recover, reach, ..StartTerms::default() };
            self.slots[node].role = Role::Master { terms, automatic: false };
        }
    }

    /// Whether a node's directory was written by a node of its name: another one's is refused.
    fn name_fits(&mut self, node: usize) -> bool {
        if self.slots[node].disk().name == self.names[node] {
            return true;
        }
        if !self.hub.is(Mutant::NameUnchecked) {
            self.hub.story.tell(|| format!("{} refuses another node's directory", self.names[node]));
            self.hub.coverage.hit(Path::NameRefused);
            return false;
        }
        let mut disk = self.slots[node].take_disk();
        disk.name = self.names[node].clone();
        self.slots[node].insert(disk);
        true
    }

    /// A node's process ends. What becomes of the disk is its fate.
    pub(super) fn end_process(&mut self, node: usize, fate: Fate) {
        let slot = &mut self.slots[node];
        if slot.process.is_none() {
            return;
        }
        self.hub.story.tell(|| format!("{} ends: {fate:?}", self.names[node]));
        let was_master = slot.master().is_some();
        let promoted = slot.role.is_promoted();
        if slot.role.is_master() && (slot.master().is_some_and(Master::has_led) || !promoted) {
            // What an operator asked of one start is not asked of the next.
            slot.role = Role::plain_master();
        }
        if let Some(master) = slot.master_mut().filter(|_| fate == Fate::Stopped) {
            master.stop(self.now, &mut self.hub);
            self.hub.sent.clear();
            self.hub.crashed = false;
        }
        let slot = &mut self.slots[node];
        slot.restarts += 1;
        let disk = slot.take_disk();
        self.hub.oracle.on_silenced(node, disk.done());
        let disk = self.after(node, disk, fate);
        self.slots[node].insert(disk);
        if was_master {
            self.hub.clients.on_master_died(node, &mut self.hub.oracle);
        }
        self.listen(node);
    }

    /// The disk after its process has ended.
    fn after(&mut self, node: usize, mut disk: Disk, fate: Fate) -> Disk {
        if self.plan.level_of(node) == Durability::Memory || fate == Fate::Wiped {
            return self.replaced(node, None);
        }
        if fate == Fate::OldCopy
            && let Some(copy) = self.slots[node].copy.take()
        {
            self.hub.coverage.hit(Path::OldCopyStarted);
            self.hub.oracle.on_old_copy();
            return self.replaced(node, Some(copy));
        }
        if fate == Fate::Rotten {
            return self.rotten(node, disk);
        }
        let (whole, lines) = (disk.identity.whole, disk.store.lines().len());
        match fate {
            Fate::Stopped => disk.settle(),
            fate => {
                self.lose_work(node, &mut disk);
                disk.crash(fate == Fate::PowerLost, &mut self.random);
            }
        }
        if self.hub.is(Mutant::WholeAfterPowerLoss) {
            disk.identity.whole = whole;
        }
        if whole && !disk.identity.whole {
            self.hub.coverage.hit(Path::WholeLost);
        }
        if disk.store.lines().len() < lines {
            self.hub.coverage.hit(Path::LinesLost);
        }
        self.hub.oracle.on_death(node, &disk.store);
        disk
    }

    /// Saves and cuts that its disk has not done are lost with a process.
    fn lose_work(&mut self, node: usize, disk: &mut Disk) {
        let undone = disk.lose_work(&mut self.random);
        if undone.saved.is_some() {
            self.hub.coverage.hit(Path::SaveLost);
        }
        self.hub.oracle.on_undone(node, undone);
    }

    /// A line of the log is damaged. A secondary keeps what is before it and is whole no more; a master refuses to
    /// start, and its operator moves the directory away, as it says.
    fn rotten(&mut self, node: usize, mut disk: Disk) -> Disk {
        if self.slots[node].role.is_master() {
            self.hub.coverage.hit(Path::RotRefused);
            return self.replaced(node, None);
        }
        self.hub.coverage.hit(Path::RotCut);
        let dies = self.random.u8(..4) > 0;
        if dies {
            self.hub.coverage.hit(Path::DiedInRepair);
        }
        self.lose_work(node, &mut disk);
        disk.rot(dies, self.hub.is(Mutant::RepairedBeforeSaved), &mut self.random);
        self.replaced(node, Some(disk))
    }

    /// Another directory in a node's place; none: an empty one.
    fn replaced(&mut self, node: usize, by: Option<Disk>) -> Disk {
        self.spoiled = true;
        let mut disk = by.unwrap_or_else(|| Disk::new(self.names[node].clone(), self.plan.level_of(node)));
        disk.forgets_fence = self.hub.is(Mutant::FenceNotSaved);
        self.hub.oracle.on_replaced(node, &disk.identity, &disk.store);
        disk
    }

    /// A node is started as something else from now on.
    pub(super) fn restart_as(&mut self, node: usize, role: Role) {
        self.end_process(node, Fate::Stopped);
        self.slots[node].role = role;
        self.start(node);
    }

    pub(super) fn listen(&mut self, node: usize) {
        self.network.listening[node] = self.slots[node].process.is_some() && self.slots[node].connected;
    }

    /// Sees to it that the node takes a turn at this time or before.
    pub(super) fn wake(&mut self, node: usize, at: u64) {
        let slot = &mut self.slots[node];
        if slot.paused || slot.turn_at.is_some_and(|turn| turn <= at) {
            return;
        }
        slot.turn_at = Some(at);
        self.queue.schedule(at, Event::Turn(node));
    }

    pub(super) fn deliver(&mut self, packet: Packet) {
        if !self.network.arrives(&packet) {
            return;
        }
        let Packet { to, incoming, from, .. } = packet;
        self.trace = self.trace.extend(incoming.subject.as_bytes()).extend(&incoming.payload);
        self.hub.story.tell(|| told(&self.names, from, to, &incoming));
        let Some(process) = &mut self.slots[to].process else { return };
        process.on_packet(incoming);
        // What comes a little later still belongs to the burst.
        let at = self.now + self.random.u64(..200);
        self.wake(to, at);
    }

    pub(super) fn turn(&mut self, node: usize) {
        if self.slots[node].turn_at != Some(self.now) || self.slots[node].paused {
            return;
        }
        self.slots[node].turn_at = None;
        let Some(process) = &mut self.slots[node].process else { return };
        let wake_at = process.turn(self.now, &mut self.hub);
        let not_heard = std::mem::take(&mut self.hub.not_heard);
        if !not_heard.is_empty() {
            self.check_minted(node, &not_heard);
        }
        for packet in std::mem::take(&mut self.hub.sent) {
            self.send(node, packet);
        }
        if std::mem::take(&mut self.hub.crashed) {
            return self.die_between_steps(node);
        }
        self.begin_work(node);
        if let Some(at) = wake_at {
            self.wake(node, at);
        }
    }

    /// Nobody begins a log beside a node that holds one and answers in time.
    fn check_minted(&mut self, node: usize, not_heard: &[NodeName]) {
        let rates = self.network.rates;
        let wait = self.plan.recovery_wait.as_micros() as u64;
        // There and back, and each takes its turn.
        let round_trip = 2 * rates.latency + 1_000;
        let calm_for = self.now.saturating_sub(self.disturbed_at);
        if wait < round_trip || calm_for < wait + round_trip || !self.network.is_calm() {
            return;
        }
        let answers = |other: &usize| {
            let slot = &self.slots[*other];
            let holds = slot.disk().identity.log_id.is_some() && !slot.disk().store.lines().is_empty();
            let is_there = slot.secondary().is_some() && slot.connected && !slot.paused;
            let is_there = is_there && slot.disk().open().is_none();
            holds && is_there && not_heard.contains(&self.names[*other])
        };
        if let Some(other) = (0..self.slots.len()).find(answers) {
            self.hub.oracle.found(|| format!("n{node} began a log, and n{other} holds one and can be asked"));
        }
    }

    fn die_between_steps(&mut self, node: usize) {
        self.hub.coverage.hit(Path::DiedBetweenSteps);
        let fate = Fate::draw(self.plan.power, &mut self.random);
        self.end_process(node, fate);
        let at = self.now + self.random.u64(1_000..500_000);
        self.queue.schedule(at, Event::Restart(node));
    }

    fn begin_work(&mut self, node: usize) {
        let healed = self.healing.is_some();
        let slot = &mut self.slots[node];
        let Some(process) = &mut slot.process else { return };
        let saves = process.disk().open().is_some();
        if process.disk_mut().begin_work() {
            let most = if saves && !healed { self.plan.save } else { self.plan.sync };
            let at = self.now + self.random.u64(50..=most);
            self.queue.schedule(at, Event::Synced { node, start: slot.starts });
        }
    }

    pub(super) fn synced(&mut self, node: usize, start: u64) {
        let slot = &mut self.slots[node];
        if slot.starts != start {
            return;
        }
        let Some(process) = &mut slot.process else { return };
        let background = self.random.u8(..4) == 0;
        if process.disk().open().is_some() && !slot.role.is_master() {
            self.disturbed_at = self.now;
        }
        process.disk_mut().end_work(background);
        let held = process.disk().store.held();
        self.hub.story.tell(|| format!("n{node} has synced through {}", held.length));
        self.hub.oracle.on_durable(node, held);
        self.wake(node, self.now);
    }

    fn send(&mut self, from: usize, packet: Outgoing) {
        let subject = packet.subject.clone();
        let (flights, nobody) = self.network.send(self.now, from, packet, &mut self.random);
        if nobody {
            self.hub.story.tell(|| format!("nobody listens on {subject}"));
        }
        for (at, packet) in flights {
            self.queue.schedule(at, Event::Deliver(packet));
        }
    }
}

fn told(names: &[NodeName], from: usize, to: usize, incoming: &Incoming) -> String {
    let text = String::from_utf8_lossy(&incoming.payload);
    let text: String = text.chars().filter(|c| *c != '\n').take(360).collect();
    let status = incoming.status.map_or(String::new(), |status| format!(" status {status}"));
    format!("{} -> {} {}{status} {text}", names[from], names[to], incoming.subject)
}
