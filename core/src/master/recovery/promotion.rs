//! Promise, choose, fetch, open (docs/RECOVERY.md, section 10).

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use replog_shared::{
    Epoch, Lines, LogId, MarkKind, Moment, NodeName, OrderRange, Outline, Place,
    limits::PULL_PENDING_BYTES,
    lines, mark, outline,
    store::{Cut, LogView, LookAhead, tip_of_cut},
    wire,
};

use super::{Step, choice::Choice, keep_higher};
use crate::master::{
    Effect, MasterCore, Phase,
    events::{NotLeading, Notice},
    mutant::{self, Mutant},
    reasons::{Aftermath, Reason},
};

/// How long a step of the promotion may stand still before it is given up.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// A promotion under way.
#[derive(Debug)]
pub(super) struct Promotion {
    epoch: Epoch,
    /// The nodes that are asked to promise.
    ask: Vec<NodeName>,
    /// Whole nodes that must promise, this one included.
    required: usize,
    /// Whether this node counts as one of them.
    counts_itself: bool,
    /// What they held when they promised.
    promised: BTreeMap<NodeName, wire::State>,
    fetch: Option<Fetch>,
    /// The next range is not asked for before the own disk has come further.
    waits_for_disk: bool,
    give_up_at: Moment,
}

/// The best log is another node's: what it has behind this node's own log is fetched.
#[derive(Clone, Debug)]
struct Fetch {
    from: NodeName,
    best: wire::State,
    /// Where this node's own log ended.
    began_at: Place,
}

impl Promotion {
    pub(super) fn new(
        now: Moment,
        epoch: Epoch,
        ask: Vec<NodeName>,
        required: usize,
        counts_itself: bool,
    ) -> Promotion {
        let promised = BTreeMap::new();
        let give_up_at = now.plus(STEP_TIMEOUT);
        let (fetch, waits_for_disk) = (None, false);
        Promotion { epoch, ask, required, counts_itself, promised, fetch, waits_for_disk, give_up_at }
    }

    /// This node stood still for so long: that was not the others' silence.
    pub(super) fn excuse(&mut self, stood_still: Duration) {
        self.give_up_at = self.give_up_at.plus(stood_still);
    }

    /// Reached: whole, and fenced with the rank that it told.
    fn reached(&self) -> impl Iterator<Item = &NodeName> {
        self.promised.values().filter(|state| state.whole).map(|state| &state.sender.node)
    }

    /// What they held when they promised.
    pub(super) fn promised(&self) -> impl Iterator<Item = &wire::State> {
        self.promised.values()
    }

    fn is_complete(&self) -> bool {
        self.ask.iter().all(|node| self.promised.contains_key(node))
    }

    fn has_enough(&self) -> bool {
        self.reached().count() + usize::from(self.counts_itself) >= self.required
    }
}

impl MasterCore {
    /// Fences this node first, then asks the others for their promises.
    pub(super) fn promote(&mut self, log_id: LogId, promotion: Promotion) {
        let epoch = promotion.epoch.clone();
        if self.identity.log_id.is_some_and(|own| own != log_id) {
            self.drop_own_log();
        }
        self.remember(|identity| {
            identity.log_id = Some(log_id);
            identity.fence = Some(epoch);
        });
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        recovery.step = Step::Promoting(Box::new(promotion));
        if mutant::is(Mutant::AnswerIsPromise) {
            recovery.take_answers_for_promises();
        }
        self.ask_for_promises();
    }

    /// The own log has nothing in it and gives way to another one: its marks must not rank in that one's promotion.
    fn drop_own_log(&mut self) {
        self.remember(|identity| identity.whole = false);
        self.effect(Effect::Truncate(Place::START, Cut::Drop));
    }

    fn promotion(&self) -> Option<&Promotion> {
        match &self.phase {
            Phase::Recovering(recovery) => match &recovery.step {
                Step::Promoting(promotion) => Some(promotion),
                Step::Asking => None,
            },
            _ => None,
        }
    }

    fn promotion_mut(&mut self) -> Option<&mut Promotion> {
        match &mut self.phase {
            Phase::Recovering(recovery) => match &mut recovery.step {
                Step::Promoting(promotion) => Some(promotion),
                Step::Asking => None,
            },
            _ => None,
        }
    }

