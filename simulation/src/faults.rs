//! Faults and interventions, and when they happen.

use fastrand::Rng;

use replog_shared::Durability;

use super::node::Fate;

/// Kinds of faults; a seed switches off about half of them.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Loss,
    Duplicate,
    Delay,
    Reorder,
    Damage,
    Cut,
    Slow,
    Reset,
    StartUnconnected,
    KillAny,
    KillMaster,
    Pause,
    Clean,
    CoreFaults,
    Wipe,
    OldCopy,
    Swap,
    Promote,
    Isolate,
    DieBetweenSteps,
    Rot,
}

/// A fault or an intervention at a certain time. Durations are in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timed {
    /// Nothing goes from one node to the other for a while.
    Cut { from: usize, to: usize, lasts: u64 },
    /// Nothing goes from or to one node for a while.
    Isolate { node: usize, lasts: u64 },
    /// What goes from one node to the other takes this much longer for a while; what is sent after that is sooner.
    Slow { from: usize, to: usize, lasts: u64, delay: u64 },
    /// A node's connection breaks, losing what is in flight, and is back after a while.
    Reset { node: usize, lasts: u64 },
    /// A process dies and a new one starts after a while. No fate: a crash of one sort or the other.
    Kill { node: usize, lasts: u64, fate: Option<Fate> },
    /// Somebody copies a node's directory.
    Copy { node: usize },
    /// Two nodes die, and each has the other's directory for a while.
    Swap { nodes: (usize, usize), lasts: u64 },
    /// A process stands still for a while.
    Pause { node: usize, lasts: u64 },
    /// A line of a running secondary's log is another one all of a sudden, and nothing but digests tells.
    Flip { node: usize },
    /// The log is emptied.
    Clean,
    /// An operator has some secondary that is not cut off promoted over two nodes, unless one that is not cut off
    /// leads.
    Failover,
    /// An operator has a secondary promoted, reaching so many whole nodes; none: all. `kills`: whoever leads is
    /// killed first.
    Promote { node: usize, reach: Option<usize>, kills: bool },
}

/// Draws them all.
pub(super) fn draw_timed(
    random: &mut Rng,
    on: impl Fn(Kind) -> bool,
    nodes: usize,
    chaos: u64,
    automatic: bool,
) -> Vec<(u64, Timed)> {
    let mut timed = Vec::new();
    let mut some = |random: &mut Rng, kind, most: usize, draw: &dyn Fn(&mut Rng) -> Timed| {
        let times = if on(kind) { random.usize(1..=most) } else { 0 };
        for _ in 0..times {
            timed.push((random.u64(..chaos), draw(random)));
        }
    };
    some(random, Kind::Cut, 5, &|random| {
        let (from, to) = pair(random, nodes);
        Timed::Cut { from, to, lasts: lasts(random) }
    });
    some(random, Kind::Isolate, 3, &|random| Timed::Isolate {
        node: random.usize(..nodes),
        lasts: 2 * lasts(random),
    });
    some(random, Kind::Slow, 5, &|random| {
        let (from, to) = pair(random, nodes);
        Timed::Slow { from, to, lasts: lasts(random), delay: random.u64(10_000..2_000_000) }
    });
    some(random, Kind::Reset, 5, &|random| Timed::Reset {
        node: random.usize(..nodes),
        lasts: lasts(random),
    });
    some(random, Kind::KillAny, 5, &|random| kill(random.usize(..nodes), None, random));
    some(random, Kind::KillMaster, 5, &|random| {
        let stopped = (random.u8(..4) == 0).then_some(Fate::Stopped);
        kill(0, stopped, random)
    });
    some(random, Kind::Pause, 5, &|random| Timed::Pause {
        node: random.usize(..nodes),
        lasts: lasts(random),
    });
    some(random, Kind::Clean, 5, &|_| Timed::Clean);
    some(random, Kind::Wipe, 2, &|random| kill(random.usize(..nodes), Some(Fate::Wiped), random));
    some(random, Kind::Rot, 2, &|random| kill(random.usize(..nodes), Some(Fate::Rotten), random));
    // Whatever an old copy makes a node forget is outside of what is promised: seldom, so that much is judged.
    if random.u8(..3) == 0 {
        some(random, Kind::OldCopy, 3, &|random| Timed::Copy { node: random.usize(..nodes) });
        some(random, Kind::OldCopy, 2, &|random| kill(random.usize(..nodes), Some(Fate::OldCopy), random));
    }
    if random.u8(..3) == 0 {
        some(random, Kind::Swap, 1, &|random| Timed::Swap {
            nodes: pair(random, nodes),
            lasts: lasts(random),
        });
    }
    if !automatic {
        some(random, Kind::Promote, 4, &|random| Timed::Promote {
            node: random.usize(..nodes),
            reach: (random.u8(..4) != 0).then(|| random.usize(1..=nodes)),
            kills: random.bool(),
        });
    }
    timed
}

