//! Between a start and the first epoch: ask, adopt what the others hold, or begin a new log.
//!
//! A master without a log of its own (`--durability memory` loses it at every stop) asks all nodes before it
//! leads. If nobody holds a log it begins one. If they hold one, it promotes itself over all of them: each
//! promises the new epoch, the log of the highest rank is fetched, and a promotion's mark opens the epoch.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use replog_shared::{
    Epoch, Lines, LogId, MarkKind, Moment, NodeName, Place, lines, mark, store::LogView, wire,
};

use super::{Effect, MasterCore, Phase, events::Notice};

/// How often the others are asked again while some are silent.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a step of the promotion may stand still before the start begins anew.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// A start on its way to an epoch.
#[derive(Debug)]
pub(super) struct Recovery {
    step: Step,
    /// Answers to anything asked before are not for this attempt.
    request: u64,
    /// Until then silent nodes are waited for; none while the bus is down, when nobody can be heard.
    decide_at: Option<Moment>,
    /// Until then appends are held; later ones are refused until this node leads.
    hold_until: Moment,
    tick_at: Moment,
    states: BTreeMap<NodeName, wire::State>,
    last_notice: Option<String>,
}

#[derive(Debug)]
enum Step {
    /// What do you hold?
    Asking,
    /// Promise this epoch.
    Promising { epoch: Epoch, give_up_at: Moment },
    /// Fetching the best log.
    Fetching { epoch: Epoch, from: NodeName, end: Place, give_up_at: Moment },
}

impl Recovery {
    pub(super) fn new(now: Moment, wait: Duration, request: u64) -> Recovery {
        Recovery {
            step: Step::Asking,
            request,
            decide_at: None,
            hold_until: now.plus(wait),
            tick_at: now,
            states: BTreeMap::new(),
            last_notice: None,
        }
    }

    /// From now on the others can hear this node, and have all the time that a start gives them.
    pub(super) fn on_bus_up(&mut self, now: Moment, wait: Duration) {
        self.decide_at = Some(now.plus(wait));
    }

    /// Silence means nothing any more.
    pub(super) const fn on_bus_down(&mut self) {
        self.decide_at = None;
    }

    pub(super) const fn next_deadline(&self) -> Moment {
        self.tick_at
    }

    /// Appends are held only while the start is young.
    pub(super) fn holds_appends(&self) -> bool {
        self.tick_at <= self.hold_until
    }

    pub(super) fn waits_for(&self, secondaries: &[NodeName]) -> String {
        if self.decide_at.is_none() && !secondaries.is_empty() {
            return "it is not connected to NATS, and cannot ask the other nodes what they hold".into();
        }
        if let Some(reason) = &self.last_notice {
            return reason.clone();
        }
        let silent: Vec<&str> =
            secondaries.iter().filter(|node| !self.states.contains_key(node)).map(NodeName::as_str).collect();
        if silent.is_empty() {
            "it is comparing the other nodes' logs".into()
        } else {
            format!("no answer yet from {}", silent.join(", "))
        }
    }
}

