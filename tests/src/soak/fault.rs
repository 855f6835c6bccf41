//! What happens to a process or its wire.

use std::{fs, time::Duration};

use fastrand::Rng;

use crate::harness::{
    Cluster, Node, Process,
    proxy::{Direction, Passage},
};

/// The delays of a slow wire.
const DELAYS_MS: std::ops::Range<u64> = 1..60;

/// Where a connection breaks: within some frame.
const BROKEN_AFTER_BYTES: std::ops::Range<usize> = 1..20_000;

/// Whom it happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Nats,
    Master,
    /// By its number.
    Secondary(usize),
}

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Kill,
    Stop,
    Pause,
    /// Killed, and its directory is gone.
    Wipe,
    /// Its wire, in one direction.
    Wire(Direction, Passage),
}

/// One fault: it begins, and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    target: Target,
    kind: Kind,
}

impl Fault {
    /// Any fault that the promises cover: the master's directory is never taken away.
    pub(super) fn draw(random: &mut Rng) -> Fault {
        let node = [Target::Master, Target::Secondary(1), Target::Secondary(2)][random.usize(..3)];
        let secondary = Target::Secondary(random.usize(1..=2));
        let any = if random.u8(..4) == 0 { Target::Nats } else { node };
        let (target, kind) = match random.u8(..10) {
            0..4 => (any, Kind::Kill),
            4 => (node, Kind::Stop),
            5 | 6 => (any, Kind::Pause),
            7 => (secondary, Kind::Wipe),
            _ => (node, draw_wire(random)),
        };
        Fault { target, kind }
    }

    /// Whether both cannot be at once.
    pub(super) fn meets(self, other: Fault) -> bool {
        self.target == other.target
    }

    /// What it is called in the report.
    pub(super) fn kind(self) -> &'static str {
        match self.kind {
            Kind::Kill => "kills",
            Kind::Stop => "stops",
            Kind::Pause => "pauses",
            Kind::Wipe => "wipes",
            Kind::Wire(_, Passage::Silent) => "silent wires",
            Kind::Wire(_, Passage::ResetAfter(_)) => "broken wires",
            Kind::Wire(..) => "slow wires",
        }
    }

    pub(super) async fn begin(self, cluster: &mut Cluster) {
        match self.kind {
            Kind::Kill => self.process(cluster).kill(),
            Kind::Stop => self.process(cluster).stop().await,
            Kind::Pause => self.process(cluster).pause(),
            Kind::Wipe => {
                self.process(cluster).kill();
                let name = self.process(cluster).name().to_owned();
                fs::remove_dir_all(cluster.directory(&name)).expect("a directory can be removed");
            }
            Kind::Wire(direction, passage) => {
                self.node(cluster).iter().for_each(|node| node.wire().set(direction, passage));
            }
        }
    }

    pub(super) async fn end(self, cluster: &mut Cluster) {
        match self.kind {
            Kind::Kill | Kind::Stop | Kind::Wipe if self.target == Target::Nats => cluster.start_nats().await,
            Kind::Kill | Kind::Stop | Kind::Wipe => self.process(cluster).start(),
            Kind::Pause => self.process(cluster).resume(),
            Kind::Wire(..) => self.node(cluster).iter().for_each(|node| node.wire().heal()),
        }
    }

    fn node(self, cluster: &mut Cluster) -> Option<&mut Node> {
        match self.target {
            Target::Nats => None,
            Target::Master => Some(&mut cluster.master),
            Target::Secondary(number) => Some(cluster.secondary(number)),
        }
    }

    fn process(self, cluster: &mut Cluster) -> &mut Process {
        match self.target {
            Target::Nats => &mut cluster.nats,
            Target::Master => &mut cluster.master.process,
            Target::Secondary(number) => &mut cluster.secondary(number).process,
        }
    }
}

fn draw_wire(random: &mut Rng) -> Kind {
    let direction = if random.bool() { Direction::FromNode } else { Direction::ToNode };
    let passage = match random.u8(..3) {
        0 => Passage::Silent,
        1 => Passage::Delayed(Duration::from_millis(random.u64(DELAYS_MS))),
        _ => Passage::ResetAfter(random.usize(BROKEN_AFTER_BYTES)),
    };
    Kind::Wire(direction, passage)
}
