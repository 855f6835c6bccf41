//! Between a start and the first epoch: ask, then lead on, begin a new log, or be promoted.
//!
//! The states: docs/RECOVERY.md, section 2. The rules of a start: docs/RECOVERY.md, section 9. Those of a promotion:
//! docs/RECOVERY.md, section 10.
//!
//! | file | holds |
//! | --- | --- |
//! | `asking` | what was asked, which answers are taken, how long silence is waited for |
//! | `decision` | what to do with what was heard, as a function |
//! | `promotion` | promise, choose, fetch, open |
//! | `choice` | whose log wins, and what the others must give up |
//! | `fold` | the next epoch of the own reign, and which mark it replaces |
//! | `report` | what a promotion would do, for a dry run |

mod asking;
mod choice;
mod decision;
mod fold;
mod promotion;
mod report;

use std::{collections::BTreeMap, time::Duration};

use replog_shared::{
    Epoch, Incarnation, LogId, MarkKind, Moment, NodeName, Order, Outline, Place, outline,
    store::{LogView, LookAhead},
    wire,
};

use super::{
    Effect, MasterCore, Phase, Progress,
    events::{Interruption, NotLeading, Notice},
    mutant::{self, Mutant},
    reasons::{Aftermath, Reason, WaitsFor},
};
use asking::Asking;
use decision::{Decision, Situation};
use fold::before_fold;
use promotion::Promotion;

pub use decision::StartTerms;

/// How often the others are asked again while some are silent.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a start listens, at most, for a process of its own name that the others may hear: it answers as they do, and
/// says that it is alive once an interval.
const LISTEN: Duration = Duration::from_millis(500);

/// A start on its way to an epoch.
#[derive(Debug)]
pub(super) struct Recovery {
    step: Step,
    /// Of the promotion: promises and pages that were asked for before are not for this attempt.
    request: u64,
    asking: Asking,
    /// Until then appends are held; later ones are refused until this node leads.
    hold_until: Moment,
    tick_at: Moment,
    states: BTreeMap<NodeName, wire::State>,
    last_notice: Option<Reason>,
}

#[derive(Debug)]
enum Step {
    /// What do you hold?
    Asking,
    /// Being promoted.
    Promoting(Box<Promotion>),
}

impl Recovery {
    pub(super) fn new(now: Moment, wait: Duration, request: u64) -> Recovery {
        Recovery {
            step: Step::Asking,
            request,
            asking: Asking::default(),
            hold_until: now.plus(wait),
            tick_at: now,
            states: BTreeMap::new(),
            last_notice: None,
        }
    }

    /// Silence means nothing any more.
    pub(super) fn on_bus_down(&mut self) {
        self.asking.on_bus_down();
    }

    /// An own question has come back.
    pub(super) fn on_echo(&mut self, now: Moment, request: u64) {
        self.asking.on_echo(now, request);
    }

    /// A tick came so late: this node stood still, stopped or starved, and nobody's silence counts meanwhile. What
    /// others said in that time may not even be read yet.
    fn excuse(&mut self, late: Duration) {
        if late < ASK_INTERVAL {
            return;
        }
        self.asking.excuse(late);
        if let Step::Promoting(promotion) = &mut self.step {
            promotion.excuse(late);
        }
    }

    pub(super) const fn next_deadline(&self) -> Moment {
        self.tick_at
    }

    /// Appends are held only while the start is young.
    pub(super) fn holds_appends(&self) -> bool {
        self.tick_at <= self.hold_until
    }

    pub(super) fn waits_for(&self, others: &[NodeName], bus_is_up: bool) -> WaitsFor {
        if !bus_is_up && !others.is_empty() {
            return WaitsFor::Bus;
        }
        if let Some(reason) = &self.last_notice {
            return WaitsFor::Change(reason.clone());
        }
        let silent: Vec<NodeName> =
            others.iter().filter(|node| !self.states.contains_key(node)).cloned().collect();
        if silent.is_empty() { WaitsFor::Comparison } else { WaitsFor::Answers(silent) }
    }
}

