//! The master's decisions, without IO: events in with `now`, effects out.
//!
//! The node calls `on_<event>`, executes what [`MasterCore::take_effects`] gives, in order and before the next
//! event, and calls [`MasterCore::on_burst_end`] when no event is left: then pending writes are released and
//! entries are pushed. [`MasterCore::next_deadline`] tells when [`MasterCore::on_deadline`] is due.
//!
//! | file | decides |
//! | --- | --- |
//! | [`events`], [`reasons`] | (the words in which callers and the core speak) |
//! | `appends`, `held_appends` | order, identity, what is refused, what waits for this node to lead |
//! | `pending_writes` | who waits for which w |
//! | `progress`, `secondaries` | who holds what; what is pushed, when again |
//! | `recovery` | what happens between a start and the first epoch |
//! | `promise` | what another master is told, and what ends this one's reign |
//! | `health` | what silence means |
//! | `versions` | which nodes are too old to take part |
//! | `look_ahead` | (what an event will look at of the log) |
//! | `packets`, `driven` | (between packets, the driver and the core's words) |
//! | `checks` | (what is asserted after each event) |
//!
//! Invariants: an order is given once in an epoch; an entry leaves only when it is durable here; an ack
//! counts only from an admitted process in this epoch, with this log's digest; nodes are counted, never acks.

mod appends;
mod checks;
mod driven;
pub mod events;
mod health;
mod held_appends;
mod look_ahead;
#[doc(hidden)]
pub mod mutant;
mod packets;
mod pending_writes;
mod progress;
mod promise;
pub mod reasons;
mod recovery;
mod secondaries;
mod strangers;
mod versions;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use replog_shared::{
    Epoch, Identity, Incarnation, Lines, LogId, Mark, MarkKind, Moment, NodeName, Order, Place, WallTime,
    limits::{
        DEFAULT_MAX_PAYLOAD_BYTES, ENVELOPE_OVERHEAD_BYTES, SUSPECTED_AFTER_INTERVALS,
        UNHEALTHY_AFTER_INTERVALS, outline_marks,
    },
    lines::Tip,
    store::{Cut, LogView, Span},
    wire,
};

use crate::read_answer::ReadAnswer;

use events::{Append, Interruption, NotLeading, Notice, WaitId, WriteOutcome, Written};
use held_appends::HeldAppends;
use mutant::Mutant;
use pending_writes::PendingWrites;
use progress::Progress;
use recovery::Recovery;
use strangers::Strangers;

pub use driven::{Answer, Event, Over};
pub use health::Health;
pub use packets::{Packet, Refused, Translator};
pub use progress::{PushLimits, Stage};
pub use recovery::StartTerms;
pub use secondaries::{AckOutcome, SecondaryView};

/// What a core is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node's name.
    pub name: NodeName,
    /// The configured secondaries: with this node they are the n nodes that w counts.
    pub secondaries: Vec<NodeName>,
    /// This process.
    pub incarnation: Incarnation,
    /// Between two heartbeats.
    pub heartbeat_interval: Duration,
    /// How long a start asks the others before it decides without those that keep silent.
    pub recovery_wait: Duration,
    /// Whether appends are refused while no majority of the n nodes is healthy.
    pub read_only_without_majority: bool,
    /// What the operator asked of this start.
    pub start: StartTerms,
    /// How much is pushed at one secondary.
    pub push: PushLimits,
    /// Where this node takes appends over HTTP, for secondaries to tell their clients; none: not told.
    pub http: Option<String>,
    /// How many marks one envelope tells of, see [`replog_shared::limits::OUTLINE_MARKS`].
    pub outline_marks: usize,
}

