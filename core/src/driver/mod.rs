//! The one loop around a core: events in, and what follows from them is done in order.
//!
//! A node, the simulation and the tests drive a core through this and nothing else, so that what is proven of one holds
//! for the others. A [`Driver`] owns a core and its log. It knows no thread, no clock and no socket: what surrounds it says
//! what time it is, brings what came, has old lines read where somebody may wait for a disk, and carries packets and
//! answers away (see [`Environment`]).
//!
//! | file | holds |
//! | --- | --- |
//! | `cores` | what a driver asks of a core, and what it is told to do |
//! | `environment` | what a driver asks of its surroundings |
//! | `parking` | events that wait until old lines of the log were read |
//! | `outbox` | what is not said before what it follows from is durable |
//! | `limits` | every size, with its reason |
//!
//! A turn of a node is: [`Driver::refresh`], then [`Driver::on_read`] and [`Driver::bring`] for all that is there, then
//! [`Driver::end_burst`], then [`Driver::next_read`] until it gives none.
//!
//! Invariants: the effects of an event are done before the next event is brought; nothing is said before the saves and
//! cuts that were decided before it are durable, but for refusals, which claim nothing; an event that looks at old lines
//! is brought once they are lent to the log; once the driver has [come to its end](Driver::take_end) nothing is done.

mod cores;
mod environment;
mod limits;
mod outbox;
mod parking;

use replog_shared::{
    Lines, Moment, Order, Place,
    store::{Cut, LookAhead, Lookup, OldLines, Store, StoreError, Ticket},
};

pub use self::{
    cores::{Core, Deed},
    environment::Environment,
    limits::{PARKED_BYTES, PARKED_EVENTS},
    parking::Turn,
};

use crate::checks;
use outbox::{Outbox, Passage};
use parking::Parking;

/// The driver cannot go on with its log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It can neither be written nor relied on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run does not continue it, or is larger than any store takes.
    #[error(
        "a run of {bytes} bytes at order {order} is none that this log takes: this is a defect, please report it"
    )]
    NotTaken {
        /// Where it begins.
        order: Order,
        /// Bytes of its lines.
        bytes: usize,
    },
}

/// Why a driver does nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End<W> {
    /// Its log failed.
    Failed(Failure),
    /// Its core has come to an end.
    Over(W),
}

/// What is said to others.
#[derive(Debug)]
enum Said<C: Core> {
    Packet(C::Packet),
    Answer(C::Answer),
}

/// What waits for old lines.
#[derive(Debug)]
enum Late<E> {
    Event(E),
    /// Something is due.
    Deadline,
}

/// A core, its log, and the loop around them.
#[derive(Debug)]
pub struct Driver<C: Core, S: Store> {
    core: C,
    store: S,
    /// The last save or cut.
    last: Ticket,
    /// How often anything was cut from the log.
    cuts: u64,
    outbox: Outbox<Said<C>>,
    parking: Parking<Late<C::Event>>,
    /// What is due waits for old lines.
    deadline_waits: bool,
    effects: Vec<C::Effect>,
    end: Option<End<C::Why>>,
}

impl<C: Core, S: Store> Driver<C, S> {
    /// A core that has just started, over its log.
    pub fn new(core: C, store: S) -> Driver<C, S> {
        Driver {
            core,
            store,
            last: Ticket::NONE,
            cuts: 0,
            outbox: Outbox::default(),
            parking: Parking::default(),
            deadline_waits: false,
            effects: Vec::new(),
            end: None,
        }
    }

    /// The core, to be asked.
    pub const fn core(&self) -> &C {
        &self.core
    }

    /// The core, to be told what brings no effects, such as the time of day.
    pub const fn core_mut(&mut self) -> &mut C {
        &mut self.core
    }

    /// The log.
    pub const fn log(&self) -> &S {
        &self.store
    }

    /// The log, for who moves its storage.
    pub const fn log_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// The log, to be closed.
    pub fn into_log(self) -> S {
        self.store
    }

