//! What a seed draws before anything happens.

use std::time::Duration;

use fastrand::Rng;
use replog_core::master::PushLimits;
use replog_core::secondary::{Faults, PullLimits};
use replog_shared::{
    Durability,
    limits::{ENVELOPE_OVERHEAD_BYTES, OUTLINE_MARKS},
};

use super::{
    Focus,
    faults::{
        Kind, LONGEST_STALL, Timed, draw_bare_logs, draw_cuts_in_turn, draw_disks_that_go_back, draw_flips,
        draw_late_acks, draw_restarts, draw_rivals, draw_rots, draw_stalls, draw_storm, draw_timed,
    },
};

/// A schedule's parameters.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) secondaries: usize,
    /// What an ack means on every node, and what a crash leaves, …
    pub(super) level: Durability,
    /// … unless each node has a level of its own.
    pub(super) levels: Vec<Durability>,
    /// Plain starts of a master have flags that were meant for another one.
    pub(super) flags: bool,
    pub(super) heartbeat: Duration,
    pub(super) recovery_wait: Duration,
    pub(super) read_only: bool,
    /// The most bytes of a payload: a few marks must fit before an entry.
    pub(super) max_payload: usize,
    pub(super) push: PushLimits,
    pub(super) pull: PullLimits,
    /// Marks that one envelope tells of: few, so that a log has more.
    pub(super) outline_marks: usize,
    /// How long the chaos lasts, in microseconds.
    pub(super) chaos: u64,
    pub(super) rates: Rates,
    pub(super) core_faults: Faults,
    pub(super) timed: Vec<(u64, Timed)>,
    /// When clients do something.
    pub(super) requests: Vec<u64>,
    /// How long at the most a process that starts is without a connection; 0: it has one at once.
    pub(super) unconnected: u64,
    /// The most that a sync takes, in microseconds.
    pub(super) sync: u64,
    /// Durable entries that a log on disk keeps in memory; none: all.
    pub(super) tail: Option<u64>,
    /// The most that a save or a cut takes, in microseconds.
    pub(super) save: u64,
    /// How likely a process dies right after a step that changes its disk.
    pub(super) step_crashes: f64,
    /// How many of the crashes are power losses.
    pub(super) power: f64,
    /// Secondaries that hear no master have themselves promoted.
    pub(super) automatic: bool,
    /// Of 20 requests, how many repeat what was written before.
    pub(super) retries: u8,
}

/// Shares, from 0 to 1, of envelopes that something happens to; times in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    pub(super) loss: f64,
    pub(super) duplicate: f64,
    pub(super) delay: f64,
    pub(super) reorder: f64,
    pub(super) damage: f64,
    /// The most that an ordinary envelope travels.
    pub(super) latency: u64,
    /// The most that a delayed one travels.
    pub(super) long_delay: u64,
}

impl Rates {
    /// The bus without faults.
    pub(super) fn healthy(latency: u64) -> Rates {
        Rates { latency, ..Rates::default() }
    }
}

/// Half of the schedules have disks.
const LEVELS: [Durability; 4] = [Durability::Memory, Durability::Disk, Durability::Disk, Durability::Os];

/// Of so many schedules …
const SCHEDULES: u8 = 48;

/// … so many are storms: promotions and cuts follow each other, with writes in between.
const STORMS: u8 = 8;

/// Parameters by what kind of schedule it is.
impl Plan {
    /// The schedule of a seed.
    pub(super) fn of(focus: Option<Focus>, random: &mut Rng) -> Plan {
        let mut plan = Plan::draw(random);
        match focus {
            None => match random.u8(..SCHEDULES) {
                0..STORMS => plan.become_storm(random),
                STORMS => plan.become_disks_that_go_back(random),
                _ => {}
            },
            Some(Focus::CutInTurn) => plan.become_cuts_in_turn(random),
            Some(Focus::Cleans) => plan.become_cleans(random),
            Some(Focus::DisksGoBack) => plan.become_disks_that_go_back(random),
            Some(Focus::LateAcks) => plan.become_late_acks(random),
            Some(Focus::Restarts) => plan.become_restarts(random),
            Some(Focus::Flips) => plan.become_flips(random),
            Some(Focus::Rivals) => plan.become_rivals(random),
            Some(Focus::Rots) => plan.become_rots(random),
            Some(Focus::BareLogs) => plan.become_bare_logs(random),
        }
        plan
    }

    /// What an ack means on a node.
    pub(super) fn level_of(&self, node: usize) -> Durability {
        self.levels.get(node).copied().unwrap_or(self.level)
    }

    /// Durable entries that a node keeps in memory; none: all.
    pub(super) fn tail_of(&self, node: usize) -> Option<u64> {
        self.tail.filter(|_| self.level_of(node) != Durability::Memory)
    }

