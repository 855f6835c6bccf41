//! What a driver asks of its surroundings: a node, or a simulation.

use replog_shared::{
    Identity, Lines, Place,
    store::{Lookup, Store, Ticket},
};

use super::Core;

/// Carries out what only the surroundings can, and is told what happens meanwhile.
pub trait Environment<C: Core, S: Store> {
    /// Has this identity saved, in order with the log's appends and cuts: see [`Store::run`]. Nothing, where nothing is
    /// kept.
    fn save(&mut self, identity: &Identity, log: &mut S) -> Option<Ticket>;

    /// Sends a packet. What it follows from is durable.
    fn send(&mut self, packet: C::Packet, log: &S);

    /// A packet was decided. It is sent by [`Environment::send`] once what it follows from is durable.
    fn on_packet(&mut self, _packet: &C::Packet, _log: &S) {}

    /// An answer was decided. It is given by [`Environment::answer`] once what it follows from is durable.
    fn on_answer(&mut self, _answer: &C::Answer, _log: &S) {}

    /// Answers a caller. What it follows from is durable, or it is a refusal.
    fn answer(&mut self, answer: C::Answer, log: &S);

    /// Tells the operator.
    fn notice(&mut self, notice: C::Notice, core: &C, log: &S);

    /// A packet was dropped, because too many wait for saves and cuts.
    fn on_outbox_full(&mut self);

    /// An event comes to the core now: what is done until [`Environment::after`] follows from it.
    fn before(&mut self, _event: &C::Event, _log: &S) {}

    /// All that followed was done, as far as it can be.
    fn after(&mut self) {}

    /// An event waits for old lines.
    fn on_parked(&mut self, _event: &C::Event, _lookup: Lookup) {}

    /// All this is about to be done.
    fn on_effects(&mut self, _effects: &[C::Effect], _core: &C) {}

    /// A run was appended.
    fn on_appended(&mut self, _lines: &Lines, _core: &C, _log: &S) {}

    /// The log is about to be cut behind a place. Whoever shows it must know before, so that no reader mixes two
    /// histories.
    fn before_cut(&mut self, _place: Place, _core: &C, _log: &S) {}

    /// It is cut.
    fn on_cut(&mut self, _place: Place, _core: &C, _log: &S) {}
}