impl MasterCore {
    pub(super) fn on_recovery_tick(&mut self, now: Moment, log: &dyn LogView) {
        let sender = self.sender(&self.config.node);
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        if now < recovery.tick_at {
            return;
        }
        recovery.tick_at = now.plus(ASK_INTERVAL);
        let request = recovery.request;
        match &recovery.step {
            Step::Asking => {
                self.effects.push(Effect::Ask(wire::Ask { sender, request }));
                self.decide(now, log);
            }
            Step::Promising { give_up_at, .. } | Step::Fetching { give_up_at, .. } if now >= *give_up_at => {
                self.start_over(
                    now,
                    "the other nodes stopped answering while their log was taken over".into(),
                );
            }
            Step::Promising { epoch, .. } => {
                let epoch = epoch.clone();
                self.ask_for_promises(&epoch, request);
            }
            Step::Fetching { .. } => self.read_on(log.tip().place),
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
    fn start_over(&mut self, now: Moment, reason: String) {
        self.waiting(reason);
        let (wait, request) = (self.config.recovery_wait, self.random.u64(..));
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        let (hold_until, last_notice) = (recovery.hold_until, recovery.last_notice.take());
        let tick_at = now.plus(ASK_INTERVAL);
        let decide_at = self.bus_is_up.then(|| now.plus(wait));
        **recovery =
            Recovery { hold_until, last_notice, tick_at, decide_at, ..Recovery::new(now, wait, request) };
        // What was fetched so far may be of a log that is not the best one any more.
        self.effect(Effect::Truncate(Place::START));
    }

    /// Tells the operator what the start waits for, once.
    fn waiting(&mut self, reason: String) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        if recovery.last_notice.as_ref() != Some(&reason) {
            recovery.last_notice = Some(reason.clone());
            self.notice(Notice::Waiting { reason });
        }
    }

    /// A node tells what it holds, or promises.
    pub fn on_state(&mut self, now: Moment, state: wire::State, log: &dyn LogView) {
        let known = self.config.secondaries.contains(&state.sender.node);
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        if !known || state.request != recovery.request {
            return;
        }
        match &recovery.step {
            Step::Asking => {
                recovery.states.insert(state.sender.node.clone(), state);
                self.decide(now, log);
            }
            Step::Promising { epoch, .. } if state.promised.as_ref() == Some(epoch) => {
                recovery.states.insert(state.sender.node.clone(), state);
                self.choose(now, log);
            }
            _ => {}
        }
    }

    /// Ends the asking, once everybody answered or the time is over.
    fn decide(&mut self, now: Moment, log: &dyn LogView) {
        let all = self.config.secondaries.len();
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        let waits = recovery.decide_at.is_none_or(|decide_at| now < decide_at);
        if recovery.states.len() < all && waits {
            return;
        }
        let hears = |(node, state): (&NodeName, &wire::State)| {
            let master = state.hears.as_ref()?;
            Some(format!("{node} hears a live master, {master}: this node leads when that one is gone"))
        };
        if let Some(reason) = recovery.states.iter().find_map(hears) {
            return self.start_over(now, reason);
        }
        if let Some(rival) = self.rival(now) {
            let reason = format!("another master, {rival}, is alive: this node leads when that one is gone");
            return self.start_over(now, reason);
        }
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        let everybody = recovery.states.len() == all;
        let mut logs: Vec<LogId> = recovery.states.values().filter_map(|state| state.sender.log_id).collect();
        logs.sort_unstable();
        logs.dedup();
        match logs[..] {
            [] if self.log_id.is_none() || everybody => self.begin(now, log),
            [] => self.waiting("the nodes whose log this node began to take over are silent".into()),
            [log_id] => self.adopt(now, log_id),
            _ => self.waiting(format!(
                "the secondaries hold {} different logs: wipe those that are not wanted",
                logs.len()
            )),
        }
    }

    /// Begins a new log.
    fn begin(&mut self, now: Moment, log: &dyn LogView) {
        // A log whose takeover had begun is nobody's any more.
        self.log_id = None;
        let epoch = Epoch {
            reign: 1,
            owner: self.config.node.clone(),
            start: 0,
            incarnation: self.config.incarnation,
        };
        if let Phase::Recovering(recovery) = &self.phase {
            let silent = self.config.secondaries.iter().filter(|node| !recovery.states.contains_key(node));
            let silent = silent.cloned().collect();
            self.notice(Notice::NewLog { silent });
        }
        self.open(now, epoch, MarkKind::Start, Vec::new(), log.tip());
    }

    /// Takes over the log that the secondaries hold: all of them must promise.
    fn adopt(&mut self, now: Moment, log_id: LogId) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        let silent: Vec<&str> = self
            .config
            .secondaries
            .iter()
            .filter(|node| !recovery.states.get(node).is_some_and(|state| state.whole))
            .map(NodeName::as_str)
            .collect();
        if !silent.is_empty() {
            let reason = format!(
                "this node is empty and the others hold log {log_id}: it takes that log over once all of them are there and whole; waiting for {}",
                silent.join(", ")
            );
            return self.waiting(reason);
        }
        let highest =
            recovery.states.values().filter_map(|state| state.fence.as_ref()).map(|fence| fence.reign).max();
        let epoch = Epoch {
            reign: highest.unwrap_or(0).saturating_add(1),
            owner: self.config.node.clone(),
            start: 0,
            incarnation: self.config.incarnation,
        };
        recovery.states.clear();
        recovery.step = Step::Promising { epoch: epoch.clone(), give_up_at: now.plus(STEP_TIMEOUT) };
        let request = recovery.request;
        self.log_id = Some(log_id);
        self.ask_for_promises(&epoch, request);
    }

