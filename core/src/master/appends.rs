//! Order and identity: what becomes of an append.

use bytes::Bytes;

use replog_shared::{
    Applied, EpochNumber, Lines, Moment, Order, WriteConcern,
    entry::{self, EntryHead, EntryLine},
    limits::MAX_BATCH_MESSAGES,
    same_value::same_value,
    store::LogView,
};

use super::{
    Effect, MasterCore, Phase, Progress, Stage,
    events::{
        Append, Holders, NewMessage, NotLeading, Refusal, Shortage, WaitId, WaitingWrite, WriteOutcome,
        Written,
    },
    health::Health,
    mutant::{self, Mutant},
};

/// What the log has of the ids of an append.
pub(super) enum Known {
    /// None of them.
    New,
    /// The very messages, in one run from here.
    Run(Order),
    /// Something else.
    Refused(Refusal),
}

impl MasterCore {
    /// A caller appends. It is answered by an [`Effect::Answer`], perhaps much later.
    pub fn on_append(&mut self, now: Moment, wait: WaitId, append: Append, log: &dyn LogView) {
        let Phase::Leading(epoch) = &self.phase else {
            return self.hold_or_refuse(wait, &append);
        };
        let epoch = epoch.number();
        match self.place(now, &append, epoch, log) {
            Ok(written) => self.pending.insert(wait, written, append.deadline),
            Err(refusal) => self.answer(wait, WriteOutcome::Refused(refusal)),
        }
    }

    /// A caller appends while there is no room for what it asks. It is answered at once: with what the log has of
    /// its messages, and nothing is appended. One whose messages are there goes on as always, unless it would have to
    /// wait where no more callers may.
    pub fn on_append_without_room(
        &mut self,
        now: Moment,
        wait: WaitId,
        append: Append,
        short_of: Shortage,
        log: &dyn LogView,
    ) {
        match (&self.phase, short_of) {
            (Phase::Leading(_), _) => {}
            (_, Shortage::Storage) => return self.hold_or_refuse(wait, &append),
            (_, Shortage::Waits) => return self.refuse_while_not_leading(wait),
        }
        match self.known(&append.messages, log) {
            Known::New => self.answer(wait, WriteOutcome::Refused(Refusal::no_room(short_of))),
            Known::Refused(refusal) => self.answer(wait, WriteOutcome::Refused(refusal)),
            Known::Run(_) if short_of == Shortage::Storage => self.on_append(now, wait, append, log),
            Known::Run(first) => {
                let (count, w) = (append.messages.len() as u64, append.w);
                let through = self.held_with(first.plus(count.saturating_sub(1)), w, log);
                let written = Written { first, count, through, duplicate: true, w };
                self.wait_without_room(now, wait, written, append.deadline, log);
            }
        }
    }

    /// A caller takes up the wait for an entry again, while as many wait as may: it is answered at once.
    pub fn on_wait_without_room(
        &mut self,
        now: Moment,
        wait: WaitId,
        order: Order,
        w: WriteConcern,
        deadline: Option<Moment>,
        log: &dyn LogView,
    ) {
        let is_there = order < log.tip().place.length;
        if !matches!(self.phase, Phase::Leading(_)) || !is_there {
            return self.on_wait(wait, order, w, deadline, log);
        }
        let through = self.held_with(order, w, log);
        let written = Written { first: order, count: 1, through, duplicate: true, w };
        self.wait_without_room(now, wait, written, deadline, log);
    }

    /// Lets a caller wait for what w nodes hold already; any other is refused.
    fn wait_without_room(
        &mut self,
        now: Moment,
        wait: WaitId,
        written: Written,
        deadline: Option<Moment>,
        log: &dyn LogView,
    ) {
        let through = Some(written.through);
        let held = self.held_by(now, log);
        if held[usize::from(written.w.get()) - 1] >= through {
            return self.pending.insert(wait, written, deadline);
        }
        let applied = if held[0] >= through { Applied::Yes } else { Applied::Unknown };
        let refusal = Refusal::Overloaded { short_of: Shortage::Waits, applied, known: Some(written) };
        self.answer(wait, WriteOutcome::Refused(refusal));
    }

    /// A caller takes up the wait for an entry again.
    pub fn on_wait(
        &mut self,
        wait: WaitId,
        order: Order,
        w: WriteConcern,
        deadline: Option<Moment>,
        log: &dyn LogView,
    ) {
        if !matches!(self.phase, Phase::Leading(_)) {
            return self.refuse_while_not_leading(wait);
        }
        if order >= log.tip().place.length {
            let length = log.durable().length;
            return self.answer(wait, WriteOutcome::Refused(Refusal::NoSuchOrder { length }));
        }
        let through = self.held_with(order, w, log);
        self.pending.insert(wait, Written { first: order, count: 1, through, duplicate: true, w }, deadline);
    }

