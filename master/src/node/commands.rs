//! What callers ask becomes events of the core, and their waits are kept until they are answered.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use replog_core::master::{Event, events::WaitId};
use replog_host::bus::Bus;
use replog_shared::{WallTime, store::Store};
use tracing::warn;

use super::{Node, handle::Command, surroundings::Waiter};
use crate::telemetry::Arrival;

/// The time of day; 1970 on a machine whose clock stands before it.
pub(super) fn wall_clock() -> WallTime {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_ms(since_1970.as_millis().try_into().unwrap_or(u64::MAX))
}

impl<S: Store, B: Bus> Node<S, B> {
    pub(super) fn on_command(&mut self, command: Command) {
        let now = self.env.now();
        let deadline = |timeout: Option<Duration>| timeout.map(|timeout| now.plus(timeout));
        match command {
            Command::Append { mut append, arrived, trace, timeout, may_wait, answer } => {
                append.deadline = deadline(timeout);
                let segment = trace.map(|trace| self.env.telemetry.enter(trace));
                let arrival = Arrival { at: self.env.moment(arrived), w: append.w, segment };
                let wait = self.wait_id(Waiter { answer, append: Some(arrival) });
                self.bring(now, Event::Append { wait, append, may_wait }, 0);
            }
            Command::Clean { mut append, by, timeout, answer } => {
                append.deadline = deadline(timeout);
                let wait = self.wait_id(Waiter { answer, append: None });
                let (dropped, cuts) = (self.driver.log().tip().place.length, self.env.held.cuts());
                self.bring(now, Event::Clean { wait, append }, 0);
                if self.env.held.cuts() != cuts {
                    warn!(client = %by, entries.dropped = %dropped, "the log was emptied on request");
                }
            }
            Command::Wait { order, w, timeout, may_wait, answer } => {
                let wait = self.wait_id(Waiter { answer, append: None });
                self.bring(now, Event::Wait { wait, order, w, deadline: deadline(timeout), may_wait }, 0);
            }
            Command::Health { waiting, answer } => {
                // Who asked may have gone; then nobody wants to know.
                let _nobody_asks_any_more = answer.send(self.health(now, waiting));
            }
            Command::Figures { answer } => {
                let _nobody_asks_any_more = answer.send(self.figures(now));
            }
        }
    }

    fn wait_id(&mut self, waiter: Waiter) -> WaitId {
        WaitId(self.env.waiters.insert(waiter))
    }
}
