//! What the nodes decide, without IO.
//!
//! | module | is |
//! | --- | --- |
//! | [`driver`] | the one loop around either core: what is done, in which order, and what waits for what |
//! | [`packet`] | packets, as a bus carries them |
//! | [`master`] | gives each message its order, says who holds it, takes a log over |
//! | [`secondary`] | follows a master: what to ask for, to append, to cut, to acknowledge |
//!
//! Events go in, effects come out. No clock, no socket, no thread, no chance but the seeded one that a core was given:
//! the same events give the same effects.

#[doc(hidden)]
pub mod checks;
pub mod driver;
pub mod master;
pub mod packet;
mod read_answer;
pub mod secondary;

#[cfg(test)]
mod behind;