/// The longest time for which a process stands still, in microseconds: beyond every time-out of the nodes, of which the
/// step of a promotion is the longest with 5 s.
pub(super) const LONGEST_STALL: u64 = 8_000_000;

/// Processes stand still for long.
pub(super) fn draw_stalls(random: &mut Rng, nodes: usize, chaos: u64) -> Vec<(u64, Timed)> {
    let stall = |random: &mut Rng| {
        let node = random.usize(..nodes);
        (random.u64(..chaos), Timed::Pause { node, lasts: random.u64(500_000..LONGEST_STALL) })
    };
    (0..random.usize(1..4)).map(|_| stall(random)).collect()
}

/// Promotions, each node cut off now and then, and a few deaths.
pub(super) fn draw_storm(random: &mut Rng, nodes: usize, chaos: u64, automatic: bool) -> Vec<(u64, Timed)> {
    let mut timed = Vec::new();
    let mut some = |random: &mut Rng, least: usize, most: usize, draw: &dyn Fn(&mut Rng) -> Timed| {
        for _ in 0..random.usize(least..=most) {
            timed.push((random.u64(..chaos), draw(random)));
        }
    };
    some(random, 2, 8, &|random| Timed::Isolate { node: random.usize(..nodes), lasts: 3 * lasts(random) });
    some(random, 0, 4, &|random| kill(random.usize(..nodes), None, random));
    some(random, 0, 2, &|_| Timed::Clean);
    if !automatic {
        some(random, 3, 9, &|random| Timed::Promote {
            node: random.usize(..nodes),
            reach: Some(random.usize(1..nodes)),
            kills: random.u8(..3) == 0,
        });
    }
    if random.u8(..8) == 0 {
        some(random, 1, 3, &|random| Timed::Copy { node: random.usize(..nodes) });
        some(random, 1, 3, &|random| kill(random.usize(..nodes), Some(Fate::OldCopy), random));
    }
    timed
}

/// One node after the other is cut off for a while, and whoever is left gets a master.
pub(super) fn draw_cuts_in_turn(random: &mut Rng, chaos: u64) -> Vec<(u64, Timed)> {
    let (mut timed, mut at) = (Vec::new(), random.u64(100_000..600_000));
    while at < chaos {
        let lasts = random.u64(50_000..900_000);
        if random.u8(..4) > 0 {
            timed.push((at, Timed::Isolate { node: random.usize(..3), lasts }));
        }
        for _ in 0..random.usize(..3) {
            timed.push((at + random.u64(..lasts), Timed::Failover));
        }
        at += lasts + 1;
    }
    timed
}

/// The first and the second secondary are promoted at about the same time while they do not hear each other.
pub(super) fn draw_rivals(random: &mut Rng, chaos: u64) -> Vec<(u64, Timed)> {
    let (mut timed, mut at) = (Vec::new(), random.u64(300_000..800_000));
    while at < chaos {
        let lasts = random.u64(500_000..2_000_000);
        for (from, to) in [(1, 2), (2, 1)] {
            timed.push((at, Timed::Cut { from, to, lasts }));
        }
        for node in [1, 2] {
            let after = random.u64(1..10_000);
            timed.push((at + after, Timed::Promote { node, reach: Some(2), kills: false }));
        }
        at += lasts + random.u64(500_000..3_000_000);
    }
    timed
}