    fn request(&self) -> u64 {
        if let Phase::Recovering(recovery) = &self.phase { recovery.request } else { 0 }
    }

    pub(super) fn on_promotion_tick(&mut self, now: Moment, log: &dyn LogView) {
        let Some(promotion) = self.promotion() else { return };
        if now < promotion.give_up_at {
            return if promotion.fetch.is_some() {
                self.read_on_unless_behind(now, log.tip().place, log.pending_bytes());
            } else {
                self.ask_for_promises();
                self.choose(now, log);
            };
        }
        if promotion.fetch.is_none() && promotion.has_enough() {
            return self.choose(now, log);
        }
        self.abandon(now, Reason::NoAnswers);
    }

    /// Ends this attempt. What was promised stays promised: the next one opens a higher reign. What was fetched stays,
    /// too: it is the beginning of a log that others hold, verified page by page, and the next attempt goes on behind
    /// it.
    fn abandon(&mut self, now: Moment, reason: Reason) {
        if self.settings.start.promote {
            self.stop_leading(NotLeading::NotPromoted { reason, aftermath: Aftermath::PromisesStay });
        } else {
            self.start_over(now, reason);
        }
    }

    fn ask_for_promises(&mut self) {
        let (sender, request, forced) =
            (self.sender(&self.settings.name), self.request(), self.settings.start.promote);
        let Some(promotion) = self.promotion() else { return };
        let promise = wire::Promise { sender, request, epoch: promotion.epoch.clone(), forced };
        let silent = promotion.ask.iter().filter(|node| !promotion.promised.contains_key(*node));
        let asked: Vec<Effect> = silent.map(|node| Effect::Promise(node.clone(), promise.clone())).collect();
        self.effects.extend(asked);
    }

    pub(super) fn on_promised(&mut self, now: Moment, state: wire::State, log: &dyn LogView) {
        let Some(promotion) = self.promotion_mut() else { return };
        let wanted = promotion.fetch.is_none() && promotion.ask.contains(&state.sender.node);
        if wanted && state.promised.as_ref() == Some(&promotion.epoch) {
            keep_higher(&mut promotion.promised, state);
            if mutant::is(Mutant::RankBeforePromise) {
                self.rank_by_answers();
            }
            self.choose(now, log);
        }
    }

    /// Once all that were asked have promised, or enough have and the time is over: the log of the highest rank
    /// wins.
    fn choose(&mut self, now: Moment, log: &dyn LogView) {
        let own = self.own_state(now, log);
        let Some(promotion) = self.promotion() else { return };
        let over = now >= promotion.give_up_at;
        if !promotion.has_enough() || !(promotion.is_complete() || over) {
            return;
        }
        let takes_part = (!self.settings.start.recover).then_some(&own);
        let logs = promotion.promised.values().chain(takes_part);
        let reached = |state: &wire::State| state.whole || state.sender.node == own.sender.node;
        let Some(choice) = Choice::of(logs, |a, b| self.compare(a, b), reached) else { return };
        let halts = !mutant::is(Mutant::UnexplainedRankTaken);
        if let Some(dispute) = choice.dispute().filter(|_| halts) {
            return self.abandon(now, Reason::Dispute(dispute));
        }
        let best = choice.best.clone();
        if best.sender.node == own.sender.node || mutant::is(Mutant::OpenWithoutFetch) {
            let tip = self.cut_batch(log.tip(), log);
            return self.open_promotion(now, &tip);
        }
        self.begin_fetch(now, best, log);
    }

