//! What a start does with what it heard: a function of what this node and the others hold (docs/RECOVERY.md, section 9).

use std::collections::BTreeMap;

use replog_shared::{Epoch, LogId, NodeName, wire::State};

use super::choice::{Choice, is_explained};
use crate::master::{
    mutant::{self, Mutant},
    reasons::{Lack, Reason, UselessFlag},
};

/// What the operator asked of this start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartTerms {
    /// This node is to be promoted, whoever reigns.
    pub promote: bool,
    /// Only tell what the promotion would do.
    pub dry_run: bool,
    /// How many whole nodes a promotion must reach, this one included; none: all of them. A start that
    /// promotes itself without having been asked to must reach all the others.
    pub reach: Option<usize>,
    /// This node's log is an old copy: it does not count as whole.
    pub recover: bool,
}

/// What a start is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Wait for those that have not answered yet.
    Listen,
    /// Not lead now: for this reason. Everybody is asked again.
    Wait(Reason),
    /// Begin a new log: nobody holds one.
    Begin {
        /// Its first reign.
        reign: u32,
    },
    /// Lead on: open the next epoch of the own reign.
    Lead {
        /// The reign.
        reign: u32,
        /// The start of that epoch.
        start: u32,
    },
    /// Go on with a clean that did not come to its end: open the next epoch of the own reign with an empty log.
    FinishClean {
        /// The reign.
        reign: u32,
        /// The start of that epoch.
        start: u32,
    },
    /// Promote itself over this log.
    Promote {
        /// The log.
        log_id: LogId,
        /// The nodes to ask for promises: all that answered and hold it.
        ask: Vec<NodeName>,
        /// The reign to open.
        reign: u32,
        /// How many whole nodes must promise, this one included.
        required: usize,
        /// Whether this node counts as one of them.
        counts_itself: bool,
    },
    /// Another node reigns.
    Fenced(NodeName),
    /// The promotion that the operator asked for is not possible.
    GiveUp(Reason),
}

/// What a start knows.
pub(super) struct Situation<'a> {
    /// What this node holds.
    pub(super) own: &'a State,
    /// What the others told.
    pub(super) others: &'a BTreeMap<NodeName, State>,
    /// The other configured nodes.
    pub(super) configured: &'a [NodeName],
    /// Whether those that have not answered are still waited for.
    pub(super) waits: bool,
    /// Whether a living process of this node's own name would have been heard by now.
    pub(super) listened: bool,
    pub(super) terms: StartTerms,
    /// A master of another name that was heard recently.
    pub(super) rival: Option<&'a NodeName>,
    /// Whether another process of this node's own name was heard recently.
    pub(super) double: bool,
    /// The epoch of a clean that may not have come to its end.
    pub(super) cleaning: Option<&'a Epoch>,
    /// Whether this node's log ends in the middle of a batch.
    pub(super) within_batch: bool,
}

