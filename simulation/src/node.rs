//! A machine of the simulation: its name, its disk, and the process that runs on it.

use fastrand::Rng;
use replog_core::packet::{Incoming, Outgoing};
use replog_core::{master::StartTerms, secondary::Faults};
use replog_shared::{Incarnation, LogName, NodeName};

use super::{
    disk::Disk,
    hub::Hub,
    master::{self, Master},
    plan::Plan,
    secondary::{self, Secondary},
};

/// With what a process is born.
#[derive(Clone, Copy, Debug)]
pub(super) struct Birth<'a> {
    pub(super) now: u64,
    pub(super) index: usize,
    pub(super) names: &'a [NodeName],
    pub(super) log: &'a LogName,
    pub(super) plan: &'a Plan,
    pub(super) incarnation: Incarnation,
    pub(super) seed: u64,
}

/// Which program is started on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A master, with what the operator asked of its start. `automatic`: a timer asked, not an operator.
    Master { terms: StartTerms, automatic: bool },
    /// A secondary.
    Secondary,
}

impl Role {
    /// A master that nobody asked to be promoted.
    pub(super) fn plain_master() -> Role {
        Role::Master { terms: StartTerms::default(), automatic: false }
    }

    /// A master that is to be promoted, reaching so many whole nodes; none: all.
    pub(super) fn promoted(reach: Option<usize>, automatic: bool) -> Role {
        Role::Master { terms: StartTerms { promote: true, reach, ..StartTerms::default() }, automatic }
    }

    pub(super) const fn is_promoted(self) -> bool {
        matches!(self, Role::Master { terms: StartTerms { promote: true, .. }, .. })
    }

    pub(super) const fn is_master(self) -> bool {
        matches!(self, Role::Master { .. })
    }
}

/// What runs on a machine.
#[derive(Debug)]
pub(super) enum Process {
    Master(Box<Master>),
    Secondary(Box<Secondary>),
}

impl Process {
    pub(super) fn start(birth: Birth<'_>, role: Role, faults: Faults, disk: Disk, hub: &mut Hub) -> Process {
        match role {
            Role::Master { terms, automatic } => {
                Process::Master(Box::new(Master::start(birth, terms, automatic, disk, hub)))
            }
            Role::Secondary => Process::Secondary(Box::new(Secondary::start(birth, faults, disk, hub))),
        }
    }

    pub(super) fn on_packet(&mut self, packet: Incoming) {
        match self {
            Process::Master(master) => master.push(master::Input::Packet(packet)),
            Process::Secondary(secondary) => secondary.push(secondary::Input::Packet(packet)),
        }
    }

    pub(super) fn on_connection(&mut self, up: bool, max_payload: usize) {
        match (self, up) {
            (Process::Master(master), true) => master.push(master::Input::Up { max_payload }),
            (Process::Master(master), false) => master.push(master::Input::Down),
            (Process::Secondary(secondary), true) => secondary.push(secondary::Input::Up { max_payload }),
            (Process::Secondary(secondary), false) => secondary.push(secondary::Input::Down),
        }
    }

    /// Takes all that has come. Returns when it must be woken.
    pub(super) fn turn(&mut self, now: u64, hub: &mut Hub) -> Option<u64> {
        match self {
            Process::Master(master) => {
                master.turn(now, hub);
                master.wake_at()
            }
            Process::Secondary(secondary) => {
                secondary.turn(now, hub);
                secondary.wake_at()
            }
        }
    }

    pub(super) const fn disk(&self) -> &Disk {
        match self {
            Process::Master(master) => master.disk(),
            Process::Secondary(secondary) => secondary.disk(),
        }
    }

    pub(super) const fn disk_mut(&mut self) -> &mut Disk {
        match self {
            Process::Master(master) => master.disk_mut(),
            Process::Secondary(secondary) => secondary.disk_mut(),
        }
    }

    fn into_disk(self) -> Disk {
        match self {
            Process::Master(master) => master.into_disk(),
            Process::Secondary(secondary) => secondary.into_disk(),
        }
    }
}

/// A machine.
#[derive(Debug)]
pub(super) struct Slot {
    /// When it takes its next turn; an event of another time is stale.
    pub(super) turn_at: Option<u64>,
    pub(super) paused: bool,
    pub(super) connected: bool,
    pub(super) restarts: u32,
    pub(super) role: Role,
    pub(super) process: Option<Process>,
    /// The disk, while no process has it.
    disk: Option<Disk>,
    /// An older copy of the disk.
    pub(super) copy: Option<Disk>,
    /// Which start this is: what was under way before it is over.
    pub(super) starts: u64,
    /// When a secondary that hears nobody has itself promoted.
    pub(super) patience: u64,
    /// For mutants: the first process's incarnation and seed.
    pub(super) first: Option<Incarnation>,
    pub(super) seed: u64,
}

impl Slot {
    pub(super) fn new(role: Role, disk: Disk, seed: u64) -> Slot {
        Slot {
            turn_at: None,
            paused: false,
            connected: false,
            restarts: 0,
            role,
            process: None,
            disk: Some(disk),
            copy: None,
            starts: 0,
            patience: 0,
            first: None,
            seed,
        }
    }

    /// Its disk.
    ///
    /// # Panics
    /// Never: either the process has it or the slot.
    pub(super) fn disk(&self) -> &Disk {
        match (&self.process, &self.disk) {
            (Some(process), _) => process.disk(),
            (None, Some(disk)) => disk,
            (None, None) => unreachable!("a machine without a disk"),
        }
    }

    /// Its disk, to be put into a process, or back by [`Slot::insert`]. The process, if one runs, is gone.
    pub(super) fn take_disk(&mut self) -> Disk {
        let process = self.process.take().map(Process::into_disk);
        process.or_else(|| self.disk.take()).unwrap_or_else(|| unreachable!("a machine without a disk"))
    }

    pub(super) fn insert(&mut self, disk: Disk) {
        self.disk = Some(disk);
    }

    pub(super) fn master(&self) -> Option<&Master> {
        match &self.process {
            Some(Process::Master(master)) => Some(master),
            _ => None,
        }
    }

    pub(super) fn master_mut(&mut self) -> Option<&mut Master> {
        match &mut self.process {
            Some(Process::Master(master)) => Some(master),
            _ => None,
        }
    }

    pub(super) fn secondary(&self) -> Option<&Secondary> {
        match &self.process {
            Some(Process::Secondary(secondary)) => Some(secondary),
            _ => None,
        }
    }

    pub(super) fn secondary_mut(&mut self) -> Option<&mut Secondary> {
        match &mut self.process {
            Some(Process::Secondary(secondary)) => Some(secondary),
            _ => None,
        }
    }

    pub(super) fn leads(&self) -> bool {
        self.master().is_some_and(Master::leads)
    }
}

/// What becomes of a disk when its process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The process was stopped in good order.
    Stopped,
    /// The process died.
    Killed,
    /// The machine lost its power, or a sync failed: some of what was not synced is there, and some is not.
    PowerLost,
    /// The directory is empty afterwards.
    Wiped,
    /// An older copy is in its place afterwards.
    OldCopy,
    /// Bits of what was synced have flipped.
    Rotten,
}

impl Fate {
    /// One that a process dies of.
    pub(super) fn draw(power: f64, random: &mut Rng) -> Fate {
        if random.f64() < power { Fate::PowerLost } else { Fate::Killed }
    }
}

/// Packets that a node sent.
pub(super) type Sent = Vec<Outgoing>;
