//! What a driver asks of a core, and what it is told to do.

use std::fmt;

use replog_shared::{
    Identity, Lines, Moment, Place,
    store::{Cut, LogView, LookAhead, ReadError, Store},
};

/// A core as its driver sees it: events in, effects out. Both cores are the same to it.
pub trait Core: Sized {
    /// What comes from outside.
    type Event: fmt::Debug;
    /// What the core wants done, in its own words.
    type Effect: fmt::Debug;
    /// What it says to another node.
    type Packet: fmt::Debug;
    /// What it says to a caller.
    type Answer: fmt::Debug;
    /// What it tells the operator.
    type Notice: fmt::Debug;
    /// Why it comes to an end.
    type Why: fmt::Debug;

    /// How often what is due is done in one turn, at most: as the next time may depend on what was done.
    const DEADLINES_AT_ONCE: usize;

    /// Something happened. All that it looks at is in memory.
    fn on(&mut self, now: Moment, event: Self::Event, log: &dyn LogView);

    /// Asks what [`Core::on`] will look at of the log.
    fn look_ahead(&self, event: &Self::Event, log: &LookAhead<'_>);

    /// When [`Core::on_deadline`] is due; none: never, unless an event comes.
    fn next_deadline(&self) -> Option<Moment>;

    /// The time that [`Core::next_deadline`] told has come.
    fn on_deadline(&mut self, now: Moment, log: &dyn LogView);

    /// Asks what [`Core::on_deadline`] will look at of the log.
    fn look_ahead_deadline(&self, _now: Moment, _log: &LookAhead<'_>) {}

    /// The same as [`Core::on_deadline`] while that cannot be looked at yet.
    fn on_deadline_without_log(&mut self, _now: Moment) {}

    /// Takes up one event that came before its time, if that has come; false: there is none.
    fn take_up_held(&mut self, _now: Moment, _log: &dyn LogView) -> bool {
        false
    }

    /// Asks what [`Core::take_up_held`] will look at of the log.
    fn look_ahead_held(&self, _log: &LookAhead<'_>) {}

    /// Takes out what [`Core::take_up_held`] would take up, if there is room for so many bytes elsewhere: it comes by
    /// [`Core::on`] later.
    fn take_held_if(&mut self, _has_room: &dyn Fn(usize) -> bool) -> Option<Self::Event> {
        None
    }

    /// No event is left for the moment.
    fn on_burst_end(&mut self, now: Moment, log: &dyn LogView);

    /// The node stops, with a log that is durable.
    fn on_stop(&mut self, _now: Moment, _log: &dyn LogView) {}

    /// An event cannot wait for what it looks at, or not any longer.
    fn turn_away(&mut self, now: Moment, event: Self::Event);

    /// Moves out what is to be done, oldest first.
    fn take_effects(&mut self, into: &mut Vec<Self::Effect>);

    /// What is to be done, finished over the log as it is.
    ///
    /// # Errors
    /// The log cannot be read.
    fn deed(&self, effect: Self::Effect, log: &impl Store) -> Result<Deed<Self>, ReadError>;

    /// Why the core comes to an end with what it tells the operator; none: it goes on.
    fn ends(notice: &Self::Notice) -> Option<Self::Why>;

    /// Bytes that an event takes besides its packet, about: never none, so that their number is bounded, too.
    fn bytes(event: &Self::Event) -> usize;

    /// When nobody waits for an event any more; none: never.
    fn overdue_at(event: &Self::Event) -> Option<Moment>;

    /// Whether a caller waits for an event.
    fn is_awaited(event: &Self::Event) -> bool;

    /// Bytes that a packet takes, about.
    fn packet_bytes(packet: &Self::Packet) -> usize;

    /// Asserts what the core states as invariants, between two events. Called where debug assertions are on, after each
    /// event: so it looks at a few things only, however much the core holds.
    ///
    /// # Panics
    /// One of them is broken: a defect of the core.
    fn check(&self, _log: &dyn LogView) {}
}

/// One thing to do.
#[derive(Debug)]
pub enum Deed<C: Core> {
    /// Save this, in order with appends and cuts.
    Save(Identity),
    /// Append a run that was checked against the log's tip.
    Append(Lines),
    /// Cut the log behind a place, and keep or drop what is cut.
    Truncate(Place, Cut),
    /// Send a packet. What is not taken is sent again from the log, or asked again, when its time comes.
    Send(C::Packet),
    /// Answer a caller. Nobody asks for it again, so it is never dropped; the core bounds how many there are.
    Answer(C::Answer),
    /// Tell a caller that nothing was stored: that claims nothing, and waits for nothing.
    Refuse(C::Answer),
    /// Tell the operator.
    Notice(C::Notice),
    /// Nothing: it came too late.
    Nothing,
}
