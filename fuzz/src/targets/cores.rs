//! The cores under a hostile bus: each step of the input is an event, or a moment that passes.

pub(crate) mod master;
pub(crate) mod secondary;

/// Events of one run: enough to come through every state, and few enough to be quick.
const MAX_EVENTS: usize = 200;

/// Effects of one event. More than this grows without a limit somewhere.
const MAX_EFFECTS: usize = 100;

/// How often a core may ask for the very moment that it is at.
const MAX_DEADLINES_AT_ONCE: usize = 50;
