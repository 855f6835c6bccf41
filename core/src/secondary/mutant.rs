//! Mistakes on purpose: each leaves a rule of the protocol out, so that the simulation can prove that it would
//! notice. Without the feature `mutants` none is ever made, and nothing of this is in the program.

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// What the master's history does not explain is cut.
    UnexplainedCut,
    /// Marks without an entry are cut as if they were nothing, whatever their kind.
    AnyMarksAreNothing,
    /// An answer to another join than the outstanding one is taken, and the fork that it names.
    OldJoinAnswerTaken,
    /// A reign is promised to one node and then to another.
    TwoPromisesAReign,
    /// Another log is given up for the master's.
    ForeignCut,
    /// With a log that has nothing in it a node forgets whatever it promised.
    PromiseForgotten,
}

#[cfg(feature = "mutants")]
thread_local! {
    static MADE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Makes this mistake from now on in this thread; none: no mistake.
#[cfg(feature = "mutants")]
pub fn set(mutant: Option<Mutant>) {
    MADE.set(mutant);
}

/// Whether this mistake is to be made.
#[cfg(feature = "mutants")]
pub(super) fn is(mutant: Mutant) -> bool {
    MADE.get() == Some(mutant)
}

/// Whether this mistake is to be made: never.
#[cfg(not(feature = "mutants"))]
pub(super) const fn is(_mutant: Mutant) -> bool {
    false
}
