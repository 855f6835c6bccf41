//! Entries come in, pushed or fetched, and go to the log in order.

use bytes::Bytes;
use replog_shared::{
    Lines, Moment, Order, OrderRange, Place,
    lines::{self, Tip},
    store::LogView,
    wire::{EntriesHeader, Fetch},
};

use super::{
    PUSH_QUIET, SecondaryCore,
    effect::{Effect, Notice},
    faults::{Arrival, Passage},
    fetcher::Answer,
    reorder_buffer::{Insertion, Unit},
    state::{Session, State},
};

/// What a unit did for the log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It was appended, or is kept until its turn.
    Some,
    /// Nothing new.
    None,
}

impl SecondaryCore {
    /// Entries have come, pushed or (with a request in the header) fetched.
    pub fn on_entries(&mut self, now: Moment, header: EntriesHeader, lines: Bytes, log: &dyn LogView) {
        let request = header.request;
        match self.faults.on_arrival(now, header, lines, &mut self.random) {
            Passage::Through(arrival) => self.take(now, arrival, log),
            Passage::Held(until) => self.on_held(request, until),
            Passage::Dropped => self.counters.fault_drops += 1,
        }
    }

    /// What waits here has come: it is neither fetched again nor missed.
    fn on_held(&mut self, request: Option<u64>, until: Moment) {
        if let Some(request) = request {
            self.fetcher.on_held(request, until);
        }
        if let State::Joined(session) = &mut self.state {
            session.last_arrival = session.last_arrival.max(until);
        }
    }

    /// Takes an envelope that has passed the faults.
    pub(super) fn take(&mut self, now: Moment, arrival: Arrival, log: &dyn LogView) {
        let Arrival { header, lines, fails, .. } = arrival;
        if !self.is_wanted(&header, &lines) || !self.is_of_session(&header) {
            self.counters.stale += 1;
            return;
        }
        self.note_arrival(now, &header, log);
        let mut tip = log.tip().clone();
        let progress = if header.request.is_none() && self.disk_is_behind(log) {
            // The master pushes it again, or it is fetched, once the disk has come so far.
            self.counters.overflowed += 1;
            Progress::None
        } else {
            self.place(now, unit_of(&header, lines), &mut tip)
        };
        self.drain(now, &mut tip, log);
        if tip.place != log.tip().place || progress == Progress::Some {
            self.fetcher.on_progress();
        } else if header.request.is_some() {
            self.fetcher.on_fruitless(now, &mut self.random);
        }
        self.failing = fails;
        if fails {
            self.send_error_ack(log);
        } else {
            self.ack_due = true;
        }
        self.pull(now, &tip, log);
    }

    /// Bytes that will wait to become durable once the effects so far are done.
    fn pending_bytes(&self, log: &dyn LogView) -> usize {
        let bytes =
            |effect: &Effect| if let Effect::Append(lines) = effect { lines.bytes().len() } else { 0 };
        log.pending_bytes() + self.effects.iter().map(bytes).sum::<usize>()
    }

    /// Whether so much waits to become durable that more would only cost memory.
    fn disk_is_behind(&self, log: &dyn LogView) -> bool {
        self.pending_bytes(log) >= self.settings.pull.pending_bytes
    }

    /// The disk has come further: what waited for it goes on.
    pub(super) fn go_on_behind_disk(&mut self, now: Moment, log: &dyn LogView) {
        if std::mem::take(&mut self.waits_for_disk) {
            self.go_on(now, log);
        }
    }

    /// Appends what was kept and the log has reached, and asks for what is missing. Never the one without the other: who
    /// asks takes what is kept for something that comes by itself.
    pub(super) fn go_on(&mut self, now: Moment, log: &dyn LogView) {
        let mut tip = log.tip().clone();
        self.drain(now, &mut tip, log);
        self.ack_due |= tip.place != log.tip().place;
        self.pull(now, &tip, log);
    }

    /// Whether it was pushed, or answers a question of this node: what nobody asked for is no answer.
    fn is_wanted(&mut self, header: &EntriesHeader, lines: &Bytes) -> bool {
        let Some(request) = header.request else { return true };
        let marks_alone = header.count == 0 && !lines.is_empty();
        match self.fetcher.on_answer(request, header.count, marks_alone) {
            Answer::Unknown => false,
            Answer::Wanted { beyond_end } => {
                if beyond_end && self.is_of_session(header) {
                    self.on_end_told(header.length);
                }
                true
            }
        }
    }

    /// The master has nothing where this node believed that it has: whatever told so was mistaken.
    fn on_end_told(&mut self, length: Order) {
        let State::Joined(session) = &mut self.state else { return };
        session.length = length;
        session.goal = session.goal.min(length);
        self.buffer.drop_from(length);
    }

    fn is_of_session(&self, header: &EntriesHeader) -> bool {
        let State::Joined(session) = &self.state else { return false };
        header.epoch == session.epoch
            && header.sender.log_id == self.identity.log_id
            && header.sender.node == self.settings.name
    }

    fn note_arrival(&mut self, now: Moment, header: &EntriesHeader, log: &dyn LogView) {
        let State::Joined(session) = &mut self.state else { return };
        session.last_arrival = session.last_arrival.max(now);
        session.length = session.length.max(header.length);
        // Nearer than this the master pushes: fetching the same would only double the traffic.
        let far = header.length.since(log.tip().place.length) > self.settings.pull.resume_entries;
        if header.request.is_some() && far {
            session.goal = session.goal.max(header.length);
        }
    }

