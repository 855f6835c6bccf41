//! Whose log becomes the log, and whether the others can give up what it does not have.

use std::cmp::Ordering;

use replog_shared::{NodeName, mark, wire::State};

use crate::core::mutant::{self, Mutant};

/// The log that wins a promotion, among those that take part in it.
pub(super) struct Choice<'a> {
    pub(super) best: &'a State,
    /// A reached node whose log goes on where the best one does not explain it.
    unexplained: Option<&'a NodeName>,
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
        let unexplained = logs.iter().find(|state| reached(state) && !is_explained(best, state));
        Some(Choice { best, unexplained: unexplained.map(|state| &state.sender.node) })
    }

    /// Why an operator must decide, in words; none: nobody needs to.
    pub(super) fn dispute(&self) -> Option<String> {
        let (node, best) = (self.unexplained?, &self.best.sender.node);
        Some(format!(
            "{node} holds entries that the log of {best}, which ranks highest, neither has nor explains: an operator must decide whose log to keep: start this node with --recover to give up its own, or another node over an empty directory to give up that one's"
        ))
    }
}

/// Whether `state` holds nothing that `best` lacks, or `best` explains why it must be given up.
pub(super) fn is_explained(best: &State, state: &State) -> bool {
    let fork = mark::fork((&best.marks, best.length), (&state.marks, state.length));
    mark::holds_nothing(&state.marks, state.length, fork)
        || mark::explains(&best.marks, fork, &state.marks)
        || state.length == fork.length && mutant::is(Mutant::AnyMarksAreNothing)
}
