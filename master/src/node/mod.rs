//! The one task that owns the driver of the core, the log and the bus.
//!
//! | file | holds |
//! | --- | --- |
//! | `handle` | what others ask of the node, and how |
//! | `commands`, `events` | what callers ask, and what the bus brings, becomes events of the core |
//! | `surroundings` | what the driver cannot do itself: the bus, the callers, what is counted and told |
//! | `report`, `notices` | the node as `/health` shows it; what an operator is told |
//! | `limits` | every size and interval, with its reason |

mod commands;
mod events;
mod handle;
mod limits;
mod notices;
mod report;
mod surroundings;

use replog_core::{
    driver::{Driver, End},
    master::{Event, MasterCore, Over, Translator, events::WaitId},
};
use replog_host::{
    bus::{Bus, BusEvent},
    commands::Commands,
    held::{Held, HeldFailure, Settled, settle},
    reads::ColdReads,
    spans::Spans,
    storage::Storage,
};
use replog_shared::{Moment, store::Store};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::words;

use handle::Command;
use limits::{BURST, COMMANDS, SWEEP_INTERVAL};
use surroundings::Surroundings;

pub use handle::{Handle, Readiness};
pub use report::{HealthReport, SecondaryReport};

/// What wakes the node.
enum Wake {
    Command(Command),
    Bus(BusEvent),
    /// The store, or the clock.
    News,
}

/// The node cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeFailure {
    /// Not with the log and the identity that it holds.
    #[error(transparent)]
    Held(#[from] HeldFailure),
    /// The promotion that the operator asked for did not come about.
    #[error("{0}")]
    NotPromoted(String),
    /// It has told what a promotion would do, which was all that was wanted.
    #[error("{0}")]
    DryRun(String),
}

impl From<End<Over>> for NodeFailure {
    fn from(end: End<Over>) -> NodeFailure {
        match end {
            End::Failed(failure) => HeldFailure::from(failure).into(),
            End::Over(Over::NotPromoted { reason, aftermath }) => {
                NodeFailure::NotPromoted(words::not_promoted(&reason, aftermath))
            }
            End::Over(Over::DryRun { report }) => NodeFailure::DryRun(words::report(&report)),
        }
    }
}

/// The node: run it with [`Node::run`].
pub struct Node<S: Store, B> {
    driver: Driver<MasterCore, S>,
    env: Surroundings<S, B>,
    cold: ColdReads<S::Reader>,
    commands: mpsc::Receiver<Command>,
    readiness: watch::Sender<Readiness>,
    swept_at: Instant,
}

impl<S: Store, B: Bus> Node<S, B> {
    /// A node whose spans go there, and the handle to it.
    pub fn new(
        core: MasterCore,
        storage: Storage<S>,
        bus: B,
        translator: Translator,
        spans: Spans,
    ) -> (Node<S, B>, Handle<S::Reader>) {
        let (log, held) = Held::new(storage);
        let (commands, queue) = Commands::new(COMMANDS);
        let (readiness, readiness_receiver) = watch::channel(Readiness::default());
        let (reads, shown, cold) = (held.reads(), held.shown(), held.cold_reads());
        let handle = Handle { commands, reads, shown, readiness: readiness_receiver };
        let env = Surroundings::new(core.nodes(), &log, held, bus, translator, spans);
        let driver = Driver::new(core, log);
        let swept_at = env.started;
        (Node { driver, env, cold, commands: queue, readiness, swept_at }, handle)
    }