    /// Finds the run that the append has already, or gives it the next one.
    fn place(
        &mut self,
        now: Moment,
        append: &Append,
        epoch: EpochNumber,
        log: &dyn LogView,
    ) -> Result<Written, Refusal> {
        let (count, w) = (append.messages.len() as u64, append.w);
        match self.known(&append.messages, log) {
            Known::Run(first) => {
                // Perhaps a part of a batch: none of it is held before all of it is.
                let through = self.held_with(first.plus(count.saturating_sub(1)), w, log);
                return Ok(Written { first, count, through, duplicate: true, w });
            }
            Known::Refused(refusal) => return Err(refusal),
            Known::New => {}
        }
        let first = log.tip().place.length;
        if append.expect_order.is_some_and(|expected| expected != first) {
            return Err(Refusal::UnexpectedOrder { length: first, durable: log.durable().length });
        }
        self.check_majority(now)?;
        let lines = self.encode(&append.messages, epoch, log)?;
        let through = lines.tip().place.length;
        self.effect(Effect::Append(lines));
        Ok(Written { first, count, through, duplicate: false, w })
    }

    /// Exclusive end of what a node must hold for the entry at `order` to count as held there: the end of its batch.
    /// The log is asked only where it matters: an old entry would have to be read from the disk.
    pub(super) fn held_with(&self, order: Order, w: WriteConcern, log: &dyn LogView) -> Order {
        let farthest_end = order.plus(MAX_BATCH_MESSAGES as u64);
        let within_reach = |acked: Option<Order>| {
            acked < Some(farthest_end) && (w > WriteConcern::ONE || acked > Some(order))
        };
        let matters = self.progress.iter().any(|progress| within_reach(progress.acked_through()));
        if matters { log.batch_end(order) } else { order.next() }
    }