impl MasterCore {
    /// From now on the others can hear this node: they are asked at once, and have all the time that a start gives
    /// them.
    pub(super) fn on_recovery_bus_up(&mut self, now: Moment) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        recovery.asking.start_over(now);
        if matches!(recovery.step, Step::Asking) && !self.settings.secondaries.is_empty() {
            self.ask(now);
        }
    }

    /// Asks everybody, and plans when to look again.
    fn ask(&mut self, now: Moment) {
        let (sender, request) = (self.sender(&self.settings.name), self.random.u64(..));
        let (wait, listen) = (self.settings.recovery_wait, self.settings.heartbeat_interval.min(LISTEN));
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        recovery.tick_at = now.plus(ASK_INTERVAL);
        if self.bus_is_up {
            recovery.asking.ask(now, request);
            let next = recovery.asking.next_look(now, [recovery.asking.wait(wait), listen]);
            recovery.tick_at = next.map_or(recovery.tick_at, |next| next.min(recovery.tick_at));
            self.effect(Effect::Ask(wire::Ask::new(sender, request)));
        }
    }

    pub(super) fn on_recovery_tick(&mut self, now: Moment, log: &dyn LogView) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        if now < recovery.tick_at {
            return;
        }
        recovery.excuse(now.since(recovery.tick_at));
        match &recovery.step {
            Step::Asking => {
                self.ask(now);
                self.decide(now, log);
            }
            Step::Promoting(_) => {
                recovery.tick_at = now.plus(ASK_INTERVAL);
                self.on_promotion_tick(now, log);
            }
        }
        self.refuse_held(now);
    }

    /// Refuses the appends that were held, once this start has taken too long.
    fn refuse_held(&mut self, now: Moment) {
        let too_long = matches!(&self.phase, Phase::Recovering(recovery) if now > recovery.hold_until);
        while too_long && let Some((wait, _)) = self.held.pop() {
            self.refuse_while_not_leading(wait);
        }
    }

    /// Begins anew, with a new request and with all the time that a start has: what was answered before may
    /// be true no longer.
    fn start_over(&mut self, now: Moment, reason: Reason) {
        self.waiting(reason);
        let (wait, request) = (self.settings.recovery_wait, self.random.u64(..));
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        let (hold_until, last_notice) = (recovery.hold_until, recovery.last_notice.take());
        let (tick_at, mut asking) = (now.plus(ASK_INTERVAL), std::mem::take(&mut recovery.asking));
        asking.start_over(now);
        **recovery =
            Recovery { hold_until, last_notice, tick_at, asking, ..Recovery::new(now, wait, request) };
    }

    /// Tells the operator what the start waits for, once.
    fn waiting(&mut self, reason: Reason) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        if recovery.last_notice.as_ref() != Some(&reason) {
            recovery.last_notice = Some(reason.clone());
            self.notice(Notice::Waiting { reason });
        }
    }

    /// A node tells what it holds, or promises.
    pub fn on_state(&mut self, now: Moment, state: wire::State, log: &dyn LogView) {
        if state.sender.node == self.settings.name && state.sender.incarnation != self.settings.incarnation {
            self.double = Some(now);
        }
        if !self.settings.secondaries.contains(&state.sender.node) || self.is_outdated(&state.sender) {
            return;
        }
        if matches!(self.phase, Phase::Leading(_)) {
            return self.on_state_while_leading(&state);
        }
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        match &mut recovery.step {
            Step::Asking if recovery.asking.on_answer(now, &state) => {
                keep_higher(&mut recovery.states, state);
                self.note_wait();
                self.decide(now, log);
            }
            Step::Promoting(_) if state.request == recovery.request => self.on_promised(now, state, log),
            _ => {}
        }
    }

    /// Tells the operator, once, that the wait is shorter than what it waits for.
    pub(super) fn note_wait(&mut self) {
        let configured = self.settings.recovery_wait;
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        let wait = recovery.asking.wait(configured);
        if wait > configured && !std::mem::replace(&mut self.wait_is_told, true) {
            self.notice(Notice::WaitRaised { configured, wait });
        }
    }

    /// Does what the situation asks for.
    fn decide(&mut self, now: Moment, log: &dyn LogView) {
        let own = self.own_state(now, log);
        let Phase::Recovering(recovery) = &self.phase else { return };
        let situation = Situation {
            own: &own,
            others: &recovery.states,
            configured: &self.settings.secondaries,
            waits: recovery.asking.waits(now, self.settings.recovery_wait),
            listened: recovery.asking.silent_for(now) >= Some(self.settings.heartbeat_interval.min(LISTEN)),
            terms: self.settings.start,
            rival: self.rival(now).filter(|rival| **rival != self.settings.name),
            double: self.hears_double(now),
            cleaning: self.identity.cleaning.as_ref(),
            within_batch: log.tip().batch.is_some(),
        };
        let decision = situation.decide();
        if self.settings.start.dry_run && decision != Decision::Listen {
            let report = Box::new(situation.report());
            return self.stop_leading(NotLeading::DryRun { report });
        }
        match decision {
            Decision::Listen => {}
            Decision::Wait(reason) => self.start_over(now, reason),
            Decision::Begin { reign } => self.begin(now, reign, log),
            // This node has all that it ever acknowledged.
            Decision::Lead { reign, start } => self.lead_on(now, self.epoch_of(reign, start), log),
            Decision::FinishClean { reign, start } => {
                self.empty_log(now, self.epoch_of(reign, start), log);
            }
            Decision::Promote { log_id, ask, reign, required, counts_itself } => {
                let epoch = self.epoch_of(reign, 0);
                let promotion = Promotion::new(now, epoch, ask, required, counts_itself);
                self.promote(log_id, promotion);
            }
            Decision::Fenced(by) => self.fenced(by),
            Decision::GiveUp(reason) => {
                let aftermath = Aftermath::NothingChanged;
                self.stop_leading(NotLeading::NotPromoted { reason, aftermath });
            }
        }
    }

    fn epoch_of(&self, reign: u32, start: u32) -> Epoch {
        let (mut owner, mut incarnation) = (self.settings.name.clone(), self.settings.incarnation);
        if mutant::is(Mutant::OwnerNotInEpoch) || mutant::is(Mutant::ProcessNotInEpoch) {
            incarnation = Incarnation::from_random(0);
        }
        if mutant::is(Mutant::OwnerNotInEpoch) {
            owner = self.settings.secondaries.iter().min().cloned().unwrap_or(owner.clone()).min(owner);
        }
        Epoch { reign, owner, start, incarnation }
    }

    /// Begins a new log.
    fn begin(&mut self, now: Moment, reign: u32, log: &dyn LogView) {
        let mut log_id = self.fresh_log_id();
        if let Phase::Recovering(recovery) = &self.phase
            && mutant::is(Mutant::EmptyMasterLeads)
        {
            let known = recovery.states.values().find_map(|state| state.sender.log_id);
            log_id = known.unwrap_or(log_id);
        }
        let epoch = self.epoch_of(reign, 0);
        // In one write: a start that died between two would leave a node that waits to be told that it is whole, by
        // others that hold nothing. A log whose takeover had begun is nobody's any more.
        self.remember(|identity| {
            identity.log_id = Some(log_id);
            identity.fence = Some(epoch.clone());
            identity.whole = !mutant::is(Mutant::NewLogIsNotWhole);
        });
        self.note_silent();
        self.notice(Notice::NewLog { silent: self.silent.clone() });
        self.open(now, epoch, MarkKind::Start, Vec::new(), log.tip());
    }

    /// Notes who did not answer before this node leads: such a node may hold another log.
    pub(super) fn note_silent(&mut self) {
        let Phase::Recovering(recovery) = &self.phase else { return };
        let silent = self.settings.secondaries.iter().filter(|node| !recovery.states.contains_key(node));
        self.silent = silent.cloned().collect();
    }

    /// Whether the log in which this node leads gives way to that of a node which asks to join: it has nothing in
    /// it, and began, or went on, while that node was silent.
    pub(super) fn gives_way_to(&self, join: &wire::Join, log: &dyn LogView) -> bool {
        let foreign = join.sender.log_id.is_some() && join.sender.log_id != self.identity.log_id;
        if !foreign || !self.silent.contains(&join.sender.node) || log.tip().place.length != Order::ZERO {
            return false;
        }
        let shared = self.progress.iter().any(|progress| progress.admitted.is_some());
        Outline::of(log.marks(), log.tip().place, usize::MAX).is_bare()
            && (!join.outline.is_bare() || !shared)
    }

    /// Leads no more, and asks all what they hold, as after a start.
    pub(super) fn give_way(&mut self, now: Moment, join: &wire::Join) {
        let (node, log_id) = (join.sender.node.clone(), join.sender.log_id);
        self.notice(Notice::GivesWay { node: node.clone(), log_id });
        let (waits_for, outdated) = (WaitsFor::LogOf(node), self.outdated_nodes());
        self.interrupt_all(&Interruption::NotLeading(NotLeading::Recovering { waits_for, outdated }));
        self.progress.iter_mut().for_each(Progress::reset);
        let wait = self.settings.recovery_wait;
        let recovery = Recovery::new(now, wait, self.random.u64(..));
        self.phase = Phase::Recovering(Box::new(recovery));
        if self.bus_is_up {
            self.on_recovery_bus_up(now);
        }
    }

    /// What the next step of a start may look at, once `state` has come, too: the end of the log, which it may give up, and
    /// where it parts from the logs of others.
    pub(super) fn look_ahead_cuts(&self, state: Option<&wire::State>, log: &LookAhead<'_>) {
        let Phase::Recovering(recovery) = &self.phase else { return };
        let tip = log.tip();
        before_fold(log.marks(), tip.place).into_iter().for_each(|place| log.cut(place));
        tip.batch.into_iter().for_each(|batch| log.cut(Place::new(batch, tip.place.marks)));
        if let Step::Promoting(promotion) = &recovery.step {
            let own = Outline::of(log.marks(), tip.place, usize::MAX);
            let others = promotion.promised().chain(state);
            let forks = others.filter_map(|other| outline::fork(&own, &other.outline));
            forks.filter(|fork| *fork != tip.place).for_each(|fork| log.cut(fork));
        }
    }

    fn fresh_log_id(&mut self) -> LogId {
        LogId::from_random(self.random.u128(..))
    }

    /// What this node itself holds, with all its marks.
    fn own_state(&self, now: Moment, log: &dyn LogView) -> wire::State {
        let sender = self.sender(&self.settings.name);
        wire::State::of(sender, 0, None, &self.identity, log, self.hears(now), usize::MAX)
    }

    /// What this node tells another one that it holds.
    pub(super) fn told_state(
        &self,
        version: u8,
        request: u64,
        promised: Option<Epoch>,
        now: Moment,
        log: &dyn LogView,
    ) -> wire::State {
        let sender = wire::Sender { v: version, ..self.sender(&self.settings.name) };
        let most = self.outline_marks();
        wire::State::of(sender, request, promised, &self.identity, log, self.hears(now), most)
    }

    fn hears(&self, now: Moment) -> Option<NodeName> {
        let leading = matches!(self.phase, Phase::Leading(_));
        if leading { Some(&self.settings.name) } else { self.rival(now) }.cloned()
    }

    /// Once this node leads: takes up the next append that was held; false when none is left.
    pub fn on_leading(&mut self, now: Moment, log: &dyn LogView) -> bool {
        let more = matches!(self.phase, Phase::Leading(_)) && !self.held.is_empty();
        if more {
            self.take_up_held(now, log);
        }
        more
    }

    /// Whether everything of the epoch may leave: its mark is durable here.
    pub(super) fn mark_is_durable(&self, log: &dyn LogView) -> bool {
        let durable: Place = log.durable();
        durable.marks == log.tip().place.marks
    }
}

/// Of two processes with one name the higher rank is believed, once.
fn keep_higher(states: &mut BTreeMap<NodeName, wire::State>, state: wire::State) {
    let other_process = |known: &wire::State| known.sender.incarnation != state.sender.incarnation;
    let known = states.get(&state.sender.node);
    if known.is_some_and(|known| other_process(known) && known.rank() > state.rank()) {
        return;
    }
    states.insert(state.sender.node.clone(), state);
}