/// What the node is to do. To be executed in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Save this before anything else is done.
    Save(Identity),
    /// Append a run to the log.
    Append(Lines),
    /// Cut the log behind a place, and keep or drop what is cut.
    Truncate(Place, Cut),
    /// A caller's wait is over.
    Answer {
        /// Whose.
        wait: WaitId,
        /// How it ended.
        outcome: WriteOutcome,
    },
    /// Send lines of the log to a secondary.
    Entries {
        /// Its place in the configuration.
        secondary: usize,
        /// Which lines.
        push: Span,
        /// The fetch that is answered, and where to; none: pushed.
        answer: Option<(u64, String)>,
    },
    /// Answer a join.
    JoinAnswer {
        /// Where to.
        reply: String,
        /// With what.
        answer: Box<wire::JoinAnswer>,
    },
    /// Tell all that this master is alive.
    Heartbeat(wire::Heartbeat),
    /// Ask all nodes what they hold.
    Ask(wire::Ask),
    /// Ask a node to promise an epoch.
    Promise(NodeName, wire::Promise),
    /// Ask a node for a range of its log.
    Read(NodeName, wire::Read),
    /// Answer another master's ask or promise.
    State {
        /// Where the answer goes.
        reply: String,
        /// The answer.
        state: Box<wire::State>,
    },
    /// Answer another master's read with a page of the log.
    ReadAnswer(ReadAnswer),
    /// Tell the operator.
    Notice(Notice),
}

/// What the master is about.
#[derive(Debug)]
enum Phase {
    /// Started, and finding out what the others hold.
    Recovering(Box<Recovery>),
    /// Taking appends.
    Leading(Epoch),
    /// Taking none any more.
    Stopped(NotLeading),
}

/// The master's core.
#[derive(Debug)]
pub struct MasterCore {
    settings: Settings,
    identity: Identity,
    phase: Phase,
    /// In the order of the configuration.
    progress: Vec<Progress>,
    pending: PendingWrites,
    /// Appends that arrived before this node leads.
    held: HeldAppends,
    /// Another master of this log's name, and when it was last heard.
    rival: Option<(NodeName, Moment)>,
    /// When a master of another log of this name was last heard.
    rival_log: Option<Moment>,
    /// When another process of this node's name was last heard itself.
    double: Option<Moment>,
    /// The operator was told that a start waits longer than was configured.
    wait_is_told: bool,
    /// The nodes that had not answered when this one began to lead: what they hold may be another log.
    silent: Vec<NodeName>,
    strangers: Strangers,
    /// The question whether a higher epoch is known, and until when it is not asked again.
    inquiry: Option<(u64, Moment)>,
    heartbeat_at: Moment,
    /// The time of day, as the node last told it.
    wall: WallTime,
    /// Secondaries that speak an older version, and which.
    outdated: BTreeMap<NodeName, u8>,
    /// When the nodes that have not joined are asked whether they speak an older version.
    call_at: Moment,
    bus_is_up: bool,
    max_payload: usize,
    random: fastrand::Rng,
    effects: Vec<Effect>,
}

impl MasterCore {
    /// A core that has just started. `identity` is what the node had saved; the default for a blank one, which
    /// has no log. `seed` feeds jitter and ids.
    pub fn new(settings: Settings, identity: Identity, now: Moment, seed: u64) -> MasterCore {
        let mut random = fastrand::Rng::with_seed(seed);
        let nodes = settings.secondaries.len() + 1;
        let recovery = Recovery::new(now, settings.recovery_wait, random.u64(..));
        MasterCore {
            identity,
            phase: Phase::Recovering(Box::new(recovery)),
            progress: settings.secondaries.iter().map(|_| Progress::new()).collect(),
            pending: PendingWrites::new(nodes),
            held: HeldAppends::default(),
            rival: None,
            rival_log: None,
            double: None,
            wait_is_told: false,
            silent: Vec::new(),
            strangers: Strangers::default(),
            inquiry: None,
            heartbeat_at: now,
            wall: WallTime::default(),
            outdated: BTreeMap::new(),
            call_at: now,
            bus_is_up: false,
            max_payload: DEFAULT_MAX_PAYLOAD_BYTES,
            random,
            effects: Vec::new(),
            settings,
        }
    }

