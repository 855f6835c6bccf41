//! What callers ask becomes events of the core, and their waits are kept until they are answered.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use replog_host::bus::Bus;
use replog_shared::{Moment, WallTime, limits::STORE_PENDING_BYTES, store::Store};
use tokio::time::Instant;
use tracing::warn;

use super::{Node, Waiter, handle::Command, limits::SWEEP_INTERVAL, parked::Late};
use crate::telemetry::Arrival;
use replog_core::master::events::{Append, Refusal, Shortage, WaitId, WriteOutcome};

/// The time of day; 1970 on a machine whose clock stands before it.
pub(super) fn wall_clock() -> WallTime {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_ms(since_1970.as_millis().try_into().unwrap_or(u64::MAX))
}

impl<S: Store, B: Bus> Node<S, B> {
    pub(super) fn on_command(&mut self, command: Command) {
        let now = self.now();
        let deadline = |timeout: Option<Duration>| timeout.map(|timeout| now.plus(timeout));
        match command {
            Command::Append { mut append, arrived, trace, timeout, may_wait, answer } => {
                append.deadline = deadline(timeout);
                let segment = trace.map(|trace| self.telemetry.enter(trace));
                let arrival = Arrival { at: self.moment(arrived), w: append.w, segment };
                let wait = self.wait_id(Waiter { answer, append: Some(arrival) });
                self.bring(now, Late::Append { wait, append, may_wait });
            }
            Command::Clean { mut append, by, timeout, answer } => {
                append.deadline = deadline(timeout);
                let wait = self.wait_id(Waiter { answer, append: None });
                let (dropped, cuts) = (self.held.log().tip().place.length, self.held.cuts());
                self.core.on_clean(now, wait, append, self.held.log());
                self.execute(now);
                if self.held.cuts() != cuts {
                    warn!(client = %by, entries.dropped = %dropped, "the log was emptied on request");
                }
            }
            Command::Wait { order, w, timeout, may_wait, answer } => {
                let wait = self.wait_id(Waiter { answer, append: None });
                self.bring(now, Late::Wait { wait, order, w, deadline: deadline(timeout), may_wait });
            }
            Command::Health { waiting, answer } => {
                // Who asked may have gone; then nobody wants to know.
                let _nobody_asks_any_more = answer.send(self.health(now, waiting));
            }
            Command::Figures { answer } => {
                let _nobody_asks_any_more = answer.send(self.figures(now));
            }
        }
        self.execute(now);
    }

    /// A caller's append comes to the core.
    pub(super) fn append(&mut self, now: Moment, wait: WaitId, append: Append, may_wait: bool) {
        let arrival = self.waiters.get(wait.0).and_then(|waiter| waiter.append);
        self.telemetry.on_caller(arrival);
        self.core.on_wall_clock(wall_clock());
        match self.shortage(may_wait) {
            None => self.core.on_append(now, wait, append, self.held.log()),
            Some(short_of) => {
                self.core.on_append_without_room(now, wait, append, short_of, self.held.log());
            }
        }
        self.execute(now);
        self.telemetry.on_caller(None);
    }

    /// What there is no room for now, of an append that may wait for other nodes or not.
    fn shortage(&self, may_wait: bool) -> Option<Shortage> {
        let is_full = self.held.log().pending_bytes() > STORE_PENDING_BYTES;
        if !may_wait { Some(Shortage::Waits) } else { is_full.then_some(Shortage::Storage) }
    }

    fn wait_id(&mut self, waiter: Waiter) -> WaitId {
        WaitId(self.waiters.insert(waiter))
    }

    /// Forgets the waits of callers that hung up. Their number is bounded by the connections of the edge.
    pub(super) fn sweep_hung_up(&mut self) {
        if self.swept_at.elapsed() < SWEEP_INTERVAL {
            return;
        }
        self.swept_at = Instant::now();
        let now = self.now();
        let (core, telemetry) = (&mut self.core, &mut self.telemetry);
        self.waiters.retain(|wait, waiter| {
            let gone = waiter.answer.is_closed();
            if gone {
                core.on_hang_up(WaitId(wait));
                waiter.append.into_iter().for_each(|arrival| telemetry.on_hung_up(now, arrival));
            }
            !gone
        });
        self.forget_hung_up();
    }

    pub(super) fn answer(&mut self, now: Moment, wait: WaitId, outcome: WriteOutcome) {
        if matches!(outcome, WriteOutcome::Refused(Refusal::TooLarge { .. })) {
            self.bus.suspect_limit();
        }
        if let Some(Waiter { answer, append }) = self.waiters.try_remove(wait.0) {
            append.into_iter().for_each(|arrival| self.telemetry.on_answered(now, arrival, &outcome));
            // A caller that hung up in this very moment wants no answer.
            let _hung_up = answer.send(outcome);
        }
    }
}