    /// Three or four nodes with disks, small windows, much at stake.
    fn become_storm(&mut self, random: &mut Rng) {
        self.levels.clear();
        self.flags = false;
        self.secondaries = self.secondaries.max(2);
        self.level = *pick(random, &[Durability::Disk, Durability::Disk, Durability::Os]);
        self.chaos = random.u64(3_000_000..8_000_000);
        self.sync = *pick(random, &[200, 2_000]);
        self.heartbeat = Duration::from_millis(100);
        self.unconnected = 0;
        self.core_faults = Faults::default();
        self.push.window_envelopes = random.usize(1..3);
        self.retries = random.u8(6..16);
        self.timed.extend(draw_storm(random, self.secondaries + 1, self.chaos, self.automatic));
        self.requests.extend((0..random.usize(20..60)).map(|_| random.u64(..self.chaos)));
    }

    /// Three nodes, of which each in turn is cut off, and one of the others is promoted over two: the narrow
    /// paths in which a rule decides alone (Raft's figure 8).
    fn become_cuts_in_turn(&mut self, random: &mut Rng) {
        self.become_storm(random);
        self.secondaries = 2;
        self.level = Durability::Disk;
        self.automatic = false;
        self.read_only = false;
        self.step_crashes = 0.0;
        self.retries = random.u8(4..16);
        self.push.window_envelopes = 1;
        self.rates = Rates { loss: random.f64() * 0.05, ..Rates::healthy(*pick(random, &[2_000, 20_000])) };
        self.timed = draw_cuts_in_turn(random, self.chaos);
    }

    /// The same, and masters empty the log, also one that another has replaced.
    fn become_cleans(&mut self, random: &mut Rng) {
        self.become_cuts_in_turn(random);
        let cleans = random.usize(1..5);
        self.timed.extend((0..cleans).map(|_| (random.u64(..self.chaos), Timed::Clean)));
    }

    /// The master's disk goes back in time while somebody who holds more is not heard.
    fn become_disks_that_go_back(&mut self, random: &mut Rng) {
        self.become_cuts_in_turn(random);
        self.level = *pick(random, &[Durability::Disk, Durability::Os]);
        self.power = 1.0;
        self.sync = *pick(random, &[2_000, 30_000]);
        self.timed = draw_disks_that_go_back(random, self.level, self.chaos);
    }

    /// Acks arrive long after their process has died, and the next one is admitted and gets nothing for a while.
    fn become_late_acks(&mut self, random: &mut Rng) {
        self.become_cuts_in_turn(random);
        self.level = Durability::Memory;
        self.rates = Rates { delay: 0.3, reorder: 0.3, long_delay: 3_000_000, ..Rates::healthy(2_000) };
        self.timed = draw_late_acks(random, self.chaos);
    }

    /// Secondaries begin their logs afresh while their master goes on, and what they had said arrives late.
    fn become_flips(&mut self, random: &mut Rng) {
        self.become_cuts_in_turn(random);
        self.level = *pick(random, &[Durability::Memory, Durability::Disk]);
        self.power = 0.0;
        self.retries = 14;
        self.rates = Rates { delay: 0.1, reorder: 0.3, long_delay: 1_000_000, ..Rates::healthy(20_000) };
        self.timed = draw_flips(random, self.chaos);
    }

    /// A master that starts again and again, and dies between any two steps of it.
    fn become_restarts(&mut self, random: &mut Rng) {
        self.become_cuts_in_turn(random);
        self.level = *pick(random, &[Durability::Disk, Durability::Os]);
        self.recovery_wait = Duration::from_millis(random.u64(20..200));
        self.step_crashes = *pick(random, &[0.0, 0.02, 0.2]);
        self.power = *pick(random, &[0.0, 0.3]);
        self.requests = (0..random.usize(3..20)).map(|_| random.u64(..self.chaos)).collect();
        self.timed = draw_restarts(random, self.chaos);
    }

    /// Two secondaries that do not hear each other are promoted at the same time.
    fn become_rivals(&mut self, random: &mut Rng) {
        self.become_cuts_in_turn(random);
        self.recovery_wait = Duration::from_millis(random.u64(20..200));
        self.rates = Rates::healthy(*pick(random, &[500, 2_000, 20_000]));
        self.timed = draw_rivals(random, self.chaos);
    }

    /// What two nodes hold is lost on one of them, and the others do not hear the second one when a promotion needs it.
    fn become_rots(&mut self, random: &mut Rng) {
        self.become_cuts_in_turn(random);
        self.power = 0.0;
        self.timed = draw_rots(random, self.chaos);
    }

    /// Two nodes begin a log without the third one, which holds another, and hardly anybody appends.
    fn become_bare_logs(&mut self, random: &mut Rng) {
        self.become_cuts_in_turn(random);
        self.recovery_wait = Duration::from_millis(random.u64(20..200));
        self.requests = (0..random.usize(3..12)).map(|_| random.u64(..self.chaos / 2)).collect();
        self.timed = draw_bare_logs(random, self.chaos);
    }