    /// Gives up what the best log does not have, and fetches what it has more.
    fn begin_fetch(&mut self, now: Moment, best: wire::State, log: &dyn LogView) {
        let tip = log.tip().place;
        let own = Outline::of(log.marks(), tip, usize::MAX);
        // Where it is not known what both have, all is fetched anew.
        let fork = outline::fork(&own, &best.outline).unwrap_or(Place::START);
        let (from, length, log_id) = (best.sender.node.clone(), best.outline.length, self.identity.log_id);
        if let Some(log_id) = log_id {
            self.notice(Notice::Adopting { log_id, from: from.clone(), length });
        }
        // A log that only grows lacks nothing that it ever held: an attempt that breaks off leaves it whole.
        if fork != tip || mutant::is(Mutant::FetchIsALoss) {
            self.remember(|identity| identity.whole = false);
        }
        if fork != tip {
            self.notice(Notice::Cut { orders: OrderRange::new(fork.length, tip.length) });
            // What a clean gave up was wanted to go.
            let is_cleaned = mark::explains(best.outline.last_clean(), log.tip().epoch.as_ref());
            self.effect(Effect::Truncate(fork, if is_cleaned { Cut::Drop } else { Cut::Quarantine }));
        }
        let Some(promotion) = self.promotion_mut() else { return };
        promotion.fetch = Some(Fetch { from, best, began_at: fork });
        promotion.give_up_at = now.plus(STEP_TIMEOUT);
        self.read_on(fork);
    }

    fn read_on(&mut self, place: Place) {
        let (sender, request) = (self.sender(&self.settings.name), self.request());
        let Some(promotion) = self.promotion() else { return };
        let Some(Fetch { from, .. }) = &promotion.fetch else { return };
        let read = wire::Read { sender, request, epoch: promotion.epoch.clone(), from: place };
        let read = Effect::Read(from.clone(), read);
        self.effects.push(read);
    }

    /// A range of the log that is taken over.
    pub fn on_read_answer(
        &mut self,
        now: Moment,
        header: &wire::EntriesHeader,
        bytes: &Bytes,
        log: &dyn LogView,
    ) {
        let request = self.request();
        let Some(promotion) = self.promotion_mut() else { return };
        let Some(Fetch { from, best, began_at }) = &promotion.fetch else { return };
        if header.request != Some(request) || header.sender.node != *from || header.epoch != promotion.epoch {
            return;
        }
        let end = best.outline.end();
        let Some(unseen) = lines::unseen(bytes, header.begins_at(), log.tip()) else { return };
        let Ok(page) = Lines::checked(unseen.clone(), log.tip()) else { return };
        let checks = !mutant::is(Mutant::ReadUnchecked);
        if page.is_empty() && log.tip().place != end || page.tip().digest != header.digest && checks {
            return;
        }
        let Ok(lines) = Lines::checked_before(unseen, log.tip(), end) else { return };
        let whole_log = lines.tip().place == end;
        if whole_log && lines.tip().digest != best.digest && checks {
            let (from, began_at) = (from.clone(), *began_at);
            return self.give_back(now, began_at, Reason::AnotherLog(from));
        }
        promotion.give_up_at = now.plus(STEP_TIMEOUT);
        if whole_log {
            let tip = self.append_last(lines, log);
            self.open_promotion(now, &tip);
        } else {
            let place = lines.tip().place;
            self.effect(Effect::Append(lines));
            self.read_on_unless_behind(now, place, log.pending_bytes() + bytes.len());
        }
    }

    /// Of [`MasterCore::on_read_answer`]: where the log may be cut, if this is the last page.
    pub fn look_ahead_read_answer(&self, header: &wire::EntriesHeader, log: &LookAhead<'_>) {
        let Some(Fetch { best, began_at, .. }) =
            self.promotion().and_then(|promotion| promotion.fetch.as_ref())
        else {
            return;
        };
        let tip = log.tip();
        if header.from.plus(header.count) >= best.outline.length {
            log.cut(*began_at);
            tip.batch.into_iter().for_each(|batch| log.cut(Place::new(batch, tip.place.marks)));
        }
    }

    /// Reads on from `place`, but not while the own disk has more to do than it may: the other node does not stand
    /// still then, so no time passes for it.
    fn read_on_unless_behind(&mut self, now: Moment, place: Place, pending_bytes: usize) {
        let behind = pending_bytes >= PULL_PENDING_BYTES;
        let Some(promotion) = self.promotion_mut() else { return };
        promotion.waits_for_disk = behind;
        if behind {
            promotion.give_up_at = now.plus(STEP_TIMEOUT);
        } else {
            self.read_on(place);
        }
    }

    /// The disk has come further: a takeover that waited for it reads on.
    pub(in crate::master) fn read_on_behind_disk(&mut self, now: Moment, log: &dyn LogView) {
        if self.promotion().is_some_and(|promotion| promotion.waits_for_disk) {
            self.read_on_unless_behind(now, log.tip().place, log.pending_bytes());
        }
    }

