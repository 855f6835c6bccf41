//! Faults as they come and go.

use super::World;
use crate::{faults::Timed, node::Fate, queue::Event};

impl World {
    pub(super) fn on_fault(&mut self, timed: Timed) {
        self.hub.story.tell(|| format!("{timed:?}"));
        self.disturbed_at = self.now;
        let lasts = match timed {
            Timed::Cut { from, to, lasts } => {
                self.network.cut(from, to);
                lasts
            }
            Timed::Isolate { node, lasts } => {
                self.isolated.insert(node);
                self.isolate(node, true);
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
            Timed::Kill { node, lasts, fate } => {
                let drawn = Fate::draw(self.plan.power, &mut self.random);
                self.end_process(node, fate.unwrap_or(drawn));
                lasts
            }
            Timed::Pause { node, lasts } => {
                self.slots[node].paused = true;
                lasts
            }
            Timed::Swap { nodes, lasts } => {
                self.swap(nodes);
                lasts
            }
            Timed::Copy { node } => return self.copy(node),
            Timed::Flip { node } => return self.flip(node),
            Timed::Clean => return self.clean(),
            Timed::Failover => return self.fail_over(),
            Timed::Promote { node, reach, kills } => return self.promote(node, reach, kills),
        };
        self.queue.schedule(self.now + lasts, Event::Mend(timed));
    }

    pub(super) fn mend(&mut self, timed: Timed) {
        // A master that starts, or gets its connection, is what is looked at.
        let of_master = match timed {
            Timed::Reset { node, .. } | Timed::Kill { node, .. } => self.slots[node].role.is_master(),
            _ => false,
        };
        if !of_master {
            self.disturbed_at = self.now;
        }
        match timed {
            Timed::Cut { from, to, .. } => self.network.mend(from, to),
            Timed::Isolate { node, .. } => {
                self.isolated.remove(&node);
                self.isolate(node, false);
            }
            Timed::Slow { from, to, .. } => self.network.speed_up(from, to),
            Timed::Reset { node, .. } => self.connect(node),
            Timed::Kill { node, .. } => self.start(node),
            Timed::Pause { node, .. } => self.resume(node),
            Timed::Swap { .. } => self.swap_back(),
            Timed::Copy { .. }
            | Timed::Flip { .. }
            | Timed::Clean
            | Timed::Failover
            | Timed::Promote { .. } => {}
        }
    }

    fn isolate(&mut self, node: usize, cut: bool) {
        for other in (0..self.slots.len()).filter(|other| *other != node) {
            for (from, to) in [(node, other), (other, node)] {
                if cut {
                    self.network.cut(from, to);
                } else {
                    self.network.mend(from, to);
                }
            }
        }
    }

    fn flip(&mut self, node: usize) {
        let Some(secondary) = self.slots[node].secondary_mut() else { return };
        if secondary.disk_mut().store.flip(&mut self.random) {
            self.spoiled = true;
            self.hub.oracle.on_flipped(node, &secondary.disk().store);
        }
    }

    fn copy(&mut self, node: usize) {
        // Of a directory that is another node's for the moment, nobody wants a copy.
        if self.slots[node].disk().name == self.names[node] {
            self.slots[node].copy = Some(self.slots[node].disk().copy());
        }
    }

    /// Two nodes die, and somebody mixes their directories up.
    fn swap(&mut self, (a, b): (usize, usize)) {
        if self.swapped.is_some() {
            return;
        }
        self.exchange(a, b);
        self.spoiled = true;
        self.swapped = Some((a, b));
    }

    /// The directories are where they belong again.
    pub(super) fn swap_back(&mut self) {
        if let Some((a, b)) = self.swapped.take() {
            self.exchange(a, b);
        }
    }

    fn exchange(&mut self, a: usize, b: usize) {
        let fate = Fate::draw(self.plan.power, &mut self.random);
        self.end_process(a, fate);
        self.end_process(b, fate);
        let (of_a, of_b) = (self.slots[a].take_disk(), self.slots[b].take_disk());
        self.slots[a].insert(of_b);
        self.slots[b].insert(of_a);
        self.start(a);
        self.start(b);
    }

    fn disconnect(&mut self, node: usize) {
        self.network.reset(node);
        if std::mem::replace(&mut self.slots[node].connected, false) {
            self.tell_connection(node, false);
        }
    }

    pub(super) fn connect(&mut self, node: usize) {
        if !std::mem::replace(&mut self.slots[node].connected, true) {
            self.tell_connection(node, true);
        }
    }

    fn tell_connection(&mut self, node: usize, up: bool) {
        self.listen(node);
        let Some(process) = &mut self.slots[node].process else { return };
        process.on_connection(up, self.plan.max_payload);
        self.wake(node, self.now);
    }

    pub(super) fn resume(&mut self, node: usize) {
        if std::mem::replace(&mut self.slots[node].paused, false) {
            self.slots[node].turn_at = None;
            self.wake(node, self.now);
        }
    }
}