impl Situation<'_> {
    pub(super) fn decide(&self) -> Decision {
        let decision = self.decide_by_what_is_held();
        self.useless_flag(&decision).map_or(decision, |flag| Decision::GiveUp(Reason::UselessFlag(flag)))
    }

    /// A flag that is meant for one start, and has nothing to do in this one.
    fn useless_flag(&self, decision: &Decision) -> Option<UselessFlag> {
        use Decision::{Begin, FinishClean, Lead, Promote};
        let decided = matches!(decision, Begin { .. } | Lead { .. } | FinishClean { .. } | Promote { .. });
        if !decided || self.terms.promote {
            return None;
        }
        if self.terms.recover && self.own.sender.log_id.is_none() {
            return Some(UselessFlag::RecoverOfNothing);
        }
        if self.terms.recover && !self.is_old_copy() {
            return Some(UselessFlag::RecoverOfNoOldCopy);
        }
        let promotes = matches!(decision, Promote { .. });
        (self.terms.reach.is_some() && !promotes).then_some(UselessFlag::Reach)
    }

    /// Whether somebody who answered tells that this node's log has gone back in time.
    fn is_old_copy(&self) -> bool {
        self.own.sender.log_id.is_some_and(|log_id| {
            let logs = self.holders(log_id).map(|(_, state)| state).chain([self.own]);
            let choice = Choice::of(logs, |a, b| a.rank().cmp(&b.rank()), |_| true);
            self.went_back(log_id) || choice.is_some_and(|choice| choice.dispute().is_some())
        })
    }

    fn decide_by_what_is_held(&self) -> Decision {
        if !self.everybody() && self.waits {
            return Decision::Listen;
        }
        if !self.terms.promote {
            // Said before that this node waits: it would wait for ever.
            if let Some(other) = self.own.sender.log_id.and_then(|log_id| self.other_reign(log_id)) {
                return Decision::Fenced(other.owner.clone());
            }
            if self.predecessor_is_heard_of() && !self.listened {
                return Decision::Listen;
            }
            if let Some(reason) = self.live_master() {
                return Decision::Wait(reason);
            }
        }
        if let Some(log_id) = self.gives_way_to() {
            return self.promote(log_id);
        }
        match self.own.sender.log_id {
            None => self.decide_blank(),
            Some(log_id) if self.may_finish_clean(log_id) => self.finish_clean(),
            Some(log_id) if self.own.outline.marks.is_empty() => self.decide_emptied(log_id),
            Some(log_id) if self.terms.promote => self.promote(log_id),
            Some(log_id) => self.decide_holding(log_id),
        }
    }

    fn everybody(&self) -> bool {
        self.others.len() == self.configured.len()
    }

    /// Whether a master of this name is this node's own predecessor, unless it is heard itself: this directory has
    /// led, and no two processes have one directory at a time.
    fn is_predecessor(&self, master: &NodeName) -> bool {
        *master == self.own.sender.node && self.own.highest().is_some_and(|own| own.owner == *master)
    }

    /// Whether somebody still hears this node's predecessor, or so it seems: over a copy of the directory it may be alive.
    fn predecessor_is_heard_of(&self) -> bool {
        let mut heard = self.others.values().filter_map(|state| state.hears.as_ref());
        heard.any(|master| self.is_predecessor(master))
    }

    /// A master that others hear, or another process of this node.
    pub(super) fn live_master(&self) -> Option<Reason> {
        if self.double {
            return Some(Reason::Double(self.own.sender.node.clone()));
        }
        let heard_by = self.others.iter().find_map(|(node, state)| {
            Some((node, state.hears.as_ref().filter(|master| !self.is_predecessor(master))?))
        });
        if let Some((node, master)) = heard_by {
            return Some(Reason::HeardByAnother { by: node.clone(), master: master.clone() });
        }
        self.rival.cloned().map(Reason::Rival)
    }

    /// The log of others that this node's own gives way to: its own has nothing in it, having begun while the holders
    /// of the other one were silent. A log that was emptied may be a takeover that broke off, whose holders are
    /// silent now: it gives way only when everybody has answered.
    fn gives_way_to(&self) -> Option<LogId> {
        let own = self.own.sender.log_id.filter(|_| self.own.outline.is_bare())?;
        let emptied = self.own.outline.marks.is_empty();
        let mut holders = self.holders(own);
        if holders.any(|(_, state)| emptied || !state.outline.is_bare()) || emptied && !self.everybody() {
            return None;
        }
        let alone = self.holders(own).next().is_none();
        let others = |bare: bool| {
            let states = self.others.values().filter(move |state| state.outline.is_bare() == bare);
            only(states.filter_map(|state| state.sender.log_id).filter(|log_id| *log_id != own))
        };
        others(false).or_else(|| others(true).filter(|_| alone))
    }

    /// This node has no log.
    fn decide_blank(&self) -> Decision {
        let of = |bare: bool| {
            let states = self.others.values().filter(move |state| state.outline.is_bare() == bare);
            states.filter_map(|state| state.sender.log_id).collect::<Vec<_>>()
        };
        // A log with nothing in it is in nobody's way.
        let mut logs = of(false);
        if logs.is_empty() {
            logs = of(true);
        }
        logs.sort_unstable();
        logs.dedup();
        match logs[..] {
            [] => self.begin(),
            [log_id] if mutant::is(Mutant::EmptyMasterLeads) => {
                let reigns = self.holders(log_id).filter_map(|(_, state)| state.highest());
                Decision::Begin {
                    reign: reigns.map(|epoch| epoch.reign).max().unwrap_or(0).saturating_add(1),
                }
            }
            [log_id] => self.promote(log_id),
            _ => Decision::Wait(Reason::DifferentLogs(logs.len())),
        }
    }

    /// Above whatever this node has promised for a log that is no more. Not for an operator who wants a log to be taken
    /// over: there is none, and a new one would be in the way of the one that is meant.
    fn begin(&self) -> Decision {
        if self.terms.promote {
            return self.refuse(Reason::NoLog { answered: self.others.len() });
        }
        Decision::Begin { reign: self.own.highest().map_or(0, |epoch| epoch.reign).saturating_add(1) }
    }

    /// This node has a log's id and nothing of the log: a takeover or a clean did not come to its end, or, if the node
    /// is whole, it had just begun the log, and nothing of it has left.
    fn decide_emptied(&self, log_id: LogId) -> Decision {
        match self.holders(log_id).next() {
            Some(_) => self.promote(log_id),
            None if self.everybody() || self.own.whole => self.begin(),
            None => Decision::Wait(Reason::HoldersAreSilent),
        }
    }

    /// Whether this node was about to empty its log as its last deed: it had all that it ever acknowledged, and nobody
    /// has led since.
    fn may_finish_clean(&self, log_id: LogId) -> bool {
        let of_own_reign = |cleaning: &&Epoch| {
            cleaning.owner == self.own.sender.node
                && self.own.highest().is_none_or(|highest| cleaning.same_reign(highest))
        };
        let cleaning = self.cleaning.filter(of_own_reign);
        cleaning.is_some_and(|cleaning| self.own.epoch() < Some(cleaning))
            && !self.terms.promote
            && !self.terms.recover
            && !self.forgot_an_epoch(log_id)
    }

    fn finish_clean(&self) -> Decision {
        let highest = self.own.highest().max(self.cleaning);
        let (reign, start) = highest.map_or((1, 0), |highest| (highest.reign, next_start(highest)));
        Decision::FinishClean { reign, start }
    }

    /// Whether a clean was the last deed, and its mark is there: only that it is done was not saved.
    fn has_cleaned(&self) -> bool {
        let done = |cleaning: &&Epoch| {
            self.own.epoch().is_some_and(|own| own.same_reign(cleaning) && own >= *cleaning)
        };
        self.cleaning.is_some_and(|cleaning| done(&cleaning))
    }

    /// This node holds a log.
    fn decide_holding(&self, log_id: LogId) -> Decision {
        // A master appends a batch as a whole: of a log that ends within one something is missing.
        let complete = (self.own.whole || self.has_cleaned()) && !self.within_batch;
        let lacks_nothing = complete && !self.terms.recover && !self.went_back(log_id)
            || mutant::is(Mutant::NotWholeStartsAlone);
        match self.own.highest() {
            // A fence above the last mark is that of a promotion which did not come to its end: run it again.
            Some(highest) if lacks_nothing && self.own.epoch().is_some_and(|own| own.same_reign(highest)) => {
                match mutant::is(Mutant::RestartReigns) {
                    true => Decision::Lead { reign: highest.reign.saturating_add(1), start: 0 },
                    false => Decision::Lead { reign: highest.reign, start: next_start(highest) },
                }
            }
            _ => self.promote(log_id),
        }
    }

    /// The others that hold this log.
    pub(super) fn holders(&self, log_id: LogId) -> impl Iterator<Item = (&NodeName, &State)> {
        self.others.iter().filter(move |(_, state)| state.sender.log_id == Some(log_id))
    }

    /// The reign of another node that this one, or one that answered, has promised or followed.
    fn other_reign(&self, log_id: LogId) -> Option<&Epoch> {
        let own = self.own.highest()?;
        if own.owner != self.own.sender.node {
            return Some(own);
        }
        let known = self.holders(log_id).filter_map(|(_, state)| state.highest());
        let reigned = |epoch: &&Epoch| epoch.owner == self.own.sender.node;
        known.filter(|epoch| *epoch > own && !reigned(epoch)).max()
    }

    /// This node's directory is an old copy, or has lost something (docs/RECOVERY.md, section 15).
    fn went_back(&self, log_id: LogId) -> bool {
        self.forgot_an_epoch(log_id) || self.somebody_holds_more(log_id)
    }

    /// Somebody knows of an epoch of this node's own that itself does not: it saves an epoch before it tells
    /// anybody of it.
    fn forgot_an_epoch(&self, log_id: LogId) -> bool {
        let mut known = self.holders(log_id).filter_map(|(_, state)| state.highest());
        known.any(|epoch| epoch.owner == self.own.sender.node && Some(epoch) > self.own.highest())
    }

    /// Somebody holds what the log of this node, the last to reign over it, neither has nor explains: entries
    /// leave a master only when it holds them itself, so its disk has lost some.
    fn somebody_holds_more(&self, log_id: LogId) -> bool {
        let reigned = self.own.epoch().is_some_and(|epoch| epoch.owner == self.own.sender.node);
        reigned && self.holders(log_id).any(|(_, state)| !is_explained(self.own, state))
    }

    fn promote(&self, log_id: LogId) -> Decision {
        let counts_itself = self.own.sender.log_id == Some(log_id)
            && self.own.whole
            && !self.terms.recover
            && !self.went_back(log_id);
        let whole =
            self.holders(log_id).filter(|(_, state)| state.whole).count() + usize::from(counts_itself);
        let required = self.required();
        if whole < required {
            return self.too_few(log_id, whole, required);
        }
        let dispute = self.choice(log_id).and_then(|choice| choice.dispute());
        if let Some(dispute) = dispute.filter(|_| !mutant::is(Mutant::UnexplainedRankTaken)) {
            return self.refuse(Reason::Dispute(dispute));
        }
        let highest = self.holders(log_id).map(|(_, state)| state).chain([self.own]);
        let reign = highest.filter_map(State::highest).map(|epoch| epoch.reign).max().unwrap_or(0);
        Decision::Promote {
            log_id,
            ask: self.holders(log_id).map(|(node, _)| node.clone()).collect(),
            reign: reign.saturating_add(1),
            required,
            counts_itself,
        }
    }

    /// Whose log would win if all who answered promised. Known before anybody is fenced: a promotion that an
    /// operator must decide fences nobody.
    pub(super) fn choice(&self, log_id: LogId) -> Option<Choice<'_>> {
        let of_that_log = self.own.sender.log_id == Some(log_id) || self.own.outline.marks.is_empty();
        let takes_part = (of_that_log && !self.terms.recover).then_some(self.own);
        let logs = self.holders(log_id).map(|(_, state)| state).chain(takes_part);
        let reached = |state: &State| state.whole || state.sender.node == self.own.sender.node;
        Choice::of(logs, |a, b| a.rank().cmp(&b.rank()), reached)
    }

    fn required(&self) -> usize {
        let all = self.configured.len();
        self.terms.reach.unwrap_or(if self.terms.promote { all + 1 } else { all })
    }

    fn too_few(&self, log_id: LogId, whole: usize, required: usize) -> Decision {
        let missing = self.configured.iter().filter(|node| {
            !self.others.get(*node).is_some_and(|state| state.whole && state.sender.log_id == Some(log_id))
        });
        let missing = missing.cloned().collect();
        if self.terms.promote {
            return self.refuse(Reason::TooFewReached { whole, required, missing });
        }
        let lack = if self.own.outline.marks.is_empty() {
            Lack::All(log_id)
        } else if self.own.sender.log_id != Some(log_id) {
            Lack::AllButItsOwn(log_id)
        } else {
            Lack::Some
        };
        self.refuse(Reason::Lack { lack, missing })
    }

    /// Nobody was fenced. Who was told to be promoted ends; a start asks again.
    fn refuse(&self, reason: Reason) -> Decision {
        if self.terms.promote { Decision::GiveUp(reason) } else { Decision::Wait(reason) }
    }
}

/// The one log that all of these are; none if there is none or more than one.
fn only(mut logs: impl Iterator<Item = LogId>) -> Option<LogId> {
    let first = logs.next()?;
    logs.all(|log_id| log_id == first).then_some(first)
}

fn next_start(highest: &Epoch) -> u32 {
    highest.start.saturating_add(u32::from(!mutant::is(Mutant::StartNotCounted)))
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
