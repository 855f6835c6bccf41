//! What is checked, and what people do, once the faults are over.

use replog_core::master::{StartTerms, events::NotLeading};
use replog_shared::{Order, limits::OUTLINE_MARKS, store::LogView as _, wire::SecondaryState};

use super::World;
use crate::{
    LIVENESS,
    node::{Fate, Role, Slot},
    queue::Event,
};

/// Between two looks at the nodes, in microseconds.
const CHECK_INTERVAL: u64 = 100_000;

/// Looks at the same trouble before an operator acts: long enough for every time-out and backoff.
const PATIENCE: u32 = 60;

/// The second phase.
#[derive(Debug)]
pub(super) struct Healing {
    /// When it began.
    since: u64,
    /// Looks at the same trouble.
    trouble: u32,
    /// Times a promotion that did not come to its end was run again.
    run_again: u32,
    /// Times an operator helped somebody to lead.
    helped: u32,
}

/// Times that a promotion is run again before it counts as one that cannot succeed.
const RUNS: u32 = 3;

impl World {
    pub(super) fn heal(&mut self) {
        self.hub.story.tell(|| "all faults are over".to_owned());
        self.healing = Some(Healing { since: self.now, trouble: 0, run_again: 0, helped: 0 });
        self.hub.crash_rate = 0.0;
        self.disturbed_at = self.now;
        self.network.heal();
        self.swap_back();
        for node in 0..self.slots.len() {
            if let Some(secondary) = self.slots[node].secondary_mut() {
                secondary.stop_faults();
            }
            self.connect(node);
            self.resume(node);
            self.start(node);
            self.wake(node, self.now);
        }
        self.queue.schedule(self.now + CHECK_INTERVAL, Event::Check);
    }

    /// Looks whether all is well; an operator helps where the design says so.
    pub(super) fn check(&mut self) {
        let leader = self.see_to_one_leader();
        if let Some(leader) = leader {
            let commands = self.hub.clients.last_writes(leader, &mut self.random, &mut self.hub.oracle);
            for command in commands {
                self.command(leader, command);
            }
        }
        let answered = self.hub.clients.all_last_met() && self.hub.clients.open_requests() == 0;
        let unequal = self.hub.oracle.unequal(leader.unwrap_or_default());
        let settled =
            (0..self.slots.len()).all(|node| Some(node) == leader || self.slots[node].secondary().is_some());
        self.done = leader.is_some() && answered && settled && unequal.is_none();
        let since = self.healing.as_ref().map_or(0, |healing| healing.since);
        if !self.done && self.now > since + LIVENESS.as_micros() as u64 {
            let (open, met) = (self.hub.clients.open_requests(), self.hub.clients.last_met.clone());
            let states: Vec<String> = (0..self.slots.len()).map(|node| self.describe(node)).collect();
            self.hub.oracle.found(|| {
                format!("liveness: {states:?}, unequal node {unequal:?}, {open} requests open, w met {met:?}")
            });
        }
        self.queue.schedule(self.now + CHECK_INTERVAL, Event::Check);
    }

    fn describe(&self, node: usize) -> String {
        let slot = &self.slots[node];
        match (slot.master(), slot.secondary()) {
            (Some(master), _) => {
                format!("master, {:?}, {} pending", master.not_leading(), master.pending_writes())
            }
            (_, Some(secondary)) => format!("secondary, {:?}", secondary.status().state),
            _ => "down".to_owned(),
        }
    }

    /// Exactly one node is to lead, the others are to follow it. Returns the leader.
    fn see_to_one_leader(&mut self) -> Option<usize> {
        let mut leaders: Vec<usize> = self.leaders().collect();
        leaders.sort_by(|a, b| self.hub.oracle.rank(*a).cmp(&self.hub.oracle.rank(*b)));
        let leader = leaders.last().copied();
        for node in 0..self.slots.len() {
            let slot = &self.slots[node];
            let Some(master) = slot.master().filter(|_| Some(node) != leader) else { continue };
            let refused = matches!(master.not_leading(), Some(NotLeading::NotPromoted { .. }));
            if refused && !slot.role.is_promoted() {
                self.hub.story.tell(|| format!("an operator starts n{node} without its flags"));
                self.restart_as(node, Role::plain_master());
                continue;
            }
            let deposed = match master.not_leading() {
                None | Some(NotLeading::Fenced { .. } | NotLeading::NotPromoted { .. }) => true,
                // It waits for the other one to be gone, or for an operator.
                Some(_) => leader.is_some(),
            };
            if deposed {
                self.hub.story.tell(|| format!("an operator starts n{node} as a secondary"));
                self.restart_as(node, Role::Secondary);
            }
        }
        self.count_trouble(leader);
        leader
    }

    fn count_trouble(&mut self, leader: Option<usize>) {
        let stray = self.stray_nodes();
        let trouble = leader.is_none() || !stray.is_empty();
        let Some(healing) = &mut self.healing else { return };
        healing.trouble = if trouble { healing.trouble + 1 } else { 0 };
        // Without a master at all there is nothing to wait for.
        let nobody = !self.slots.iter().any(|slot| slot.master().is_some());
        if healing.trouble <= PATIENCE && !(nobody && healing.trouble > 3) {
            return;
        }
        healing.trouble = 0;
        let again = healing.run_again < RUNS;
        match (leader, self.needs_nobody()) {
            (None, true) if again => self.run_again(),
            (None, false) => self.help_to_lead(),
            (Some(_), false) => self.wipe(&stray),
            (_, true) => self.find_helpless(&stray),
        }
    }