    /// Takes in how far the storage has come, and says what waited for that.
    pub fn refresh(&mut self, env: &mut impl Environment<C, S>) {
        if let Err(failure) = self.store.refresh() {
            return self.fail(failure.into());
        }
        while let Some(said) = self.outbox.next_due(self.store.done()) {
            say(said, &self.store, env);
        }
    }

    /// Something happened; `bytes` is the length of the packet that told it, 0 where none did. It comes to the core at once
    /// if all that it looks at is in memory, else once that was read.
    pub fn bring(&mut self, now: Moment, event: C::Event, bytes: usize, env: &mut impl Environment<C, S>) {
        match self.missing(|core, log| core.look_ahead(&event, log)) {
            None => self.take(now, event, env),
            Some(lookup) => self.park(now, event, bytes, lookup, env),
        }
    }

    /// Part of the log was read. Lines of a log that was cut since are thrown away.
    pub fn on_read(&mut self, now: Moment, turn: Turn, lines: OldLines, env: &mut impl Environment<C, S>) {
        let Some(mut parked) = self.parking.on_read(turn, lines, self.cuts) else { return };
        self.store.lend(std::mem::take(&mut parked.pages));
        if let Some(lookup) = self.missing_for(now, &parked.event) {
            parked.pages = self.store.take_back();
            return self.parking.go_on(parked, lookup);
        }
        match parked.event {
            Late::Event(event) => self.take(now, event, env),
            Late::Deadline => self.take_deadline(now, env),
        }
        drop(self.store.take_back());
    }

    /// What is to be read next, and told by [`Driver::on_read`]; none: as much is read as may be.
    pub fn next_read(&mut self) -> Option<(Turn, Lookup)> {
        self.parking.next_read(self.cuts)
    }

    /// No event is left for the moment: what is due is done, and the core sends what it has put off.
    pub fn end_burst(&mut self, now: Moment, env: &mut impl Environment<C, S>) {
        self.turn_away_overdue(now, env);
        for _ in 0..C::DEADLINES_AT_ONCE {
            if self.core.next_deadline().is_none_or(|deadline| deadline > now) {
                break;
            }
            self.on_deadline(now, env);
        }
        self.take_up_held(now, env);
        self.core.on_burst_end(now, &self.store);
        self.execute(env);
    }

    /// The node stops, with a log that is durable: everybody who waits is told. Packets that wait are dropped.
    pub fn stop(&mut self, now: Moment, env: &mut impl Environment<C, S>) {
        self.core.on_stop(now, &self.store);
        self.execute(env);
        for late in self.parking.take_if(|_| true) {
            match late {
                Late::Event(event) if C::is_awaited(&event) => self.take(now, event, env),
                Late::Event(_) => {}
                Late::Deadline => self.deadline_waits = false,
            }
        }
    }

    /// When [`Driver::end_burst`] is to be called at the latest; none: when something comes.
    pub fn next_deadline(&self) -> Option<Moment> {
        // What is due and waits for the disk goes on when that has news.
        let core = self.core.next_deadline().filter(|_| !self.deadline_waits);
        core.into_iter().chain(self.parking.events().filter_map(Late::overdue_at::<C>)).min()
    }

    /// Whether all saves, cuts and appends are durable.
    pub fn is_settled(&self) -> bool {
        self.open().is_none() && self.store.durable() == self.store.tip().place
    }

    /// Why nothing is done any more, once.
    pub const fn take_end(&mut self) -> Option<End<C::Why>> {
        self.end.take()
    }

    /// How many events wait for old lines, and about how many bytes they take.
    pub fn parked(&self) -> (usize, usize) {
        (self.parking.len(), self.parking.bytes())
    }

    /// Forgets the events that wait and of which `is_over` says so.
    pub fn forget(&mut self, is_over: impl Fn(&C::Event) -> bool) {
        drop(self.parking.take_if(|late| matches!(late, Late::Event(event) if is_over(event))));
    }

    /// The log cannot be read.
    pub fn fail(&mut self, failure: Failure) {
        self.end.get_or_insert(End::Failed(failure));
    }

