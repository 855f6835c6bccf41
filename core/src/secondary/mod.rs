//! The secondary's decisions, without IO.
//!
//! Events go in by `on_<event>(now, …, log)`, [`Effect`]s come out by [`SecondaryCore::take_effects`] and
//! are done, in order, before the next event: so `log` is always current. No clock, no socket, no chance but
//! the seeded one it was given: the same events give the same effects.
//!
//! | file | decides |
//! | --- | --- |
//! | `join` | whom to follow, and what it is told of this log |
//! | `admission` | what to cut for it, when a log is diverged or foreign |
//! | `entries` | what is appended, kept for later, refused, pulled |
//! | `reorder_buffer`, `fetcher` | what waits behind a gap, and which ranges are asked for |
//! | `acks` | when to say what is held |
//! | `promise` | what a promoting master is told |
//! | `faults` | delays, errors and losses on purpose |
//! | `packets`, `driven` | (between packets, the driver and the core's words) |
//! | `checks` | (what is asserted after each event) |

mod acks;
mod admission;
mod checks;
mod driven;
mod effect;
mod entries;
mod faults;
mod fetcher;
mod join;
#[doc(hidden)]
pub mod mutant;
mod packets;
mod promise;
mod reorder_buffer;
mod state;
mod status;

use std::time::Duration;

use replog_shared::{
    Durability, Identity, Incarnation, LogId, Moment, NodeName, Order, Place,
    limits::{DEFAULT_MAX_PAYLOAD_BYTES, ENVELOPE_OVERHEAD_BYTES, UNHEALTHY_AFTER_INTERVALS, outline_marks},
    store::LogView,
    wire,
};

pub use driven::Event;
pub use effect::{Effect, Notice};
pub use faults::Faults;
pub use fetcher::PullLimits;
pub use packets::{Packet, Refused, Translator};
pub use status::{Counters, Status};

use faults::FaultInjector;
use fetcher::Fetcher;
use reorder_buffer::ReorderBuffer;
use state::State;

/// How long pushes must have stopped before what a heartbeat tells of is fetched instead.
const PUSH_QUIET: Duration = Duration::from_millis(50);

/// What a core is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node's configured name.
    pub name: NodeName,
    /// This process.
    pub incarnation: Incarnation,
    /// What an ack means here.
    pub durability: Durability,
    /// Between two acks when idle; the master's interval between heartbeats.
    pub heartbeat_interval: Duration,
    /// How much is asked for and kept.
    pub pull: PullLimits,
    /// Faults from the start.
    pub faults: Faults,
    /// How many marks one envelope tells of, see [`replog_shared::limits::OUTLINE_MARKS`].
    pub outline_marks: usize,
    /// The most bytes of a page of the log that a master reads, see [`replog_shared::limits::ENVELOPE_BYTES`].
    pub page_bytes: usize,
}

/// The last heartbeat of a master that may be followed.
#[derive(Clone, Debug)]
struct Heard {
    node: NodeName,
    at: Moment,
    length: Order,
    http: Option<String>,
}

impl Heard {
    fn of(now: Moment, heartbeat: &wire::Heartbeat) -> Heard {
        let wire::Heartbeat { sender, length, http, .. } = heartbeat;
        Heard { node: sender.node.clone(), at: now, length: *length, http: http.clone() }
    }
}

/// A secondary: takes events, gives effects.
#[derive(Debug)]
pub struct SecondaryCore {
    settings: Settings,
    random: fastrand::Rng,
    identity: Identity,
    state: State,
    master: Option<Heard>,
    buffer: ReorderBuffer,
    fetcher: Fetcher,
    /// Something is not asked for, or waits in the buffer, because the disk is behind.
    waits_for_disk: bool,
    faults: FaultInjector,
    /// Something is to be acked once it is durable.
    ack_due: bool,
    /// Up to where the last ack said that the log is held.
    acked: Option<Place>,
    /// The last envelope was answered with an error on purpose: what is said when idle is drawn again.
    failing: bool,
    idle_ack_at: Moment,
    bus_is_up: bool,
    /// The most bytes that the bus takes.
    max_payload: usize,
    last_request: u64,
    counters: Counters,
    effects: Vec<Effect>,
}

impl SecondaryCore {
    /// A core that has just started. `identity` is what the node had saved; the default for a blank one, which
    /// has no log. `seed` feeds jitter and the numbers of requests.
    pub fn new(settings: Settings, identity: Identity, now: Moment, seed: u64) -> SecondaryCore {
        let mut random = fastrand::Rng::with_seed(seed);
        SecondaryCore {
            // No two processes number their requests alike, so none takes an answer for another's.
            last_request: random.u64(..1 << 48),
            faults: FaultInjector::new(settings.faults),
            random,
            identity,
            state: State::Waiting,
            master: None,
            buffer: ReorderBuffer::new(settings.pull.buffer_bytes),
            fetcher: Fetcher::new(settings.pull),
            waits_for_disk: false,
            ack_due: false,
            acked: None,
            failing: false,
            idle_ack_at: now,
            bus_is_up: false,
            max_payload: DEFAULT_MAX_PAYLOAD_BYTES,
            counters: Counters::default(),
            effects: Vec::new(),
            settings,
        }
    }