    fn ask_for_promises(&mut self, epoch: &Epoch, request: u64) {
        let sender = self.sender(&self.config.node);
        let Phase::Recovering(recovery) = &self.phase else { return };
        for node in &self.config.secondaries {
            if !recovery.states.contains_key(node) {
                let promise =
                    wire::Promise { sender: sender.clone(), request, epoch: epoch.clone(), forced: false };
                self.effects.push(Effect::Promise(node.clone(), promise));
            }
        }
    }

    /// All promised: the log of the highest rank wins.
    fn choose(&mut self, now: Moment, log: &dyn LogView) {
        let all = self.config.secondaries.len();
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        let Step::Promising { epoch, .. } = &recovery.step else { return };
        if recovery.states.len() < all {
            return;
        }
        let rank =
            |state: &wire::State| (state.marks.last().map(|last| last.mark.epoch.clone()), state.length);
        let Some(best) = recovery.states.values().max_by_key(|state| rank(state)).cloned() else { return };
        if let Some(node) = unexplained(&best, recovery.states.values()) {
            let reason =
                format!("{node} holds entries that the log of {} does not explain", best.sender.node);
            return self.start_over(now, reason);
        }
        let (from, length) = (best.sender.node.clone(), best.length);
        let end = Place::new(length, best.marks.len() as u32);
        let (epoch, give_up_at) = (epoch.clone(), now.plus(STEP_TIMEOUT));
        recovery.step = Step::Fetching { epoch, from: from.clone(), end, give_up_at };
        if let Some(log_id) = self.log_id {
            self.notice(Notice::Adopting { log_id, from, length });
        }
        self.read_on(log.tip().place);
    }

    fn read_on(&mut self, place: Place) {
        let sender = self.sender(&self.config.node);
        let Phase::Recovering(recovery) = &self.phase else { return };
        let Step::Fetching { epoch, from, .. } = &recovery.step else { return };
        let read = wire::Read { sender, request: recovery.request, epoch: epoch.clone(), from: place };
        self.effects.push(Effect::Read(from.clone(), read));
    }

    /// A range of the log that is taken over.
    pub fn on_read_answer(
        &mut self,
        now: Moment,
        header: &wire::EntriesHeader,
        bytes: &Bytes,
        log: &dyn LogView,
    ) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        let request = recovery.request;
        let Step::Fetching { epoch, from, end, give_up_at, .. } = &mut recovery.step else { return };
        if header.request != Some(request) || header.sender.node != *from || header.epoch != *epoch {
            return;
        }
        let Some(unseen) = lines::unseen(bytes, header.from, log.tip()) else { return };
        let Ok(lines) = Lines::checked(unseen, log.tip()) else { return };
        if lines.is_empty() && log.tip().place != *end || lines.tip().digest != header.digest {
            return;
        }
        *give_up_at = now.plus(STEP_TIMEOUT);
        let (tip, end) = (lines.tip().clone(), *end);
        self.effect(Effect::Append(lines));
        if tip.place == end {
            self.open_promotion(now, &tip);
        } else {
            self.read_on(tip.place);
        }
    }

    fn open_promotion(&mut self, now: Moment, tip: &lines::Tip) {
        let Phase::Recovering(recovery) = &self.phase else { return };
        let Step::Fetching { epoch, .. } = &recovery.step else { return };
        let whole = recovery.states.values().filter(|state| state.whole);
        let reached = whole.map(|state| state.sender.node.clone()).collect();
        let epoch = epoch.clone();
        self.open(now, epoch, MarkKind::Promotion, reached, tip);
    }

    /// Once this node leads: takes up the next append that was held; false when none is left.
    pub fn on_leading(&mut self, now: Moment, log: &dyn LogView) -> bool {
        let more = matches!(self.phase, Phase::Leading(_)) && !self.held.is_empty();
        if more {
            self.take_up_held(now, log);
        }
        more
    }
}

/// A node whose log goes on where the best one does not explain it.
fn unexplained<'a>(best: &wire::State, states: impl Iterator<Item = &'a wire::State>) -> Option<NodeName> {
    for state in states {
        let fork = mark::fork((&best.marks, best.length), (&state.marks, state.length));
        let more = state.length > fork.length || state.marks.len() > fork.marks as usize;
        if more && !mark::explains(&best.marks, fork, &state.marks) {
            return Some(state.sender.node.clone());
        }
    }
    None
}