    fn missing(&self, look: impl FnOnce(&C, &LookAhead<'_>)) -> Option<Lookup> {
        if self.store.recent_from() == Order::ZERO {
            return None;
        }
        let ahead = LookAhead::new(&self.store);
        look(&self.core, &ahead);
        ahead.missing()
    }

    fn missing_for(&self, now: Moment, late: &Late<C::Event>) -> Option<Lookup> {
        self.missing(|core, log| match late {
            Late::Event(event) => core.look_ahead(event, log),
            Late::Deadline => core.look_ahead_deadline(now, log),
        })
    }

    fn take(&mut self, now: Moment, event: C::Event, env: &mut impl Environment<C, S>) {
        env.before(&event, &self.store);
        self.core.on(now, event, &self.store);
        self.execute(env);
        env.after();
    }

    fn park(
        &mut self,
        now: Moment,
        event: C::Event,
        bytes: usize,
        lookup: Lookup,
        env: &mut impl Environment<C, S>,
    ) {
        env.on_parked(&event, lookup);
        let bytes = bytes + C::bytes(&event);
        if let Err(Late::Event(event)) = self.parking.park(Late::Event(event), bytes, lookup) {
            self.turn_away(now, event, env);
        }
    }

    /// There is no room for an event, or no time.
    fn turn_away(&mut self, now: Moment, event: C::Event, env: &mut impl Environment<C, S>) {
        self.core.turn_away(now, event);
        self.execute(env);
    }

    fn turn_away_overdue(&mut self, now: Moment, env: &mut impl Environment<C, S>) {
        if self.parking.is_empty() {
            return;
        }
        let is_over =
            |late: &Late<C::Event>| late.overdue_at::<C>().is_some_and(|overdue_at| overdue_at <= now);
        for late in self.parking.take_if(is_over) {
            if let Late::Event(event) = late {
                self.turn_away(now, event, env);
            }
        }
    }

    fn on_deadline(&mut self, now: Moment, env: &mut impl Environment<C, S>) {
        match self.missing_for(now, &Late::Deadline) {
            None => self.take_deadline(now, env),
            Some(lookup) if !self.deadline_waits => {
                self.deadline_waits = true;
                self.parking.park_surely(Late::Deadline, lookup);
            }
            Some(_) => {
                self.core.on_deadline_without_log(now);
                self.execute(env);
            }
        }
    }

    fn take_deadline(&mut self, now: Moment, env: &mut impl Environment<C, S>) {
        if std::mem::take(&mut self.deadline_waits) {
            // It may be parked still, when it lacks nothing any more before its lines were read.
            drop(self.parking.take_if(|late| matches!(late, Late::Deadline)));
        }
        self.core.on_deadline(now, &self.store);
        self.execute(env);
    }

    /// Takes up what came before its time, once that has come.
    fn take_up_held(&mut self, now: Moment, env: &mut impl Environment<C, S>) {
        loop {
            if let Some(lookup) = self.missing(|core, log| core.look_ahead_held(log)) {
                let parking = &self.parking;
                let Some(event) = self.core.take_held_if(&|bytes| parking.has_room(bytes)) else { return };
                self.park(now, event, 0, lookup, env);
            } else if self.core.take_up_held(now, &self.store) {
                self.execute(env);
            } else {
                return;
            }
        }
    }

    /// Does what the core decided, in order: after that all invariants hold.
    fn execute(&mut self, env: &mut impl Environment<C, S>) {
        self.execute_all(env);
        self.check();
    }

    /// What a core decided over a log that could not be read is no decision.
    fn execute_all(&mut self, env: &mut impl Environment<C, S>) {
        let mut effects = std::mem::take(&mut self.effects);
        self.core.take_effects(&mut effects);
        if effects.is_empty() {
            self.effects = effects;
            return;
        }
        self.heed_failure();
        env.on_effects(&effects, &self.core);
        for effect in effects.drain(..) {
            if self.end.is_some() {
                break;
            }
            match self.core.deed(effect, &self.store) {
                Ok(deed) => self.execute_one(deed, env),
                Err(error) => self.fail(StoreError::Failed { reason: error.to_string() }.into()),
            }
        }
        effects.clear();
        self.effects = effects;
    }

    fn execute_one(&mut self, deed: Deed<C>, env: &mut impl Environment<C, S>) {
        match deed {
            Deed::Save(identity) => {
                if let Some(ticket) = env.save(&identity, &mut self.store) {
                    self.last = ticket;
                }
                self.heed_failure();
            }
            Deed::Append(lines) => self.append(&lines, env),
            Deed::Truncate(place, cut) => self.truncate(place, cut, env),
            Deed::Send(packet) => self.send(packet, env),
            Deed::Answer(answer) => {
                env.on_answer(&answer, &self.store);
                if let Some(said) = self.outbox.pass_surely(self.open(), Said::Answer(answer)) {
                    say(said, &self.store, env);
                }
            }
            Deed::Refuse(answer) => {
                env.on_answer(&answer, &self.store);
                env.answer(answer, &self.store);
            }
            Deed::Notice(notice) => {
                let end = C::ends(&notice);
                env.notice(notice, &self.core, &self.store);
                if let Some(why) = end {
                    self.end.get_or_insert(End::Over(why));
                }
            }
            Deed::Nothing => {}
        }
    }

    fn append(&mut self, lines: &Lines, env: &mut impl Environment<C, S>) {
        let taken = self.store.append(lines);
        if !taken && self.store.failure().is_none() {
            // Its orders were given already.
            let (order, bytes) = (lines.from(), lines.bytes().len());
            return self.fail(Failure::NotTaken { order, bytes });
        }
        if taken {
            env.on_appended(lines, &self.core, &self.store);
        }
        self.heed_failure();
    }

    fn truncate(&mut self, place: Place, cut: Cut, env: &mut impl Environment<C, S>) {
        env.before_cut(place, &self.core, &self.store);
        match self.store.truncate(place, cut) {
            Ok(ticket) => {
                self.cuts += 1;
                self.last = ticket;
                env.on_cut(place, &self.core, &self.store);
                self.heed_failure();
            }
            Err(failure) => self.fail(failure.into()),
        }
    }

    /// Hands a packet over, once the saves and cuts before it are durable.
    fn send(&mut self, packet: C::Packet, env: &mut impl Environment<C, S>) {
        env.on_packet(&packet, &self.store);
        let bytes = C::packet_bytes(&packet);
        match self.outbox.pass(self.open(), bytes, Said::Packet(packet)) {
            Passage::Free(said) => say(said, &self.store, env),
            Passage::Held => {}
            Passage::Full => env.on_outbox_full(),
        }
    }

    /// The last save or cut, while it is not durable.
    fn open(&self) -> Option<Ticket> {
        (self.store.done() < self.last).then_some(self.last)
    }

    fn heed_failure(&mut self) {
        if let Some(failure) = self.store.failure() {
            self.fail(failure.into());
        }
    }

    /// Asserts what is stated here and in the core as invariants. A log that failed has not followed its core.
    fn check(&self) {
        if !checks::are_on() || self.end.is_some() || self.store.failure().is_some() {
            return;
        }
        self.outbox.check(self.store.done(), self.last);
        self.parking.check();
        let parked = self.parking.events().filter(|late| matches!(late, Late::Deadline)).count();
        assert_eq!(parked, usize::from(self.deadline_waits), "what is due is parked once, or not at all");
        self.core.check(&self.store);
    }
}

impl<E> Late<E> {
    /// When nobody waits for it any more.
    fn overdue_at<C: Core<Event = E>>(&self) -> Option<Moment> {
        match self {
            Late::Event(event) => C::overdue_at(event),
            Late::Deadline => None,
        }
    }
}

fn say<C: Core, S: Store>(said: Said<C>, log: &S, env: &mut impl Environment<C, S>) {
    match said {
        Said::Packet(packet) => env.send(packet, log),
        Said::Answer(answer) => env.answer(answer, log),
    }
}

#[cfg(test)]
mod tests;