    /// What is to be done since the last call, in order.
    #[must_use = "effects that are not done are lost"]
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Bytes of envelopes that are kept because something before them is missing, at most.
    pub const fn buffer_limit_bytes(&self) -> usize {
        self.settings.pull.buffer_bytes
    }

    /// When [`SecondaryCore::on_deadline`] wants to be called; may change with every event.
    pub fn next_deadline(&self) -> Option<Moment> {
        let join = self.state.attempt().map(|attempt| attempt.retry_at);
        let idle = self.state.acks().then_some(self.idle_ack_at);
        let session = match &self.state {
            State::Joined(session) => session.check_at.into_iter().chain(self.fetcher.next_deadline()).min(),
            _ => None,
        };
        [join, idle, session, self.faults.next_deadline()].into_iter().flatten().min()
    }

    /// Does what is due at `now`. To be called again, after its effects, while a deadline is not later than
    /// `now`.
    pub fn on_deadline(&mut self, now: Moment, log: &dyn LogView) {
        if let Some(arrival) = self.faults.release(now) {
            // Alone: the next one needs the log that this one leaves.
            return self.take(now, arrival, log);
        }
        self.retry_join(now, log);
        self.fetcher.on_deadline(now, &mut self.random);
        self.check_pushes(now, log);
        self.go_on(now, log);
        self.ack_when_idle(now, log);
    }

    /// The bus connected: what went wrong while it was gone says nothing of the master.
    pub fn on_bus_up(&mut self, now: Moment, max_payload: usize) {
        self.bus_is_up = true;
        self.max_payload = max_payload;
        self.fetcher.clear();
        if let Some(attempt) = self.state.attempt_mut() {
            attempt.backoff.reset();
            attempt.retry_at = now;
        }
        if let State::Joined(session) = &mut self.state {
            session.check_at = Some(now);
        }
    }

    /// The bus lost its connection. What is sent meanwhile is lost, and asked for or said again.
    pub const fn on_bus_down(&mut self) {
        self.bus_is_up = false;
    }

    /// Whether the bus is connected.
    pub const fn bus_is_up(&self) -> bool {
        self.bus_is_up
    }

    /// Bytes of a page of the log that a master reads.
    fn page_bytes(&self) -> usize {
        self.settings.page_bytes.min(self.max_payload.saturating_sub(ENVELOPE_OVERHEAD_BYTES))
    }

    /// How many marks one envelope tells of.
    fn outline_marks(&self) -> usize {
        outline_marks(self.settings.outline_marks, self.max_payload)
    }

    /// The log that this node follows; none while it is blank.
    pub const fn log_id(&self) -> Option<LogId> {
        self.identity.log_id
    }

    /// The faults that are injected.
    pub const fn faults(&self) -> Faults {
        self.faults.faults()
    }

    /// Injects these faults from now on.
    pub fn set_faults(&mut self, now: Moment, faults: Faults) {
        self.faults.set(faults);
        if let State::Joined(session) = &mut self.state {
            // What waited may come sooner now, so what is missing is missed sooner, too.
            session.last_arrival = session.last_arrival.min(now.plus(faults.delay));
            session.check_at = Some(now.plus(PUSH_QUIET));
        }
    }

    /// The master that this node follows and has heard of late.
    pub fn hears(&self, now: Moment) -> Option<&NodeName> {
        let silence = self.settings.heartbeat_interval * UNHEALTHY_AFTER_INTERVALS;
        self.master.as_ref().filter(|heard| now.since(heard.at) < silence).map(|heard| &heard.node)
    }

    /// This node, to one that speaks `version`.
    fn sender(&self, version: u8) -> wire::Sender {
        let Settings { name, incarnation, .. } = &self.settings;
        wire::Sender {
            v: version.min(wire::VERSION),
            log_id: self.identity.log_id,
            node: name.clone(),
            incarnation: *incarnation,
        }
    }

    /// Changes what must not be forgotten, and has it saved before anything that follows from it.
    fn remember(&mut self, change: impl FnOnce(&mut Identity)) {
        let before = self.identity.clone();
        change(&mut self.identity);
        if self.identity != before {
            self.effects.push(Effect::Save(self.identity.clone()));
        }
    }

    fn next_request(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }
}

#[cfg(test)]
mod tests;
