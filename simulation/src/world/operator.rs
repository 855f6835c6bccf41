//! Who is started as what while the faults go on: an operator, or a timer at each secondary.

use replog_core::master::events::NotLeading;

use super::World;
use crate::{
    coverage::Path,
    node::{Fate, Role},
    queue::Event,
};

/// Between two looks, in microseconds.
pub(super) const TEND_INTERVAL: u64 = 150_000;

impl World {
    /// Some of those who ought to do something do it.
    pub(super) fn tend(&mut self) {
        if self.healing.is_some() {
            return;
        }
        for node in 0..self.slots.len() {
            if self.random.u8(..3) > 0 {
                continue;
            }
            self.tend_master(node);
            self.tend_secondary(node);
        }
        self.queue.schedule(self.now + TEND_INTERVAL, Event::Tend);
    }

    /// A master that has stopped is started as a secondary, or its promotion is run again.
    fn tend_master(&mut self, node: usize) {
        let Some(why) = self.slots[node].master().and_then(|master| master.not_leading()) else { return };
        let again = self.random.bool();
        let promoted = self.slots[node].role.is_promoted();
        let role = match why {
            NotLeading::NotPromoted { .. } if !promoted => {
                self.hub.coverage.hit(Path::FlagRefused);
                Role::plain_master()
            }
            NotLeading::NotPromoted { .. } if again && !self.plan.automatic => {
                self.hub.coverage.hit(Path::PromotionRunAgain);
                let reach = self.draw_reach();
                Role::promoted(reach, false)
            }
            NotLeading::Fenced { .. } | NotLeading::NotPromoted { .. } => Role::Secondary,
            NotLeading::Diverged { .. } if again => Role::Secondary,
            _ => return,
        };
        self.hub.story.tell(|| format!("somebody starts n{node} as {role:?}"));
        self.restart_as(node, role);
    }

    /// With automatic failover a secondary that hears nobody for long has itself promoted.
    fn tend_secondary(&mut self, node: usize) {
        let now = self.now;
        let lonely = self.slots[node].secondary().is_some_and(|secondary| secondary.hears_nobody(now));
        let holds = self.slots[node].disk().identity.log_id.is_some();
        if self.plan.automatic
            && lonely
            && holds
            && !self.slots[node].paused
            && self.slots[node].patience < now
        {
            let majority = self.slots.len() / 2 + 1;
            self.hub.coverage.hit(Path::TimerFired);
            self.hub.story.tell(|| format!("the timer of n{node} fires"));
            self.restart_as(node, Role::promoted(Some(majority), true));
        }
    }

    fn draw_reach(&mut self) -> Option<usize> {
        let nodes = self.slots.len();
        (self.random.u8(..4) > 0).then(|| self.random.usize(1..=nodes))
    }

    /// Those who are not cut off get a master.
    pub(super) fn fail_over(&mut self) {
        let reachable = |node: &usize| !self.isolated.contains(node);
        let busy = |node: usize| self.slots[node].leads() || self.slots[node].role.is_promoted();
        if (0..self.slots.len()).filter(reachable).any(busy) {
            return;
        }
        let candidates: Vec<usize> = (0..self.slots.len())
            .filter(reachable)
            .filter(|node| self.slots[*node].secondary().is_some())
            .collect();
        if !candidates.is_empty() {
            let node = candidates[self.random.usize(..candidates.len())];
            self.promote(node, Some(2), false);
        }
    }

    /// An operator has a secondary promoted.
    pub(super) fn promote(&mut self, node: usize, reach: Option<usize>, kills: bool) {
        if self.slots[node].secondary().is_none() || self.slots[node].paused {
            return;
        }
        if kills {
            let leaders: Vec<usize> = self.leaders().collect();
            for leader in leaders {
                self.end_process(leader, Fate::Killed);
                let at = self.now + self.random.u64(1_000..1_500_000);
                self.queue.schedule(at, Event::Restart(leader));
            }
        }
        self.restart_as(node, Role::promoted(reach, false));
    }

    /// A client empties the log.
    pub(super) fn clean(&mut self) {
        let Some(node) = self.some_master() else { return };
        let zombie = self.slots[node].leads() && {
            let own = self.hub.oracle.rank(node).0;
            self.leaders().any(|other| self.hub.oracle.rank(other).0 > own)
        };
        if zombie {
            self.hub.coverage.hit(Path::CleanByZombie);
        }
        let command = self.hub.clients.clean(node, &mut self.random);
        self.command(node, command);
    }
}
