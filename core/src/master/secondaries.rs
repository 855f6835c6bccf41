//! Joins, acks, fetches, pushes: who holds what.

use replog_shared::{
    Incarnation, LogId, Moment, NodeName, Order, Outline, Place,
    limits::{MAX_NAMES_TOLD, SUSPECTED_AFTER_INTERVALS},
    mark, outline,
    store::{LogView, Page, Span, after_marks, before_marks},
    wire::{self, SecondaryState, Sender, Verdict},
};

use super::{
    Effect, Health, MasterCore, Phase, Stage,
    events::{NotLeading, Notice},
    mutant::{self, Mutant},
    progress::PushTerms,
    reasons::JoinRefusal,
};

/// What became of an ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum AckOutcome {
    /// It counts.
    Counted,
    /// Genuine, but it does not count: an error, on its way to the epoch's mark, or from before its last join.
    Heard,
    /// No configured secondary.
    UnknownNode,
    /// Of another log.
    ForeignLog,
    /// Of a process that was not admitted to this epoch, while another one was.
    NotAdmitted,
    /// Nobody of this name has joined this epoch yet: at every start the acks for the epoch before still come.
    BeforeJoin,
    /// Its digest or its end does not fit this log.
    Mismatch,
    /// This node does not lead.
    NotLeading,
}

impl AckOutcome {
    /// Why it is refused, in a word for counting; none: it is not.
    pub const fn refused(self) -> Option<&'static str> {
        match self {
            AckOutcome::Counted | AckOutcome::Heard | AckOutcome::NotLeading | AckOutcome::BeforeJoin => None,
            AckOutcome::UnknownNode => Some("unknown_node"),
            AckOutcome::ForeignLog => Some("foreign_log"),
            AckOutcome::NotAdmitted => Some("stale_incarnation"),
            AckOutcome::Mismatch => Some("digest"),
        }
    }
}

/// A secondary as it is shown.
#[derive(Clone, Debug)]
pub struct SecondaryView<'a> {
    /// Its name.
    pub node: &'a NodeName,
    /// How it seems.
    pub health: Health,
    /// What is done about it.
    pub stage: Stage,
    /// It has acked `0..` this; 0 while it does not hold the epoch's mark.
    pub acked_through: Order,
    /// Envelopes that were pushed again.
    pub retries: u64,
    /// The log that it holds, where that is another one.
    pub foreign: Option<LogId>,
    /// The entry at this order is larger than what the bus takes: this secondary gets nothing behind it.
    pub too_large: Option<Order>,
}

