//! What callers ask becomes events of the core, and their waits are kept until they are answered.

use std::time::Duration;

use replog_host::bus::Bus;
use replog_shared::{limits::STORE_PENDING_BYTES, store::Store};
use tokio::{sync::oneshot, time::Instant};
use tracing::warn;

use super::{Node, handle::Command, limits::SWEEP_INTERVAL};
use crate::core::events::{Refusal, WaitId, WriteOutcome};

impl<S: Store, B: Bus> Node<S, B> {
    pub(super) fn on_command(&mut self, command: Command) {
        let now = self.now();
        let deadline = |timeout: Option<Duration>| timeout.map(|timeout| now.plus(timeout));
        match command {
            Command::Append { answer, .. } if self.held.log().pending_bytes() > STORE_PENDING_BYTES => {
                // Who hung up does not want to know.
                let _hung_up = answer.send(WriteOutcome::Refused(Refusal::Overloaded));
            }
            Command::Append { mut append, timeout, answer } => {
                append.deadline = deadline(timeout);
                let wait = self.wait_id(answer);
                self.core.on_append(now, wait, append, self.held.log());
            }
            Command::Clean { mut append, by, timeout, answer } => {
                append.deadline = deadline(timeout);
                let wait = self.wait_id(answer);
                let (dropped, cuts) = (self.held.log().tip().place.length, self.held.cuts());
                self.core.on_clean(now, wait, append, self.held.log());
                self.execute();
                if self.held.cuts() != cuts {
                    warn!(client = %by, entries.dropped = %dropped, "the log was emptied on request");
                }
            }
            Command::Wait { order, w, timeout, answer } => {
                let wait = self.wait_id(answer);
                self.core.on_wait(wait, order, w, deadline(timeout), self.held.log());
            }
            Command::Health { answer } => {
                // Who asked may have gone; then nobody wants to know.
                let _nobody_asks_any_more = answer.send(self.health(now));
            }
        }
        self.execute();
    }

    fn wait_id(&mut self, answer: oneshot::Sender<WriteOutcome>) -> WaitId {
        WaitId(self.waiters.insert(answer))
    }

    /// Forgets the waits of callers that hung up. Their number is bounded by the connections of the edge.
    pub(super) fn sweep_hung_up(&mut self) {
        if self.swept_at.elapsed() < SWEEP_INTERVAL {
            return;
        }
        self.swept_at = Instant::now();
        let core = &mut self.core;
        self.waiters.retain(|wait, answer| {
            let gone = answer.is_closed();
            if gone {
                core.on_hang_up(WaitId(wait));
            }
            !gone
        });
    }

    pub(super) fn answer(&mut self, wait: WaitId, outcome: WriteOutcome) {
        if let Some(answer) = self.waiters.try_remove(wait.0) {
            // A caller that hung up in this very moment wants no answer.
            let _hung_up = answer.send(outcome);
        }
    }
}