    /// Appends a unit that the log reaches, keeps one that lies behind a gap.
    fn place(&mut self, now: Moment, unit: Unit, tip: &mut Tip) -> Progress {
        if unit.begins_at() <= tip.place {
            return self.append(now, &unit, tip);
        }
        if unit.from <= tip.place.length || unit.from == unit.to {
            // Marks that are missing, and those that something stands before, come with what is fetched.
            return Progress::None;
        }
        self.counters.out_of_order += 1;
        match self.buffer.insert(unit) {
            Insertion::Held => Progress::Some,
            Insertion::Duplicate => {
                self.counters.duplicates += 1;
                Progress::None
            }
            Insertion::Dropped => {
                self.counters.overflowed += 1;
                Progress::None
            }
        }
    }

    /// Appends what has waited for the log to come this far.
    fn drain(&mut self, now: Moment, tip: &mut Tip, log: &dyn LogView) {
        while !self.disk_is_behind(log)
            && let Some(unit) = self.buffer.pop_continuing(tip.place.length)
        {
            self.place(now, unit, tip);
        }
    }

    /// Appends what is new in a unit, if it leads to the master's digest.
    fn append(&mut self, now: Moment, unit: &Unit, tip: &mut Tip) -> Progress {
        let Some(unseen) = lines::unseen(&unit.lines, unit.begins_at(), tip) else {
            return self.refuse(unit, "a line that is held already is malformed".to_owned());
        };
        if unseen.is_empty() {
            self.counters.duplicates += 1;
            return Progress::None;
        }
        match Lines::checked(unseen, tip) {
            Err(error) => self.refuse(unit, error.to_string()),
            Ok(run) if run.tip().digest != unit.digest => self.on_digest_mismatch(now, unit),
            Ok(run) if !self.may_hold(&run) => {
                self.refuse(unit, "it has a mark of a higher epoch than its sender's".to_owned())
            }
            Ok(run) => {
                self.counters.appended += run.entries().len() as u64;
                tip.clone_from(run.tip());
                self.effects.push(Effect::Append(run));
                Progress::Some
            }
        }
    }

    /// Whether a run ends within the epoch that this node follows: a mark above it would outrank the master whose
    /// log this is, and no epoch is believed but after an exchange.
    fn may_hold(&self, run: &Lines) -> bool {
        matches!(&self.state, State::Joined(session) if run.tip().epoch.as_ref() <= Some(&session.epoch))
    }

    fn refuse(&mut self, unit: &Unit, reason: String) -> Progress {
        self.counters.refused += 1;
        if let State::Joined(session) = &mut self.state
            && !std::mem::replace(&mut session.refusal_told, true)
        {
            self.effects.push(Effect::Notice(Notice::EntriesRefused { from: unit.from, reason }));
        }
        Progress::None
    }

    /// The log and the master's differ somewhere before: only a join finds out where.
    fn on_digest_mismatch(&mut self, now: Moment, unit: &Unit) -> Progress {
        self.counters.digest_mismatches += 1;
        self.rejoin_later(now);
        self.refuse(unit, "it does not lead to the master's digest".to_owned())
    }

    /// Looks whether what a heartbeat told of has been pushed; if nothing comes, it is pulled.
    pub(super) fn check_pushes(&mut self, now: Moment, log: &dyn LogView) {
        let State::Joined(session) = &mut self.state else { return };
        if session.check_at.is_none_or(|at| at > now) {
            return;
        }
        session.check_at = None;
        if session.length <= log.tip().place.length {
            return;
        }
        let quiet_at = session.last_arrival.plus(PUSH_QUIET);
        if quiet_at > now {
            session.check_at = Some(quiet_at);
        } else {
            session.goal = session.length;
        }
    }

    /// Asks for what is known to exist and does not come by itself. `tip`: where the log ends once the
    /// effects so far are done.
    pub(super) fn pull(&mut self, now: Moment, tip: &Tip, log: &dyn LogView) {
        let State::Joined(session) = &self.state else { return };
        let pending = self.pending_bytes(log);
        if pending >= self.settings.pull.pending_bytes {
            self.waits_for_disk = true;
            return;
        }
        let at = tip.place.length;
        let ranges = self.fetcher.plan(pending, self.buffer.missing(at, self.pull_end(session)));
        // Fewer than the window may be on their way because of the disk: looked at again when it has come further.
        self.waits_for_disk = pending > 0;
        let mark_only = ranges.is_empty() && session.lacks_mark(tip) && self.fetcher.is_free();
        let mark_only = mark_only.then_some(OrderRange::new(at, at));
        let (epoch, version) = (session.epoch.clone(), session.version);
        for range in ranges.into_iter().chain(mark_only) {
            let (request, sender, epoch) = (self.next_request(), self.sender(version), epoch.clone());
            self.fetcher.start(now, request, range);
            self.counters.fetches += 1;
            let OrderRange { from, to } = range;
            let marks_before = (from == at).then_some(tip.place.marks);
            self.effects.push(Effect::Fetch(Fetch { sender, request, epoch, from, marks_before, to }));
        }
    }

    /// Up to where to pull: the goal, or a unit that is there already. With a crowded buffer only what the
    /// log needs next.
    fn pull_end(&self, session: &Session) -> Order {
        let gaps_end = self.buffer.last_from().unwrap_or(Order::ZERO);
        if self.buffer.is_crowded() { gaps_end } else { gaps_end.max(session.goal) }
    }
}

fn unit_of(header: &EntriesHeader, lines: Bytes) -> Unit {
    let Place { length: from, marks: marks_before } = header.begins_at();
    Unit { from, marks_before, to: from.plus(header.count), lines, digest: header.digest }
}
