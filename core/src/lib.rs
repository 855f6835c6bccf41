//! What the nodes decide, without IO.
//!
//! | module | is |
//! | --- | --- |
//! | [`master`] | gives each message its order, says who holds it, takes a log over |
//! | [`secondary`] | follows a master: what to ask for, to append, to cut, to acknowledge |
//!
//! Events go in, effects come out. No clock, no socket, no thread, no chance but the seeded one that a core was given:
//! the same events give the same effects.

pub mod master;
pub mod secondary;

#[cfg(test)]
mod behind;