    /// What is to be done, oldest first.
    pub fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.effects);
    }

    /// The time of day. It is what entries say of when they were appended, and decides nothing.
    pub const fn on_wall_clock(&mut self, wall: WallTime) {
        self.wall = wall;
    }

    /// The bus connected, and takes payloads of at most `max_payload` bytes.
    pub fn on_bus_up(&mut self, now: Moment, max_payload: usize) {
        self.bus_is_up = true;
        self.max_payload = max_payload;
        self.heartbeat_at = now;
        self.progress.iter_mut().for_each(Progress::on_bus_up);
        self.on_recovery_bus_up(now);
    }

    /// The bus lost its connection: nothing is sent until it is back.
    pub fn on_bus_down(&mut self) {
        self.bus_is_up = false;
        if let Phase::Recovering(recovery) = &mut self.phase {
            recovery.on_bus_down();
        }
    }

    /// A master says that it is alive: this one, or another that leads a log of the same name.
    pub fn on_heartbeat(&mut self, now: Moment, heartbeat: &wire::Heartbeat) {
        if heartbeat.sender.incarnation == self.settings.incarnation {
            return;
        }
        if self.epoch().is_some_and(|own| heartbeat.epoch > *own)
            && heartbeat.sender.log_id == self.identity.log_id
        {
            self.inquire(now);
        }
        let node = heartbeat.sender.node.clone();
        let known = self.rival(now) == Some(&node);
        if !known && matches!(self.phase, Phase::Leading(_)) {
            self.notice(Notice::Rival { node: node.clone() });
        }
        if node == self.settings.name {
            self.double = Some(now);
        }
        self.rival = Some((node, now));
        if heartbeat.sender.log_id.is_some_and(|other| self.identity.log_id != Some(other)) {
            self.rival_log = Some(now);
        }
    }

    /// Another master of this log's name that was heard of late.
    pub fn rival(&self, now: Moment) -> Option<&NodeName> {
        self.rival.as_ref().filter(|(_, heard)| self.is_recent(now, *heard)).map(|(node, _)| node)
    }

    /// Whether a master of another log of this name was heard of late: who knows only the name cannot tell the two
    /// logs apart.
    pub fn rival_log(&self, now: Moment) -> bool {
        self.rival_log.is_some_and(|heard| self.is_recent(now, heard))
    }

    /// Whether another process of this node's name, over a copy of its directory, was heard recently. Not its own
    /// predecessor: that fell silent before this one could hear it.
    fn hears_double(&self, now: Moment) -> bool {
        let silence = self.settings.heartbeat_interval * SUSPECTED_AFTER_INTERVALS;
        self.double.is_some_and(|heard| now.since(heard) < silence)
    }

    fn is_recent(&self, now: Moment, heard: Moment) -> bool {
        now.since(heard) < self.settings.heartbeat_interval * UNHEALTHY_AFTER_INTERVALS
    }

    /// The time that [`Self::next_deadline`] told has come.
    pub fn on_deadline(&mut self, now: Moment, log: &dyn LogView) {
        // What is met by now is met, however late this node looks at the clock.
        self.release(now, log);
        self.answer_expired(now, log);
        match self.phase {
            Phase::Recovering(_) => {
                self.refuse_expired(now);
                self.on_recovery_tick(now, log);
            }
            Phase::Leading(_) if now >= self.heartbeat_at => self.heartbeat(now, log),
            _ => {}
        }
    }

    /// The same while the log cannot be looked at yet, as [`MasterCore::look_ahead_deadline`] tells: the start does not
    /// take its next step, and callers whose time is over are told.
    pub fn on_deadline_without_log(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Recovering(_)) {
            self.refuse_expired(now);
        }
    }

    /// No event is left for the moment: releases what is met and pushes what is durable.
    pub fn on_burst_end(&mut self, now: Moment, log: &dyn LogView) {
        if matches!(self.phase, Phase::Leading(_)) {
            self.note_whole(log);
            self.release(now, log);
            self.push_all(now, log);
        }
        self.read_on_behind_disk(now, log);
    }

    /// A node that has opened an epoch, and holds its mark, holds all of the log (docs/RECOVERY.md, section 8).
    fn note_whole(&mut self, log: &dyn LogView) {
        if !self.identity.whole && self.mark_is_durable(log) {
            self.remember(|identity| {
                identity.whole = true;
                identity.cleaning = None;
            });
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

    /// A caller hung up. The entry lives on.
    pub fn on_hang_up(&mut self, wait: WaitId) {
        self.pending.remove(wait);
        self.held.remove(wait);
    }

    /// The node stops: every caller that waits is told. What is not durable by now is not in the log for sure: nobody
    /// answers for it, so the node is to make its log durable before.
    pub fn on_stop(&mut self, now: Moment, log: &dyn LogView) {
        self.release(now, log);
        if !mutant::is(Mutant::AnswersBeforeSeal) {
            self.pending.forget_beyond(self.held_here(log));
        }
        self.stop_leading(NotLeading::Stopping);
    }

    /// When [`Self::on_deadline`] is due; none: never, unless an event comes.
    pub fn next_deadline(&self) -> Option<Moment> {
        let phase = match &self.phase {
            Phase::Recovering(recovery) => {
                Some(recovery.next_deadline()).into_iter().chain(self.held.next_deadline()).min()
            }
            Phase::Leading(_) => {
                let retries = self.progress.iter().filter_map(Progress::retry_at).filter(|_| self.bus_is_up);
                retries.chain([self.heartbeat_at]).min()
            }
            Phase::Stopped(_) => None,
        };
        phase.into_iter().chain(self.pending.next_deadline()).min()
    }

    /// The epoch in which this node leads; none while it does not.
    pub const fn epoch(&self) -> Option<&Epoch> {
        match &self.phase {
            Phase::Leading(epoch) => Some(epoch),
            _ => None,
        }
    }

    /// Whether this node leads and its epoch's mark is durable: what its log held before that is shown by then.
    pub fn reigns(&self, log: &dyn LogView) -> bool {
        self.epoch().is_some() && self.mark_is_durable(log)
    }

    /// Why this node takes no appends; none while it leads.
    pub fn not_leading(&self) -> Option<NotLeading> {
        match &self.phase {
            Phase::Recovering(recovery) => {
                let waits_for = recovery.waits_for(&self.settings.secondaries, self.bus_is_up);
                Some(NotLeading::Recovering { waits_for, outdated: self.outdated_nodes() })
            }
            Phase::Leading(_) => None,
            Phase::Stopped(why) => Some(why.clone()),
        }
    }

    /// Whether the bus is connected.
    pub const fn bus_is_up(&self) -> bool {
        self.bus_is_up
    }

    /// The log; none before the first one is begun or adopted.
    pub const fn log_id(&self) -> Option<LogId> {
        self.identity.log_id
    }

    /// How many callers wait.
    pub fn pending_writes(&self) -> usize {
        self.pending.len()
    }

    /// How many appends wait for this node to lead, and the bytes of their messages and ids.
    pub fn held_appends(&self) -> (usize, usize) {
        (self.held.len(), self.held.bytes())
    }

    /// The most bytes that an entry's line may have here.
    pub const fn max_line_bytes(&self) -> usize {
        self.max_payload.saturating_sub(ENVELOPE_OVERHEAD_BYTES)
    }

    /// How many marks one envelope tells of.
    fn outline_marks(&self) -> usize {
        outline_marks(self.settings.outline_marks, self.max_payload)
    }

    /// Bytes of a page of the log that another master reads.
    pub fn page_bytes(&self) -> usize {
        self.push_limits().envelope_bytes
    }

    /// The limits of a push, within what the bus takes.
    fn push_limits(&self) -> PushLimits {
        let PushLimits { envelope_bytes, .. } = self.settings.push;
        PushLimits { envelope_bytes: envelope_bytes.min(self.max_line_bytes()), ..self.settings.push }
    }

    /// Configured nodes, this one included.
    pub fn nodes(&self) -> usize {
        self.settings.secondaries.len() + 1
    }

    fn sender(&self, node: &NodeName) -> wire::Sender {
        let incarnation = self.settings.incarnation;
        wire::Sender { v: wire::VERSION, log_id: self.identity.log_id, node: node.clone(), incarnation }
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn notice(&mut self, notice: Notice) {
        self.effect(Effect::Notice(notice));
    }

    fn answer(&mut self, wait: WaitId, outcome: WriteOutcome) {
        self.effect(Effect::Answer { wait, outcome });
    }

    /// Opens an epoch with its mark, at `tip`, and leads in it. Nothing of it leaves before the mark is durable.
    fn open(&mut self, now: Moment, epoch: Epoch, kind: MarkKind, reached: Vec<NodeName>, tip: &Tip) {
        let mut members = vec![self.settings.name.clone()];
        members.extend(self.settings.secondaries.iter().cloned());
        self.remember(|identity| identity.fence = Some(epoch.clone()));
        let mark = Mark { epoch: epoch.clone(), kind, reached, members, first: Order::ZERO };
        self.effect(Effect::Append(Lines::of_mark(mark, tip)));
        let (log_id, length) = (self.identity.log_id, tip.place.length);
        self.notice(Notice::Leading { epoch: epoch.number(), log_id, length });
        self.phase = Phase::Leading(epoch);
        self.heartbeat_at = now;
        self.progress.iter_mut().for_each(Progress::reset);
    }

    fn stop_leading(&mut self, why: NotLeading) {
        let by = match &why {
            NotLeading::Stopping => Interruption::Stopping,
            other => Interruption::NotLeading(other.clone()),
        };
        self.interrupt_all(&by);
        while let Some((wait, _)) = self.held.pop() {
            self.refuse_not_leading(wait, why.clone());
        }
        self.notice(Notice::Stopped(why.clone()));
        self.progress.iter_mut().for_each(Progress::reset);
        self.phase = Phase::Stopped(why);
    }

    fn interrupt_all(&mut self, by: &Interruption) {
        while let Some((wait, written)) = self.pending.take_any() {
            self.answer(wait, WriteOutcome::Interrupted { written, by: by.clone() });
        }
    }

    /// Empties the log: a new epoch of the same log that begins with nothing. The caller waits until w nodes
    /// hold its mark, or that of a later clean.
    pub fn on_clean(&mut self, now: Moment, wait: WaitId, append: Append, log: &dyn LogView) {
        self.release(now, log);
        let Phase::Leading(epoch) = &self.phase else {
            return self.refuse_while_not_leading(wait);
        };
        let mut epoch = Epoch { start: epoch.start.saturating_add(1), ..epoch.clone() };
        if mutant::is(Mutant::CleanInPlace) {
            epoch.start -= 1;
        }
        if mutant::is(Mutant::CleanReigns) {
            epoch.reign += 1_000;
        }
        self.empty_log(now, epoch, log);
        // After the save: until that is durable a crash leaves the log, and what these callers have written, as it was.
        for (wait, written) in self.pending.take_entries() {
            self.answer(wait, WriteOutcome::Interrupted { written, by: Interruption::Cleaned });
        }
        let (first, count, through) = (Order::ZERO, 0, Order::ZERO);
        let written = Written { first, count, through, duplicate: false, w: append.w };
        self.pending.insert(wait, written, append.deadline);
    }

    /// Replaces the log by the mark of a clean, which opens this epoch. What is to be done is saved first
    /// (docs/RECOVERY.md, section 13).
    fn empty_log(&mut self, now: Moment, epoch: Epoch, log: &dyn LogView) {
        self.remember(|identity| {
            identity.whole = false;
            identity.cleaning = Some(epoch.clone()).filter(|_| !mutant::is(Mutant::CleanForgotten));
            identity.fence = Some(epoch.clone());
        });
        if log.tip().place != Place::START {
            self.effect(Effect::Truncate(Place::START, Cut::Drop));
        }
        self.open(now, epoch, MarkKind::Clean, Vec::new(), &Tip::default());
    }
}
