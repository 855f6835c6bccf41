//! The real secondary core and its driver over a simulated disk, and what surrounds them.

mod surroundings;

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use replog_core::{
    driver::{Driver, End},
    packet::Incoming,
    secondary::{Event, Faults, PullLimits, SecondaryCore, Settings, Status},
};
use replog_shared::{
    Lines, Moment,
    entry::EntryLine,
    mark::Mark,
    store::{LogView, Store as _},
    wire::EntriesHeader,
};

use super::{
    Mutant,
    coverage::Path,
    disk::{Cuts, Disk, Lies},
    hub::Hub,
    node::Birth,
    reads::Reads,
};
use surroundings::{Around, Surroundings};

/// What comes to a secondary.
#[derive(Debug)]
pub(super) enum Input {
    Packet(Incoming),
    Up { max_payload: usize },
    Down,
}

/// One process.
#[derive(Debug)]
pub(super) struct Secondary {
    driver: Driver<SecondaryCore, Disk>,
    around: Around,
    started: u64,
    now: u64,
    inbox: VecDeque<Input>,
    reads: Reads,
    pull: PullLimits,
}

impl Secondary {
    pub(super) fn start(birth: Birth<'_>, faults: Faults, disk: Disk, hub: &mut Hub) -> Secondary {
        let Birth { now, index, names, log, plan, incarnation, seed } = birth;
        let mut disk = disk.reopened(false);
        disk.store.keep_in_memory(plan.tail_of(index));
        disk.store.lie(if hub.is(Mutant::AckedBeforeSync) { Lies::All } else { Lies::None });
        disk.cuts = if hub.is(Mutant::CutSkipped) { Cuts::Skipped } else { Cuts::AsTold };
        disk.tells_too_early = hub.is(Mutant::SaidBeforeSaved);
        hub.oracle.on_start(index, disk.identity.whole, &disk.store);
        let settings = Settings {
            name: names[index].clone(),
            incarnation,
            durability: plan.level_of(index),
            heartbeat_interval: plan.heartbeat,
            pull: plan.pull,
            faults,
            outline_marks: plan.outline_marks,
            // Few, so that a log has several pages.
            page_bytes: plan.push.envelope_bytes,
        };
        let around = Around::new(index, log, &settings.name);
        let core = SecondaryCore::new(settings, disk.identity.clone(), Moment::default(), seed);
        Secondary {
            driver: Driver::new(core, disk),
            around,
            started: now,
            now,
            inbox: VecDeque::new(),
            reads: Reads::default(),
            pull: plan.pull,
        }
    }

    pub(super) fn push(&mut self, input: Input) {
        self.inbox.push_back(input);
    }

    /// When it must be woken, in microseconds of the simulation.
    pub(super) fn wake_at(&self) -> Option<u64> {
        let at = |deadline: Moment| self.started + deadline.since_start().as_nanos().div_ceil(1_000) as u64;
        let deadline = self.driver.next_deadline().map(at);
        Some(deadline.into_iter().chain(self.reads.next_at()).min()?.max(self.now))
    }

    pub(super) fn status(&self) -> Status {
        self.driver.core().status(self.moment(), self.disk())
    }

    /// Whether it hears no master.
    pub(super) fn hears_nobody(&self, now: u64) -> bool {
        let now = Moment::after_start(Duration::from_micros(now - self.started));
        self.driver.core().hears(now).is_none()
    }

    pub(super) const fn disk(&self) -> &Disk {
        self.driver.log()
    }

    pub(super) const fn disk_mut(&mut self) -> &mut Disk {
        self.driver.log_mut()
    }

    pub(super) fn into_disk(self) -> Disk {
        self.driver.into_log()
    }

    pub(super) fn stop_faults(&mut self) {
        let moment = self.moment();
        self.driver.core_mut().set_faults(moment, Faults::default());
    }

    fn moment(&self) -> Moment {
        Moment::after_start(Duration::from_micros(self.now - self.started))
    }

    /// Takes all that has come, as one burst.
    pub(super) fn turn(&mut self, now: u64, hub: &mut Hub) {
        self.now = now;
        self.take_all(hub);
        if let Some(End::Failed(failure)) = self.driver.take_end()
            && !hub.crashed
        {
            hub.oracle.found(|| failure.to_string());
        }
        if hub.crashed {
            return;
        }
        let due = self.driver.core().next_deadline().is_some_and(|deadline| deadline <= self.moment());
        if due {
            let index = self.around.index;
            hub.oracle.found(|| format!("s{index} spins: a deadline stays due"));
        }
        hub.check_shown(self.around.index, &self.disk().store);
    }