    fn encode(
        &self,
        messages: &[NewMessage],
        epoch: EpochNumber,
        log: &dyn LogView,
    ) -> Result<Lines, Refusal> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(messages.len()));
        let mut order = log.tip().place.length;
        let at = self.wall.max(log.tip().at.unwrap_or_default());
        let limit = self.max_line_bytes();
        for (nth, NewMessage { id, message }) in messages.iter().enumerate() {
            let start = bytes.len();
            let head = EntryHead { order, epoch, at, more: nth + 1 < messages.len() };
            entry::encode(&mut bytes, head, id, message);
            if bytes.len() - start > limit {
                return Err(Refusal::TooLarge { nth, id: id.clone(), limit });
            }
            ends.push(bytes.len());
            order = order.next();
        }
        Ok(Lines::of_entries(Bytes::from(bytes), ends, at, log.tip()))
    }

    fn check_majority(&self, now: Moment) -> Result<(), Refusal> {
        if !self.settings.read_only_without_majority {
            return Ok(());
        }
        let (healthy, nodes) = (self.healthy_nodes(now), self.nodes());
        if 2 * healthy > nodes { Ok(()) } else { Err(Refusal::ReadOnly { healthy, nodes }) }
    }

    /// How many nodes are healthy and hold this log, this one included.
    pub fn healthy_nodes(&self, now: Moment) -> usize {
        let interval = self.settings.heartbeat_interval;
        let healthy = |heard| Health::of(heard, now, interval) == Health::Healthy;
        let takes_part =
            |progress: &&Progress| progress.admitted.is_some() && progress.stage != Stage::Diverged;
        1 + self.progress.iter().filter(takes_part).filter(|progress| healthy(progress.heard)).count()
    }

    fn hold_or_refuse(&mut self, wait: WaitId, append: &Append) {
        let holds = matches!(&self.phase, Phase::Recovering(recovery) if recovery.holds_appends());
        if !holds || !self.held.push(wait, append) {
            self.refuse_while_not_leading(wait);
        }
    }

    /// Refuses what is held and whose caller's time is over. Once this node leads it is taken up instead.
    pub(super) fn refuse_expired(&mut self, now: Moment) {
        while let Some(wait) = self.held.pop_expired(now) {
            self.refuse_while_not_leading(wait);
        }
    }

    /// Takes up the appends that waited for the start to end.
    pub(super) fn take_up_held(&mut self, now: Moment, log: &dyn LogView) {
        if let Some((wait, append)) = self.held.pop() {
            self.on_append(now, wait, append, log);
        }
    }

    /// Takes out the append that [`MasterCore::on_leading`] would take up, if `may` says so: it comes by
    /// [`MasterCore::on_append`] once what it looks at was read.
    pub fn take_held_if(&mut self, may: impl FnOnce(&Append) -> bool) -> Option<(WaitId, Append)> {
        if self.held.first().is_some_and(may) { self.held.pop() } else { None }
    }

    pub(super) fn refuse_while_not_leading(&mut self, wait: WaitId) {
        if let Some(why) = self.not_leading() {
            self.refuse_not_leading(wait, why);
        }
    }

    pub(super) fn refuse_not_leading(&mut self, wait: WaitId, why: NotLeading) {
        self.answer(wait, WriteOutcome::Refused(Refusal::NotLeading(why)));
    }

    /// Answers every caller whose w is met.
    pub(super) fn release(&mut self, now: Moment, log: &dyn LogView) {
        let Phase::Leading(epoch) = &self.phase else { return };
        if self.pending.len() == 0 {
            return;
        }
        let (epoch, held) = (epoch.number(), self.held_by(now, log));
        while let Some((wait, written)) = self.pending.take_met(&held) {
            let holders = self.holders(now, &written);
            self.answer(wait, WriteOutcome::Met { written, holders, epoch });
        }
        while let Some((wait, written)) = self.pending.take_overdue(held[0]) {
            self.unconfirmed(now, wait, written);
        }
    }

    /// Answers every caller whose time is over and whose run is held here: what is not may still get lost, so that
    /// nobody could say that it is in the log.
    pub(super) fn answer_expired(&mut self, now: Moment, log: &dyn LogView) {
        let anyhow = mutant::is(Mutant::ExpiredBeforeDurable).then_some(Order::new(u64::MAX));
        let own = anyhow.or_else(|| self.held_here(log));
        while let Some((wait, written)) = self.pending.take_expired(now, own) {
            self.unconfirmed(now, wait, written);
        }
    }

    fn unconfirmed(&mut self, now: Moment, wait: WaitId, written: Written) {
        let holders = self.holders(now, &written);
        self.answer(wait, WriteOutcome::Unconfirmed { written, holders });
    }

    /// How far w nodes hold the log, by w - 1: this node at its durability level, and of the secondaries
    /// those that reach furthest.
    fn held_by(&self, now: Moment, log: &dyn LogView) -> Vec<Option<Order>> {
        let own = self.held_here(log);
        let interval = self.settings.heartbeat_interval;
        let held = self.progress.iter().map(|progress| progress.holds_through(now, interval).min(own));
        let mut held: Vec<_> = held.collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        held.insert(0, own);
        held
    }

    /// How far this node holds the log at its durability level; none: not even the epoch's mark.
    pub(super) fn held_here(&self, log: &dyn LogView) -> Option<Order> {
        self.mark_is_durable(log).then(|| log.durable().length)
    }

    /// The writes whose w is not met yet, by their place in the log; no more than `most`.
    pub fn waiting_writes(&self, now: Moment, most: usize, log: &dyn LogView) -> Vec<WaitingWrite> {
        let own = self.held_here(log);
        let waiting = |written: Written| {
            let is_held_here = Some(written.through) <= own;
            WaitingWrite { written, is_held_here, holders: self.holders(now, &written) }
        };
        self.pending.first(most).into_iter().map(waiting).collect()
    }

    /// The secondaries that hold all of a run.
    pub(super) fn holders(&self, now: Moment, written: &Written) -> Holders {
        let mut holders = Holders::default();
        for (index, progress) in self.progress.iter().enumerate() {
            if progress.holds_through(now, self.settings.heartbeat_interval) >= Some(written.through) {
                holders.insert(index);
            }
        }
        holders
    }

    /// Looks the ids of an append up.
    pub(super) fn known(&self, messages: &[NewMessage], log: &dyn LogView) -> Known {
        let found = |(nth, new): (usize, &NewMessage)| {
            let at = log.find(&new.id)?;
            Some((nth, new.id.clone(), at))
        };
        let Some((nth, id, at)) = messages.iter().enumerate().find_map(found) else {
            return Known::New;
        };
        let partly = Known::Refused(Refusal::PartlyKnown { nth, id, order: at });
        if log.find(&messages[0].id) != Some(at) {
            return partly;
        }
        for (nth, NewMessage { id, message }) in messages.iter().enumerate() {
            let order = at.plus(nth as u64);
            let line = log.entry(order);
            let entry = line.as_deref().and_then(|line| EntryLine::parse(line).ok());
            match entry.filter(|entry| entry.has_id(id)) {
                None => return partly,
                Some(entry) if !entry.has_message(message) => {
                    let same_value = same_value(message.as_json(), entry.message_json);
                    let is_held = self.held_here(log) > Some(order);
                    return Known::Refused(Refusal::Conflict {
                        nth,
                        id: id.clone(),
                        order,
                        same_value,
                        is_held,
                    });
                }
                Some(_) => {}
            }
        }
        Known::Run(at)
    }
}
