//! Acks and answers: who holds what, and what a later epoch must keep.

use std::ops::Bound;

use replog_shared::{Epoch, MarkKind, NodeName, store::Ticket, wire};

use super::{Acked, History, Oracle};

/// What a caller is told.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The master that tells.
    pub(crate) node: usize,
    pub(crate) epoch: Epoch,
    /// Which admission of each node was the master's last one, by node.
    pub(crate) admitted: Vec<Option<u64>>,
    /// The nodes that it names as holders, besides itself.
    pub(crate) holders: Vec<usize>,
    /// The save or cut that it waits for; none: the caller hears it at once.
    pub(crate) waits_for: Option<Ticket>,
}

impl Oracle {
    /// A secondary says what it holds.
    pub(crate) fn on_ack(&mut self, node: usize, ack: &wire::Ack) {
        if ack.error.is_some() {
            return;
        }
        let this = &self.nodes[node];
        let (durable, through) = (this.durable, ack.through.get());
        let length = durable.checked_sub(1).map_or(0, |last| this.mirror.lines[last].entries);
        let epoch = this.mirror.opening_at(durable).map(|opening| &opening.epoch);
        let digest = durable.checked_sub(1).map(|last| this.mirror.lines[last].digest).unwrap_or_default();
        if through > length || ack.epoch.as_ref() != epoch || through == length && ack.digest != digest {
            let epoch = epoch.cloned();
            return self.found(|| {
                format!(
                    "ack honesty: s{node} acked through {through} in {:?} and holds {length} of {epoch:?}",
                    ack.epoch
                )
            });
        }
        if ack.fence < this.promised {
            let promised = this.promised.clone();
            self.found(|| format!("fencing: s{node} promised {promised:?} and acks without saying so"));
        }
    }

    /// A caller is told that `w` nodes hold `first..first + count`, or with no entries the mark of a clean.
    pub(crate) fn on_met(&mut self, answer: &Answer, first: u64, count: u64, w: u16) {
        let Answer { node, epoch, .. } = answer;
        if self.nodes[*node].promised.as_ref() > Some(epoch) {
            return self
                .found(|| format!("fencing: node {node} promised more than {epoch}, and answers in it"));
        }
        let Some((entry, index)) = self.indexes(*node, first + count) else {
            return self
                .found(|| format!("an answer for 0..{} that its master does not hold", first + count));
        };
        let holders = self.count_holders(answer, index);
        if holders < u32::from(w) {
            return self.found(|| {
                format!(
                    "w honoured: {first}..{} was answered for w = {w} in {epoch}, and {holders} nodes hold it",
                    first + count
                )
            });
        }
        // What the answer promises by `kept_if_reached` goes by the nodes that it names.
        let named = answer.holders.len() + 1;
        self.remember_answer(answer, entry, first, named.max(w.into()));
    }

    /// Where the last entry before `through` stands in a master's log, and the line that a holder must have:
    /// that entry and the epoch's mark.
    fn indexes(&self, node: usize, through: u64) -> Option<(usize, usize)> {
        let mirror = &self.nodes[node].mirror;
        let mark = mirror.last_mark()?;
        let entry = match through.checked_sub(1) {
            Some(last) => mirror.index_of(last)?,
            None => mark,
        };
        Some((entry, entry.max(mark)))
    }

    fn count_holders(&self, answer: &Answer, index: usize) -> u32 {
        (0..self.nodes.len()).filter(|holder| self.holds(answer, *holder, index)).count() as u32
    }

    /// Whether a node holds the line at `index` of the master's log, or held it and lost it in a way that the
    /// master cannot know of.
    fn holds(&self, answer: &Answer, holder: usize, index: usize) -> bool {
        let digest = self.nodes[answer.node].mirror.lines[index].digest;
        let this = &self.nodes[holder];
        if this.durable > index && this.mirror.has(index, digest) {
            return true;
        }
        let Some(held) = self.held.get(&digest).filter(|held| held.ever >> holder & 1 == 1) else {
            return false;
        };
        let admitted = answer.admitted[holder].unwrap_or(u64::MAX);
        let lost = held.lost >> holder & 1 == 1 && admitted <= held.lost_at[holder];
        let outranked =
            || self.later(&answer.epoch).any(|(_, history)| history.log_id == self.nodes[answer.node].log_id);
        lost || outranked() || self.void
    }

    fn later(&self, epoch: &Epoch) -> impl Iterator<Item = (&Epoch, &History)> {
        self.histories.range((Bound::Excluded(epoch), Bound::Unbounded))
    }