    fn take_all(&mut self, hub: &mut Hub) {
        let moment = self.moment();
        let sent = hub.sent.len();
        self.driver.refresh(&mut Surroundings { around: &mut self.around, hub });
        hub.coverage.add(Path::WaitedForDisk, (hub.sent.len() - sent) as u64);
        while let Some((turn, lines)) = self.reads.next_done(self.now) {
            self.around.parked = self.driver.parked().0;
            self.driver.on_read(moment, turn, lines, &mut Surroundings { around: &mut self.around, hub });
        }
        while let Some(input) = self.inbox.pop_front().filter(|_| !hub.crashed) {
            match input {
                Input::Packet(packet) => self.on_packet(&packet, hub),
                Input::Up { max_payload } => self.bring(Event::BusUp { max_payload }, hub),
                Input::Down => self.bring(Event::BusDown, hub),
            }
        }
        self.driver.end_burst(moment, &mut Surroundings { around: &mut self.around, hub });
        self.reads.begin(self.now, &mut self.driver);
    }

    fn bring(&mut self, event: Event, hub: &mut Hub) {
        let moment = self.moment();
        self.around.parked = self.driver.parked().0;
        self.driver.bring(moment, event, 0, &mut Surroundings { around: &mut self.around, hub });
    }

    /// The bounds that must hold at any time, and what its counters tell.
    pub(super) fn check_at_end(&self, hub: &mut Hub) {
        let status = self.status();
        let PullLimits { buffer_bytes, window_ranges, .. } = self.pull;
        if status.buffered_bytes > buffer_bytes || status.fetches_in_flight > window_ranges {
            hub.oracle.found(|| "bounded: a secondary keeps or asks for more than it may".to_owned());
        }
        let counters = status.counters;
        hub.coverage.add(Path::GapFilled, counters.out_of_order);
        hub.coverage.add(Path::DuplicateDropped, counters.duplicates);
        hub.coverage.add(Path::StaleEpochRefused, counters.stale);
        hub.coverage.add(Path::DamageRefused, counters.refused);
    }

    fn on_packet(&mut self, packet: &Incoming, hub: &mut Hub) {
        match self.around.translator.read(packet) {
            Ok(Event::Entries(header, lines)) => self.on_entries(header, lines, hub),
            Ok(event) => {
                hub.coverage.add(Path::NoResponders, matches!(event, Event::Unanswered).into());
                if let Event::JoinAnswer(answer) = &event
                    && hub.is(Mutant::CutAtLength)
                {
                    self.disk_mut().cuts = Cuts::At(answer.length);
                }
                self.bring(event, hub);
            }
            Err(_) => hub.coverage.hit(Path::DamageRefused),
        }
    }

    fn on_entries(&mut self, mut header: EntriesHeader, lines: Bytes, hub: &mut Hub) {
        let blind = match header.request {
            Some(_) => Mutant::FetchedAppendedBlindly,
            None => Mutant::PushedAppendedBlindly,
        };
        let fence = self.status().fence;
        if hub.is(Mutant::OldEntriesTaken) {
            header.epoch = fence.clone().unwrap_or(header.epoch);
        }
        if hub.is(blind) && fence.as_ref() == Some(&header.epoch) {
            return self.append_blindly(&lines, hub);
        }
        if hub.is(Mutant::AckOfHighestReceived) {
            let end = (header.from.plus(header.count), header.digest);
            self.around.highest = self.around.highest.max(end);
        }
        self.bring(Event::Entries(header, lines), hub);
    }

    fn append_blindly(&mut self, lines: &Bytes, hub: &mut Hub) {
        let entries: Vec<&[u8]> =
            lines.split_inclusive(|byte| *byte == b'\n').filter(|line| !Mark::is_mark(line)).collect();
        let ends = entries.iter().scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        });
        let tip = self.disk().tip();
        let last = entries.last().and_then(|line| EntryLine::parse(line).ok()?.at);
        let at = last.or(tip.at).unwrap_or_default();
        let run = Lines::of_entries(entries.concat().into(), ends, at, tip);
        let _taken = self.disk_mut().append(&run);
        Surroundings { around: &mut self.around, hub }.appended(&run, self.driver.core(), self.driver.log());
    }
}