    /// Ends this attempt, and gives up what it fetched: that is not the log that was promised. A node that is not
    /// whole has fetched perhaps the same in an attempt before, so it begins at nothing the next time.
    fn give_back(&mut self, now: Moment, began_at: Place, reason: Reason) {
        let kept = if self.identity.whole { began_at } else { Place::START };
        self.effect(Effect::Truncate(kept, Cut::Quarantine));
        self.abandon(now, reason);
    }

    /// Appends the last of the lines that are taken over, without those of a batch that they do not complete.
    /// Returns where the log ends then.
    fn append_last(&mut self, lines: Lines, log: &dyn LogView) -> lines::Tip {
        let Some(batch) = lines.tip().batch.filter(|_| !mutant::is(Mutant::BatchLeftOpen)) else {
            let tip = lines.tip().clone();
            self.effect(Effect::Append(lines));
            return tip;
        };
        let begin = Place::new(batch, lines.tip().place.marks);
        if batch < log.tip().place.length {
            return self.cut_batch(log.tip(), log);
        }
        let orders = OrderRange::new(batch, lines.tip().place.length);
        self.notice(Notice::BatchCut { orders });
        match Lines::checked_before(lines.bytes().clone(), log.tip(), begin) {
            Ok(before) => {
                let tip = before.tip().clone();
                self.effect(Effect::Append(before));
                tip
            }
            // The beginning of checked lines is sound.
            Err(_) => log.tip().clone(),
        }
    }

    /// Cuts the beginning of a batch with which the log ends at `tip` (docs/RECOVERY.md, section 12). Returns where the log
    /// ends then.
    fn cut_batch(&mut self, tip: &lines::Tip, log: &dyn LogView) -> lines::Tip {
        let begin = tip.batch.map(|batch| Place::new(batch, tip.place.marks));
        let begin = begin.filter(|_| !mutant::is(Mutant::BatchLeftOpen));
        let Some((place, digest)) = begin.and_then(|place| Some((place, log.digest_at(place)?))) else {
            return tip.clone();
        };
        self.notice(Notice::BatchCut { orders: OrderRange::new(place.length, tip.place.length) });
        self.effect(Effect::Truncate(place, Cut::Quarantine));
        tip_of_cut(log, place, digest)
    }

    fn open_promotion(&mut self, now: Moment, tip: &lines::Tip) {
        let Some(promotion) = self.promotion() else { return };
        let mut reached: Vec<NodeName> = promotion.reached().cloned().collect();
        if promotion.counts_itself {
            reached.push(self.settings.name.clone());
        }
        let epoch = promotion.epoch.clone();
        self.open(now, epoch, MarkKind::Promotion, reached, tip);
    }
}

/// How the mistakes on purpose rank.
impl MasterCore {
    fn compare(&self, a: &wire::State, b: &wire::State) -> std::cmp::Ordering {
        if mutant::is(Mutant::RankByLength) {
            return a.outline.length.cmp(&b.outline.length);
        }
        if mutant::is(Mutant::RankByFence)
            && let Phase::Recovering(recovery) = &self.phase
        {
            let fence = |state: &wire::State| {
                let told = recovery.states.get(&state.sender.node);
                told.map_or(state.epoch(), |told| told.fence.as_ref()).cloned()
            };
            return (fence(a), a.outline.length).cmp(&(fence(b), b.outline.length));
        }
        a.rank().cmp(&b.rank())
    }

    fn rank_by_answers(&mut self) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        let Step::Promoting(promotion) = &mut recovery.step else { return };
        for (node, state) in &mut promotion.promised {
            let Some(told) = recovery.states.get(node) else { continue };
            state.outline.clone_from(&told.outline);
            state.turn.clone_from(&told.turn);
            state.digest = told.digest;
        }
    }
}

impl super::Recovery {
    fn take_answers_for_promises(&mut self) {
        let Step::Promoting(promotion) = &mut self.step else { return };
        let asked = |node: &NodeName| promotion.ask.contains(node);
        let told = self.states.iter().filter(|(node, _)| asked(node));
        let told: Vec<_> = told.map(|(node, state)| (node.clone(), state.clone())).collect();
        promotion.promised.extend(told);
    }
}