    fn remember_answer(&mut self, answer: &Answer, index: usize, order: u64, w: usize) {
        let this = &self.nodes[answer.node];
        let (digest, log_id) = (this.mirror.lines[index].digest, this.log_id);
        let ever = self.held.get(&digest).map_or(0, |held| held.ever);
        let (mut dead, mut bound) = (false, None);
        for (epoch, history) in self.later(&answer.epoch) {
            if history.log_id != log_id || history.digests.get(index) == Some(&digest) {
                continue;
            }
            dead = true;
            let beyond = w + history.reached > self.nodes.len() && history.forgotten_by & ever == 0;
            if history.kind == MarkKind::Promotion && beyond {
                bound = Some((epoch.clone(), history.reached));
            }
        }
        if let Some((epoch, reached)) = bound.filter(|_| !self.void) {
            let old = &answer.epoch;
            self.found(|| {
                format!("zombie: {order} was answered with {w} holders in {old} although {epoch} had reached {reached} nodes")
            });
        }
        let (epoch, waits) = (answer.epoch.clone(), answer.waits_for.map(|ticket| (answer.node, ticket)));
        self.acked.push(Acked { order, index, digest, w, epoch, log_id, dead, given_up_by: 0, waits });
    }

    /// A node's process has ended, and all through `done` was saved and cut: its callers never hear the answers that
    /// waited for more.
    pub(crate) fn on_silenced(&mut self, node: usize, done: Ticket) {
        self.acked.retain_mut(|acked| {
            let waited_for = acked.waits.take_if(|(master, _)| *master == node);
            waited_for.is_none_or(|(_, ticket)| ticket <= done)
        });
    }

    /// An epoch keeps what was answered before it: a start or a clean all of it, a promotion that reached p
    /// nodes all with w ≥ n − p + 1, and whatever one of those p holds.
    pub(super) fn check_kept(
        &mut self,
        opener: usize,
        epoch: &Epoch,
        history: &History,
        reached: &[NodeName],
    ) {
        let n = self.nodes.len();
        let reset =
            history.marks.iter().filter(|(_, kind)| *kind == MarkKind::Clean).map(|(epoch, _)| epoch).max();
        let names = &self.names;
        let promised: Vec<usize> = (0..n).filter(|node| reached.contains(&names[*node])).collect();
        let mut wrong = None;
        for acked in &mut self.acked {
            let kept = history.digests.get(acked.index) == Some(&acked.digest);
            if acked.dead || acked.log_id != history.log_id || acked.epoch >= *epoch || kept {
                continue;
            }
            let (order, w, index) = (acked.order, acked.w, acked.index);
            if reset.is_some_and(|reset| *reset > acked.epoch) && history.kind != MarkKind::Clean {
                acked.dead = true;
                continue;
            }
            // A clean that was broken off gives up what was there when it began, also where a crash took that first.
            if history.kind == MarkKind::Clean && acked.given_up_by >> opener & 1 == 1 {
                acked.dead = true;
                continue;
            }
            if history.kind == MarkKind::Start && self.void {
                // An old copy leads alone: whoever still holds the entry keeps it.
                continue;
            }
            let silent = promised.iter().find(|node| {
                let this = &self.nodes[**node];
                this.promised.as_ref() == Some(epoch)
                    && this
                        .mirror
                        .epoch()
                        .is_some_and(|own| *own >= acked.epoch || own.same_reign(&acked.epoch))
                    && this.mirror.has(index, acked.digest)
                    && this.mirror.batch_end(index).is_some_and(|last| this.ranked > last)
            });
            if w + history.reached > n && !self.void {
                wrong = Some(format!(
                    "promise: {:?} {epoch} of node {opener} reached {} of {n} and lost {order}, answered with {w} holders in {}",
                    history.kind, history.reached, acked.epoch
                ));
            } else if let Some(silent) = silent.filter(|_| history.kind == MarkKind::Promotion) {
                wrong = Some(format!(
                    "promise: {epoch} drops {order}, which node {silent} held when it promised"
                ));
            }
            acked.dead = true;
        }
        if let Some(wrong) = wrong {
            self.found(|| wrong);
        }
    }

    /// Who is told that a write is in the log is told of what its master holds at its durability level.
    pub(crate) fn check_durable(&mut self, node: usize, through: u64) {
        let durable = self.nodes[node].durable;
        if self.indexes(node, through).is_none_or(|(_, index)| index >= durable) {
            self.found(|| format!("applied: an answer for 0..{through}, which node {node} may still lose"));
        }
    }

    /// The answer names these secondaries as holders.
    pub(crate) fn check_named_holders(&mut self, answer: &Answer, through: u64) {
        let Some((_, index)) = self.indexes(answer.node, through) else { return };
        let wrong = answer.holders.iter().copied().find(|holder| !self.holds(answer, *holder, index));
        if let Some(wrong) = wrong {
            self.found(|| {
                format!("an answer names node {wrong} as a holder of 0..{through}, which it is not")
            });
        }
    }

    /// What was answered and never rightly given up is in the log of the one that leads at the end.
    pub(crate) fn check_end(&mut self, leader: usize) {
        let this = &self.nodes[leader];
        let lost = self.acked.iter().find(|acked| {
            !acked.dead
                && acked.log_id == this.log_id
                && Some(&acked.epoch) <= this.mirror.epoch()
                && !this.mirror.has(acked.index, acked.digest)
        });
        if let Some(order) = lost.map(|acked| acked.order).filter(|_| !self.void) {
            self.found(|| format!("at the end the entry at {order} is gone, which was answered"));
        }
    }
}