    /// Runs until `stop`; then tells every waiting caller, sends what is queued, makes the log durable and
    /// returns, in less than 10 s.
    ///
    /// # Errors
    /// The node cannot go on, or not even stop well, and has stopped at once. Callers that wait are not told what became
    /// of their writes, since nobody knows.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), NodeFailure> {
        let news = self.env.held.news().clone();
        let settled = match self.serve(stop).await {
            Ok(()) => settle(&mut self.driver, &mut self.env, &news).await.map_err(NodeFailure::from),
            Err(failure) => Err(failure),
        };
        match settled {
            Ok(settled) => self.shut_down(settled).await,
            Err(refused @ (NodeFailure::NotPromoted(_) | NodeFailure::DryRun(_))) => {
                self.leave().await;
                Err(refused)
            }
            Err(failure) => {
                self.env.held.fail(self.driver.into_log()).await;
                Err(failure)
            }
        }
    }

    /// Stops a node that has not led: its directory is left as after a clean stop, so that the next start still knows
    /// where the log ended.
    pub(crate) async fn leave(self) {
        let Surroundings { bus, held, .. } = self.env;
        bus.close().await;
        held.leave(self.driver.into_log()).await;
    }

    /// Runs until `stop`.
    async fn serve(&mut self, stop: CancellationToken) -> Result<(), NodeFailure> {
        let news = self.env.held.news().clone();
        let sleep = sleep_until(self.env.started);
        tokio::pin!(sleep);
        loop {
            let wake = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(command) = self.commands.recv() => Wake::Command(command),
                event = self.env.bus.next() => Wake::Bus(event),
                () = news.notified() => Wake::News,
                () = &mut sleep => Wake::News,
            };
            self.turn(wake)?;
            let due = self.next_wake_up();
            // Waking up too early costs one empty turn; setting the timer costs more, at every turn.
            if due < sleep.deadline() || sleep.deadline() <= Instant::now() {
                sleep.as_mut().reset(due);
            }
        }
    }

    /// Takes in what woke this node, and all else that is there.
    fn turn(&mut self, wake: Wake) -> Result<(), NodeFailure> {
        self.driver.refresh(&mut self.env);
        // A log that cannot be relied on is looked at no more.
        if let Some(end) = self.driver.take_end() {
            return Err(end.into());
        }
        self.driver.core_mut().on_wall_clock(commands::wall_clock());
        self.cold.deliver(self.env.now(), &mut self.driver, &mut self.env);
        match wake {
            Wake::Command(command) => self.on_command(command),
            Wake::Bus(event) => self.on_bus(event),
            Wake::News => {}
        }
        self.take_burst();
        self.on_burst_end();
        self.cold.begin(&mut self.driver);
        self.driver.take_end().map_or(Ok(()), |end| Err(end.into()))
    }

    /// Answers speak of what is durable: first the log, then the callers. A disk that stands still is not waited for
    /// longer than callers wait.
    async fn shut_down(mut self, settled: Settled) -> Result<(), NodeFailure> {
        self.driver.stop(self.env.now(), &mut self.env);
        self.give_up_waiters();
        let Surroundings { bus, held, .. } = self.env;
        bus.close().await;
        Ok(held.end(self.driver.into_log(), settled).await?)
    }

    /// Lets go who was not told anything yet: nobody knows what became of what they asked for.
    fn give_up_waiters(&mut self) {
        self.commands.close();
        while self.commands.try_recv().is_ok() {}
        self.env.waiters.clear();
    }

    fn bring(&mut self, now: Moment, event: Event, bytes: usize) {
        self.driver.bring(now, event, bytes, &mut self.env);
    }

    fn next_wake_up(&self) -> Instant {
        let sweep = self.swept_at + SWEEP_INTERVAL;
        let deadline = self.driver.next_deadline();
        deadline.map_or(sweep, |moment| sweep.min(self.env.started + moment.since_start()))
    }

    fn take_burst(&mut self) {
        for _ in 0..BURST {
            if let Ok(command) = self.commands.try_recv() {
                self.on_command(command);
            } else if let Some(event) = self.env.bus.try_next() {
                self.on_bus(event);
            } else {
                break;
            }
        }
    }

    fn on_burst_end(&mut self) {
        self.sweep_hung_up();
        let now = self.env.now();
        self.driver.end_burst(now, &mut self.env);
        if self.driver.core().is_held_back_by_limit() {
            self.env.bus.suspect_limit();
        }
        self.env.telemetry.on_burst_end(now, self.driver.log().durable().length);
        self.show(now);
    }

    /// Forgets the waits of callers that hung up. Their number is bounded by the connections of the edge.
    fn sweep_hung_up(&mut self) {
        if self.swept_at.elapsed() < SWEEP_INTERVAL {
            return;
        }
        self.swept_at = Instant::now();
        for wait in self.env.take_hung_up() {
            self.driver.on_hang_up(WaitId(wait));
        }
    }

    fn show(&self, now: Moment) {
        let (core, log) = (self.driver.core(), self.driver.log());
        self.env.held.show(log, core.log_id());
        let state = Readiness {
            bus_is_up: core.bus_is_up(),
            leading: core.reigns(log),
            has_epoch: core.epoch().is_some(),
            other_log: core.rival_log(now),
        };
        self.readiness.send_if_modified(|readiness| std::mem::replace(readiness, state) != state);
    }
}

#[cfg(test)]
mod tests;