/// The master dies and starts over a disk that has gone back, without hearing some of the others.
pub(super) fn draw_disks_that_go_back(random: &mut Rng, level: Durability, chaos: u64) -> Vec<(u64, Timed)> {
    let (mut timed, mut at) = (Vec::new(), random.u64(300_000..600_000));
    while at < chaos {
        let copied = at + random.u64(..300_000);
        let dies = copied + random.u64(50_000..500_000);
        let fate = if level == Durability::Os { Fate::PowerLost } else { Fate::OldCopy };
        let node = random.usize(..3);
        timed.push((copied, Timed::Copy { node }));
        for _ in 0..random.usize(..3) {
            timed.push((
                dies - 1,
                Timed::Isolate { node: random.usize(..3), lasts: random.u64(100_000..1_500_000) },
            ));
        }
        timed.push((dies, Timed::Kill { node, lasts: random.u64(1_000..100_000), fate: Some(fate) }));
        timed.push((dies + random.u64(500_000..2_000_000), promote_one(random)));
        at = dies + random.u64(500_000..3_000_000);
    }
    timed
}

/// A secondary is wiped; what it said travels slowly, and what it is sent is lost for a while.
pub(super) fn draw_late_acks(random: &mut Rng, chaos: u64) -> Vec<(u64, Timed)> {
    let (mut timed, mut at) = (Vec::new(), random.u64(300_000..600_000));
    while at < chaos {
        let node = random.usize(1..3);
        timed.push((at, Timed::Kill { node, lasts: random.u64(1_000..50_000), fate: Some(Fate::Wiped) }));
        timed.push((
            at + random.u64(300_000..1_500_000),
            Timed::Cut { from: 0, to: node, lasts: lasts(random) },
        ));
        at += random.u64(500_000..2_500_000);
    }
    timed
}

/// Lines of secondaries are damaged, and what goes to them, or comes from them, is slow for a while.
pub(super) fn draw_flips(random: &mut Rng, chaos: u64) -> Vec<(u64, Timed)> {
    let (mut timed, mut at) = (Vec::new(), random.u64(300_000..600_000));
    while at < chaos {
        let node = random.usize(1..3);
        timed.push((at, Timed::Flip { node }));
        let (from, to) = if random.bool() { (0, node) } else { (node, 0) };
        let slow = Timed::Slow { from, to, lasts: lasts(random), delay: random.u64(10_000..800_000) };
        timed.push((at + random.u64(..400_000), slow));
        at += random.u64(500_000..2_500_000);
    }
    timed
}

/// One secondary misses what the other one acks; then the other one's log is damaged, the master is cut off, and one of
/// the two is promoted over both.
pub(super) fn draw_rots(random: &mut Rng, chaos: u64) -> Vec<(u64, Timed)> {
    let (mut timed, mut at) = (Vec::new(), random.u64(300_000..600_000));
    while at < chaos {
        let (rots, misses) = if random.bool() { (1, 2) } else { (2, 1) };
        let apart = random.u64(100_000..800_000);
        timed.push((at, Timed::Isolate { node: misses, lasts: apart }));
        at += apart;
        timed.push((at - 1, Timed::Isolate { node: 0, lasts: random.u64(1_000_000..2_500_000) }));
        let (node, lasts, fate) = (rots, random.u64(1_000..20_000), Some(Fate::Rotten));
        timed.push((at, Timed::Kill { node, lasts, fate }));
        let promoted = random.usize(1..3);
        let promotion = Timed::Promote { node: promoted, reach: Some(2), kills: false };
        timed.push((at + random.u64(50_000..500_000), promotion));
        at += random.u64(1_500_000..3_500_000);
    }
    timed
}