    /// Whether all goes on without an operator's help, but for a promotion that is run again: no disk was touched,
    /// no second log was begun beside the first, outlines tell enough, and a majority of the nodes is whole.
    fn needs_nobody(&self) -> bool {
        let log_id = self.slots[self.best()].disk().identity.log_id;
        let whole = |slot: &&Slot| {
            let identity = &slot.disk().identity;
            slot.process.is_some() && identity.whole && identity.log_id == log_id
        };
        let whole = self.slots.iter().filter(whole).count();
        let other_log = |slot: &Slot| slot.disk().identity.log_id.is_some_and(|other| Some(other) != log_id);
        let judged = self.plan.outline_marks == OUTLINE_MARKS && !self.slots.iter().any(other_log);
        judged
            && !self.spoiled
            && !self.hub.oracle.may_diverge()
            && log_id.is_some()
            && 2 * whole > self.slots.len()
    }

    fn find_helpless(&mut self, stray: &[usize]) {
        let states: Vec<String> = (0..self.slots.len()).map(|node| self.describe(node)).collect();
        self.hub.oracle.found(|| {
            format!(
                "no operator: a majority is whole and no disk was touched, and {states:?}, stray {stray:?}"
            )
        });
    }

    /// The node of the highest rank.
    fn best(&self) -> usize {
        let by_rank = |a: &usize, b: &usize| self.hub.oracle.rank(*a).cmp(&self.hub.oracle.rank(*b));
        (0..self.slots.len()).max_by(by_rank).unwrap_or_default()
    }

    /// Nobody leads, since a promotion did not come to its end: it is run again, over a majority.
    fn run_again(&mut self) {
        let Some(healing) = &mut self.healing else { return };
        healing.run_again += 1;
        let best = self.best();
        self.hub.story.tell(|| format!("the promotion is run again, of n{best}"));
        for node in (0..self.slots.len()).filter(|node| *node != best) {
            if self.slots[node].role.is_master() {
                self.restart_as(node, Role::Secondary);
            }
        }
        let majority = self.slots.len() / 2 + 1;
        self.restart_as(best, Role::promoted(Some(majority), false));
    }

    /// Secondaries whose log cannot be reconciled with the master's.
    fn stray_nodes(&self) -> Vec<usize> {
        let stray = |node: &usize| {
            let state = self.slots[*node].secondary().map(|secondary| secondary.status().state);
            matches!(state, Some(SecondaryState::Foreign | SecondaryState::Diverged))
        };
        (0..self.slots.len()).filter(stray).collect()
    }

    fn wipe(&mut self, nodes: &[usize]) {
        self.hub.coverage.helped_by_wiping += 1;
        self.hub.story.tell(|| format!("an operator wipes {nodes:?}"));
        for node in nodes {
            self.end_process(*node, Fate::Wiped);
            self.start(*node);
        }
    }

    /// A log that has just begun, of which no other node holds anything, needs nobody's help: its node is whole from
    /// its first save on.
    fn find_stuck_beginning(&mut self) {
        let began = |slot: &Slot| slot.disk().identity.log_id.is_some();
        let mut begun = self.slots.iter().filter(|slot| began(slot));
        let (Some(first), None) = (begun.next(), begun.next()) else { return };
        let holds_all = first.disk().store.tip().place.length == Order::ZERO
            && first.role.is_master()
            && !self.hub.oracle.saw_a_whole_node()
            && !self.spoiled;
        if holds_all {
            let states: Vec<String> = (0..self.slots.len()).map(|node| self.describe(node)).collect();
            self.hub.oracle.found(|| format!("a log that has just begun is led by nobody: {states:?}"));
        }
    }

    /// Nobody leads: an operator has the node of the highest rank promoted, reaching what is there, and takes
    /// a loss rather than have no log at all. Whoever stands in the way is wiped next time.
    fn help_to_lead(&mut self) {
        self.find_stuck_beginning();
        self.hub.coverage.helped_to_lead += 1;
        let Some(healing) = &mut self.healing else { return };
        healing.helped += 1;
        let helped = healing.helped;
        let best = self.best();
        let log_id = self.slots[best].disk().identity.log_id;
        let blank = log_id.is_none() || self.slots[best].disk().store.lines().is_empty();
        self.hub.story.tell(|| format!("an operator has n{best} lead"));
        for node in (0..self.slots.len()).filter(|node| *node != best) {
            let other = self.slots[node].disk().identity.log_id;
            if helped > 2 || blank || (other.is_some() && other != log_id) {
                self.end_process(node, Fate::Wiped);
            }
            if self.slots[node].role.is_master() || self.slots[node].process.is_none() {
                self.restart_as(node, Role::Secondary);
            }
        }
        if blank {
            self.end_process(best, Fate::Wiped);
        }
        let terms = StartTerms { promote: !blank, reach: (!blank).then_some(0), ..StartTerms::default() };
        self.restart_as(best, Role::Master { terms, automatic: false });
    }
}
