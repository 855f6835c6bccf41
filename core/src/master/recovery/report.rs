//! What a promotion would do, for the operator.

use replog_shared::{LogId, NodeName, OrderRange, outline, wire::State};

use super::decision::{Decision, Situation};
use crate::master::reasons::{Holding, Outcome, Promoted, Report, ReportedLog};

impl Situation<'_> {
    /// Step 1 of a promotion and no more: who is there, which log would win, what would be kept and given up.
    pub(super) fn report(&self) -> Report {
        let over = self.own.sender.log_id.or_else(|| self.heard_log()).map(|log_id| ReportedLog {
            log_id,
            nodes: self.nodes().map(|(name, state)| (name.clone(), holding(state, log_id))).collect(),
            outcome: self.outcome(log_id),
        });
        Report { node: self.own.sender.node.clone(), over }
    }

    fn heard_log(&self) -> Option<LogId> {
        self.others.values().find_map(|state| state.sender.log_id)
    }

    /// All nodes, this one first.
    fn nodes(&self) -> impl Iterator<Item = (&NodeName, Option<&State>)> {
        let others = self.configured.iter().map(|name| (name, self.others.get(name)));
        std::iter::once((&self.own.sender.node, Some(self.own))).chain(others)
    }

    fn outcome(&self, log_id: LogId) -> Outcome {
        match self.decide() {
            Decision::Promote { counts_itself, .. } => {
                Outcome::Promoted(self.promoted(log_id, counts_itself))
            }
            Decision::GiveUp(reason) | Decision::Wait(reason) => Outcome::NotNow(Some(reason)),
            Decision::Listen
            | Decision::Begin { .. }
            | Decision::Lead { .. }
            | Decision::FinishClean { .. }
            | Decision::Fenced(_) => Outcome::NotNow(None),
        }
    }

    fn promoted(&self, log_id: LogId, counts_itself: bool) -> Promoted {
        let holders = || self.holders(log_id).map(|(_, state)| state);
        let reached = holders().filter(|state| state.whole).count() + usize::from(counts_itself);
        let nodes = self.configured.len() + 1;
        let choice = self.choice(log_id);
        let best = choice.as_ref().map(|choice| choice.best);
        let gives_up = |state: &State| {
            let (name, to) = (&state.sender.node, state.outline.length);
            match outline::fork(&best?.outline, &state.outline) {
                Some(fork) if to > fork.length => {
                    Some((name.clone(), Some(OrderRange::new(fork.length, to))))
                }
                Some(_) => None,
                None => Some((name.clone(), None)),
            }
        };
        Promoted {
            reached,
            nodes,
            best: best.map(|best| best.sender.node.clone()),
            given_up: holders().chain([self.own]).filter_map(gives_up).collect(),
            fences: self.live_master(),
        }
    }
}

fn holding(state: Option<&State>, log_id: LogId) -> Holding {
    let Some(state) = state else { return Holding::NoAnswer };
    match state.sender.log_id {
        None => Holding::NoLog,
        Some(other) if other != log_id => Holding::OtherLog(other),
        Some(_) => {
            Holding::Log { epoch: state.epoch().cloned(), entries: state.outline.length, whole: state.whole }
        }
    }
}