/// The master and a secondary lose everything and begin a log without the third node, in which one of them is promoted;
/// so is the third one, in the log that it holds. Then one of the two that began is cut off, and the third one is back.
pub(super) fn draw_bare_logs(random: &mut Rng, chaos: u64) -> Vec<(u64, Timed)> {
    let (mut timed, mut at) = (Vec::new(), random.u64(300_000..600_000));
    while at < chaos {
        let (holds, begins) = if random.u8(..4) == 0 { (1, 2) } else { (2, 1) };
        let lasts = random.u64(800_000..2_000_000);
        timed.push((at, Timed::Isolate { node: holds, lasts }));
        for node in [0, begins] {
            let (lasts, fate) = (random.u64(1_000..20_000), Some(Fate::Wiped));
            timed.push((at + 1, Timed::Kill { node, lasts, fate }));
        }
        let promotes = at + random.u64(400_000..800_000);
        for (node, reach) in [(holds, 1), (begins, 2)] {
            let promotion = Timed::Promote { node, reach: Some(reach), kills: false };
            timed.push((promotes + random.u64(..1_000), promotion));
        }
        let leaves = promotes + random.u64(1_000..100_000);
        timed.push((leaves, Timed::Isolate { node: begins, lasts: random.u64(1_000_000..3_000_000) }));
        at += lasts + random.u64(1_000_000..3_000_000);
    }
    timed
}

/// The master dies again and again, mostly before anybody has appended, while others are cut off and promoted,
/// and the log is emptied now and then. In some schedules an older copy of its directory comes in.
pub(super) fn draw_restarts(random: &mut Rng, chaos: u64) -> Vec<(u64, Timed)> {
    let (mut timed, mut at) = (Vec::new(), random.u64(300_000..600_000));
    let copies = random.u8(..4) == 0;
    while at < chaos {
        let node = if random.u8(..4) == 0 { random.usize(..3) } else { 0 };
        if copies && random.bool() {
            at = forget_a_turn(random, at, &mut timed);
        }
        if copies {
            timed.push((at, Timed::Copy { node }));
        }
        for _ in 0..random.usize(1..5) {
            at += random.u64(150_000..600_000);
            let fate = (copies && random.u8(..4) == 0).then_some(Fate::OldCopy);
            timed.push((at, Timed::Kill { node, lasts: random.u64(1_000..20_000), fate }));
            let beside = match random.u8(..12) {
                0..5 => Some((at, Timed::Isolate { node: random.usize(..3), lasts: 2 * lasts(random) })),
                5 => Some((at + lasts(random), Timed::Clean)),
                6 => Some((at + lasts(random), Timed::Failover)),
                7 => Some((at + lasts(random), promote_one(random))),
                _ => None,
            };
            timed.extend(beside);
        }
    }
    timed
}

/// The log is emptied; then a copy of the master's directory from before leads alone, more than once, before the
/// others hear of it. Returns when it is over.
fn forget_a_turn(random: &mut Rng, mut at: u64, timed: &mut Vec<(u64, Timed)>) -> u64 {
    let restart = |random: &mut Rng, fate| Timed::Kill { node: 0, lasts: random.u64(1_000..20_000), fate };
    timed.push((at, Timed::Copy { node: 0 }));
    at += random.u64(20_000..200_000);
    timed.push((at, Timed::Clean));
    at += random.u64(100_000..400_000);
    timed.push((at, Timed::Isolate { node: 0, lasts: random.u64(600_000..1_500_000) }));
    timed.push((at + 1, restart(random, Some(Fate::OldCopy))));
    for _ in 0..random.usize(1..4) {
        at += random.u64(200_000..400_000);
        timed.push((at, restart(random, None)));
    }
    at + random.u64(200_000..1_000_000)
}

fn promote_one(random: &mut Rng) -> Timed {
    Timed::Promote { node: random.usize(..3), reach: Some(random.usize(1..=3)), kills: random.bool() }
}

fn kill(node: usize, fate: Option<Fate>, random: &mut Rng) -> Timed {
    Timed::Kill { node, lasts: lasts(random), fate }
}

fn lasts(random: &mut Rng) -> u64 {
    random.u64(1_000..700_000)
}

fn pair(random: &mut Rng, nodes: usize) -> (usize, usize) {
    let from = random.usize(..nodes);
    (from, (from + random.usize(1..nodes)) % nodes)
}