impl MasterCore {
    /// The secondaries, in the order of the configuration.
    pub fn secondaries(&self, now: Moment) -> impl Iterator<Item = SecondaryView<'_>> {
        let interval = self.settings.heartbeat_interval;
        self.settings.secondaries.iter().zip(&self.progress).map(move |(node, progress)| SecondaryView {
            node,
            health: Health::of(progress.heard, now, interval),
            stage: progress.stage,
            acked_through: progress.acked_through().unwrap_or(Order::ZERO),
            retries: progress.retries,
            foreign: match progress.stage {
                Stage::Foreign(log_id) => Some(log_id),
                _ => None,
            },
            too_large: progress.too_large,
        })
    }

    /// Whether an entry is larger than what the bus takes, so that a secondary gets nothing from there on.
    pub fn is_held_back_by_limit(&self) -> bool {
        self.progress.iter().any(|progress| progress.too_large.is_some())
    }

    /// Nodes that ask to join and are not configured.
    pub fn strangers(&self, now: Moment) -> Vec<NodeName> {
        self.strangers.now(now)
    }

    pub(super) fn index_of(&self, node: &NodeName) -> Option<usize> {
        self.settings.secondaries.iter().position(|configured| configured == node)
    }

    /// A secondary says what it holds. Which acks count: docs/RECOVERY.md, section 5.
    pub fn on_ack(&mut self, now: Moment, ack: &wire::Ack, log: &dyn LogView) -> AckOutcome {
        let Some(index) = self.index_of(&ack.sender.node) else { return AckOutcome::UnknownNode };
        let Phase::Leading(epoch) = &self.phase else { return AckOutcome::NotLeading };
        let higher = ack.fence.as_ref().filter(|fence| *fence > epoch);
        let counts = ack.epoch.as_ref() == Some(epoch);
        if let Some(foreign) = ack.sender.log_id.filter(|id| Some(*id) != self.identity.log_id) {
            self.on_foreign(now, index, foreign);
            return AckOutcome::ForeignLog;
        }
        if self.progress[index].admitted != Some(ack.sender.incarnation) {
            if higher.is_some() {
                self.inquire(now);
            }
            let nobody = self.progress[index].admitted.is_none();
            return if nobody { AckOutcome::BeforeJoin } else { AckOutcome::NotAdmitted };
        }
        if let Some(higher) = higher {
            self.outranked(higher, &ack.sender.node);
            return AckOutcome::NotLeading;
        }
        // A node that diverged from another master's epoch says nothing of this one's log.
        let diverged = ack.state == SecondaryState::Diverged
            && ack.diverged_from.as_ref().is_none_or(|from| from == epoch);
        self.on_sign_of_life(now, index);
        if diverged {
            self.progress[index].on_diverged();
            self.stop_leading(NotLeading::Diverged { node: ack.sender.node.clone() });
            return AckOutcome::Mismatch;
        }
        let of_session = self.progress[index].is_of_session(ack.joined);
        if !counts || !of_session || ack.error.is_some() {
            return AckOutcome::Heard;
        }
        self.count(now, index, ack, log)
    }

    fn count(&mut self, now: Moment, index: usize, ack: &wire::Ack, log: &dyn LogView) -> AckOutcome {
        let durable = log.durable();
        let own = log.digest_at(Place::new(ack.through, durable.marks));
        if ack.through > durable.length || own != Some(ack.digest) {
            if self.progress[index].on_diverged() {
                let node = ack.sender.node.clone();
                self.notice(Notice::DigestMismatch { node, through: ack.through });
            }
            return AckOutcome::Mismatch;
        }
        self.progress[index].on_ack(now, ack, log, &self.settings.push);
        AckOutcome::Counted
    }

    fn on_sign_of_life(&mut self, now: Moment, index: usize) {
        let silent_after = self.settings.heartbeat_interval * SUSPECTED_AFTER_INTERVALS;
        let progress = &mut self.progress[index];
        let was_silent = progress.heard.is_none_or(|heard| now.since(heard) >= silent_after);
        progress.on_sign_of_life(now, was_silent);
    }

    fn on_foreign(&mut self, now: Moment, index: usize, log_id: LogId) {
        let progress = &mut self.progress[index];
        let other_admitted = progress.admitted.is_some();
        if !other_admitted {
            progress.heard = Some(now);
            progress.stage = Stage::Foreign(log_id);
        }
    }

    /// A secondary asks to join. `reply` is known to be its own inbox.
    pub fn on_join(&mut self, now: Moment, join: &wire::Join, reply: String, log: &dyn LogView) {
        let Phase::Leading(epoch) = &self.phase else { return };
        // Nobody asks to join below its own fence, but who has the fence of another log.
        let below_fence = join.fence.as_ref().is_some_and(|fence| fence > epoch);
        if join.epoch != *epoch || !self.mark_is_durable(log) || self.is_outdated(&join.sender) {
            return;
        }
        let Sender { node, incarnation, .. } = &join.sender;
        let known = self.index_of(node).map(|index| &self.progress[index]);
        if known.is_some_and(|progress| progress.is_late(*incarnation, join.request)) {
            return;
        }
        if self.gives_way_to(join, log) {
            return self.give_way(now, join);
        }
        if below_fence {
            return;
        }
        let own = Outline::of(log.marks(), log.durable(), usize::MAX);
        let fork = outline::fork(&own, &join.outline)
            .or(mutant::is(Mutant::UnknownForkIsTheBeginning).then_some(Place::START));
        let verdict = self.judge(now, join, fork);
        let answer = self.join_answer(join, verdict, fork, log);
        self.effect(Effect::JoinAnswer { reply, answer: Box::new(answer) });
    }

    fn judge(&mut self, now: Moment, join: &wire::Join, fork: Option<Place>) -> Verdict {
        let node = join.sender.node.clone();
        let refused =
            |core: &mut Self, reason| core.notice(Notice::JoinRefused { node: node.clone(), reason });
        if node == self.settings.name {
            if self.strangers.on_join(now, &node) {
                refused(self, JoinRefusal::OwnName);
            }
            return Verdict::NameInUse;
        }
        let Some(index) = self.index_of(&join.sender.node) else {
            if self.strangers.on_join(now, &node) {
                let configured = self.settings.secondaries.clone();
                self.notice(Notice::Stranger { node, configured });
            }
            return Verdict::Unknown;
        };
        if let Some(foreign) = join.sender.log_id.filter(|id| Some(*id) != self.identity.log_id) {
            if !matches!(self.progress[index].stage, Stage::Foreign(_)) {
                refused(self, JoinRefusal::OtherLog);
            }
            self.on_foreign(now, index, foreign);
            return Verdict::Foreign;
        }
        if self.name_in_use(now, index, join.sender.incarnation) {
            refused(self, JoinRefusal::NameInUse);
            return Verdict::NameInUse;
        }
        let Some(fork) = fork else { return Verdict::OlderMarks };
        self.admit(now, index, join, fork);
        Verdict::Admitted
    }

    /// Whether another process of this name is alive (docs/RECOVERY.md, section 14).
    fn name_in_use(&self, now: Moment, index: usize, incarnation: Incarnation) -> bool {
        let progress = &self.progress[index];
        let silent_after = self.settings.heartbeat_interval * SUSPECTED_AFTER_INTERVALS;
        let alive = progress.heard.is_some_and(|heard| now.since(heard) < silent_after);
        alive && progress.admitted.is_some_and(|admitted| admitted != incarnation)
    }

    fn admit(&mut self, now: Moment, index: usize, join: &wire::Join, fork: Place) {
        let again = self.progress[index].admitted == Some(join.sender.incarnation);
        self.progress[index].admit(join.sender.incarnation, join.request);
        self.on_sign_of_life(now, index);
        if !again {
            self.notice(Notice::Admitted { node: join.sender.node.clone(), length: fork.length });
        }
    }

    fn join_answer(
        &self,
        join: &wire::Join,
        verdict: Verdict,
        fork: Option<Place>,
        log: &dyn LogView,
    ) -> wire::JoinAnswer {
        let admitted = verdict == Verdict::Admitted;
        let fork = fork.filter(|_| admitted).unwrap_or(Place::START);
        wire::JoinAnswer {
            sender: self.sender(&self.settings.name),
            request: join.request,
            epoch: join.epoch.clone(),
            verdict,
            length: log.durable().length,
            fork,
            digest: log.digest_at(fork).unwrap_or_default(),
            turn: mark::last_turn(log.marks()).cloned(),
            clean: mark::last_clean(log.marks()).cloned(),
            secondaries: match verdict {
                Verdict::Unknown => self.settings.secondaries.iter().take(MAX_NAMES_TOLD).cloned().collect(),
                _ => Vec::new(),
            },
        }
    }

    /// A secondary asks for a range. `reply` is known to be its own inbox.
    pub fn on_fetch(&mut self, now: Moment, fetch: &wire::Fetch, reply: String, log: &dyn LogView) {
        let Some(secondary) = self.index_of(&fetch.sender.node) else { return };
        let admitted = self.progress[secondary].admitted == Some(fetch.sender.incarnation);
        if !admitted || self.epoch() != Some(&fetch.epoch) || fetch.sender.log_id != self.identity.log_id {
            return;
        }
        self.on_sign_of_life(now, secondary);
        // Who asks for more than there is gets the end, and so learns where it is.
        let from = Place::new(fetch.from, fetch.marks_before.unwrap_or(0));
        let push = Span::fitting(log, from, end_of(fetch, log), self.push_limits().envelope_bytes);
        if push.size(log) > self.max_line_bytes() {
            return self.too_large(secondary, push.from.length);
        }
        self.effect(Effect::Entries { secondary, push, answer: Some((fetch.request, reply)) });
    }

    /// Nobody listens on a secondary's subject. A hint only.
    pub fn on_no_responders(&mut self, now: Moment, node: &NodeName) {
        if let Some(index) = self.index_of(node) {
            self.progress[index].on_lost(now, &mut self.random);
        }
    }

    pub(super) fn push_all(&mut self, now: Moment, log: &dyn LogView) {
        if !self.bus_is_up {
            return;
        }
        let (limits, most) = (self.push_limits(), self.max_line_bytes());
        let terms = PushTerms { now, limits, most, awaited: self.pending.awaited_through() };
        for secondary in 0..self.progress.len() {
            let (progress, random) = (&mut self.progress[secondary], &mut self.random);
            let too_large = progress.too_large;
            while let Some(push) = progress.next_push(log, &terms, random) {
                self.effects.push(Effect::Entries { secondary, push, answer: None });
            }
            if let Some(order) = progress.too_large.filter(|_| too_large.is_none()) {
                progress.too_large = None;
                self.too_large(secondary, order);
            }
        }
    }

    /// The operator is told once for each connection.
    fn too_large(&mut self, secondary: usize, order: Order) {
        if self.progress[secondary].too_large.replace(order).is_none() {
            let (node, limit) = (self.settings.secondaries[secondary].clone(), self.max_line_bytes());
            self.notice(Notice::TooLargeForBus { node, order, limit });
        }
    }

    pub(super) fn heartbeat(&mut self, now: Moment, log: &dyn LogView) {
        self.heartbeat_at = now.plus(self.settings.heartbeat_interval);
        let Phase::Leading(epoch) = &self.phase else { return };
        if !self.mark_is_durable(log) {
            return;
        }
        let (durable, epoch) = (log.durable(), epoch.clone());
        self.call_absent_nodes(now);
        let admitted = self.settings.secondaries.iter().zip(&self.progress).filter_map(|(node, progress)| {
            Some(wire::Admitted { node: node.clone(), incarnation: progress.admitted? })
        });
        let heartbeat = wire::Heartbeat {
            sender: self.sender(&self.settings.name),
            epoch,
            length: durable.length,
            digest: log.digest_at(durable).unwrap_or_default(),
            admitted: admitted.collect(),
            http: self.settings.http.clone(),
        };
        self.effect(Effect::Heartbeat(heartbeat));
    }

    /// The header of an envelope that carries `page` to a secondary; none while this node does not lead.
    pub fn entries_header(
        &self,
        secondary: usize,
        push: Span,
        request: Option<u64>,
        page: &Page,
        length: Order,
    ) -> Option<wire::EntriesHeader> {
        let sender = self.sender(&self.settings.secondaries[secondary]);
        Some(wire::EntriesHeader::of(sender, self.epoch()?.clone(), push, page, length, request))
    }
}

/// Where the answer to a fetch ends at the latest. One that wants no entry wants the marks there.
pub(super) fn end_of(fetch: &wire::Fetch, log: &dyn LogView) -> Place {
    let durable = log.durable();
    if fetch.to.max(fetch.from) >= durable.length {
        durable
    } else if fetch.to <= fetch.from {
        after_marks(log, fetch.from)
    } else {
        before_marks(log, fetch.to)
    }
}