    fn draw(random: &mut Rng) -> Plan {
        let enabled = random.u32(..);
        let on = |kind: Kind| enabled >> (kind as u32) & 1 == 1;
        let secondaries = *pick(random, &[1, 2, 2, 2, 3]);
        let chaos = random.u64(100_000..3_000_000);
        let push = draw_push_limits(random);
        let level = *pick(random, &LEVELS);
        let automatic = on(Kind::Promote) && random.u8(..3) == 0;
        let mixed = random.u8(..4) == 0;
        let levels: Vec<Durability> = (0..=secondaries).map(|_| *pick(random, &LEVELS)).collect();
        let stalls = random.u8(..12) == 0;
        let mut timed = draw_timed(random, on, secondaries + 1, chaos, automatic);
        if stalls {
            timed.extend(draw_stalls(random, secondaries + 1, chaos));
        }
        Plan {
            secondaries,
            level,
            levels: if mixed { levels } else { Vec::new() },
            flags: random.u8(..6) == 0,
            heartbeat: Duration::from_millis(*pick(random, &[100, 250, 250])),
            recovery_wait: Duration::from_millis(random.u64(1..500)),
            read_only: random.u8(..10) == 0,
            max_payload: ENVELOPE_OVERHEAD_BYTES + *pick(random, &[4_000, 6_000, 10_000]),
            push,
            pull: draw_pull_limits(random, push.resume_entries),
            outline_marks: *pick(random, &[1, 2, 3, OUTLINE_MARKS]),
            // Nothing but what stands still goes on for so long.
            chaos: if stalls { chaos + LONGEST_STALL } else { chaos },
            rates: draw_rates(random, on),
            core_faults: if on(Kind::CoreFaults) { draw_core_faults(random) } else { Faults::default() },
            timed,
            requests: (0..random.usize(4..48)).map(|_| random.u64(..chaos)).collect(),
            unconnected: if on(Kind::StartUnconnected) { random.u64(1_000..3_000_000) } else { 0 },
            sync: *pick(random, &[200, 2_000, 30_000]),
            // Of the seed, and no draw.
            tail: [None, None, Some(0), None, Some(3), None, None, Some(20)]
                [push.resume_entries as usize % 8],
            save: *pick(random, &[200, 2_000, 30_000, 300_000]),
            step_crashes: if on(Kind::DieBetweenSteps) { random.f64() * 0.05 } else { 0.0 },
            power: if level == Durability::Memory && !mixed { 0.0 } else { random.f64() },
            automatic,
            retries: 5,
        }
    }
}

/// Small, so that windows fill, envelopes carry few entries, and who is behind changes between push and fetch.
fn draw_push_limits(random: &mut Rng) -> PushLimits {
    let resume_entries = random.u64(1..24);
    PushLimits {
        envelope_bytes: *pick(random, &[90, 160, 400, 2_000]),
        window_envelopes: random.usize(1..9),
        window_bytes: *pick(random, &[200, 1_000, 10_000]),
        backlog_entries: resume_entries + random.u64(..24),
        resume_entries,
    }
}

fn draw_pull_limits(random: &mut Rng, resume_entries: u64) -> PullLimits {
    PullLimits {
        window_ranges: random.usize(1..9),
        range_entries: random.u64(1..9),
        buffer_bytes: *pick(random, &[300, 2_000, 100_000]),
        // Of the seed, and no draw: schedules stay what they were.
        pending_bytes: [100, 1_000, 1_000_000][resume_entries as usize % 3],
        resume_entries,
    }
}

fn draw_rates(random: &mut Rng, on: impl Fn(Kind) -> bool) -> Rates {
    let mut rate = |kind, most: f64| if on(kind) { random.f64() * most } else { 0.0 };
    let (loss, duplicate) = (rate(Kind::Loss, 0.4), rate(Kind::Duplicate, 0.3));
    let (delay, reorder) = (rate(Kind::Delay, 0.2), rate(Kind::Reorder, 0.5));
    let damage = rate(Kind::Damage, 0.1);
    let latency = *pick(random, &[300, 2_000, 20_000]);
    Rates { loss, duplicate, delay, reorder, damage, latency, long_delay: random.u64(50_000..2_000_000) }
}

fn draw_core_faults(random: &mut Rng) -> Faults {
    Faults {
        delay: Duration::from_millis(random.u64(..60)),
        error_rate: random.f64() * 0.5,
        drop_rate: random.f64() * 0.5,
    }
}

/// One of several, each as likely.
pub(super) fn pick<'a, T>(random: &mut Rng, from: &'a [T]) -> &'a T {
    &from[random.usize(..from.len())]
}
