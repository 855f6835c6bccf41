//! Whose log becomes the log, and whether the others can give up what it does not have (docs/RECOVERY.md, section 10).

use std::cmp::Ordering;

use replog_shared::{Place, mark, outline, wire::State};

use crate::master::{
    mutant::{self, Mutant},
    reasons::Dispute,
};

/// The log that wins a promotion, among those that take part in it.
pub(super) struct Choice<'a> {
    pub(super) best: &'a State,
    /// A reached node whose log goes on where the best one does not explain it, or may do so.
    unexplained: Option<&'a State>,
}

impl<'a> Choice<'a> {
    /// The best of `logs` by `rank`; of the others only those of `reached` must be explained. None without a
    /// log.
    pub(super) fn of(
        logs: impl Iterator<Item = &'a State>,
        rank: impl Fn(&State, &State) -> Ordering,
        reached: impl Fn(&State) -> bool,
    ) -> Option<Choice<'a>> {
        let logs: Vec<&State> = logs.collect();
        let best = *logs.iter().max_by(|a, b| rank(a, b))?;
        let unexplained = logs.into_iter().find(|state| reached(state) && !is_explained(best, state));
        Some(Choice { best, unexplained })
    }

    /// Why an operator must decide; none: nobody needs to.
    pub(super) fn dispute(&self) -> Option<Dispute> {
        let state = self.unexplained?;
        let (node, best) = (state.sender.node.clone(), self.best.sender.node.clone());
        match outline::fork(&self.best.outline, &state.outline) {
            Some(_) => Some(Dispute::Unexplained { node, best }),
            None => Some(Dispute::Unknown { node, best }),
        }
    }
}

/// Whether `state` holds nothing that `best` lacks, or `best` explains why it must be given up. Not if it cannot
/// be told.
pub(super) fn is_explained(best: &State, state: &State) -> bool {
    let any_marks =
        |fork: Place| fork.length == state.outline.length && mutant::is(Mutant::AnyMarksAreNothing);
    let holds_nothing = |fork| state.outline.holds_nothing_behind(fork) || any_marks(fork);
    mark::explains(best.turn.as_ref(), state.epoch())
        || outline::fork(&best.outline, &state.outline).is_some_and(holds_nothing)
}
