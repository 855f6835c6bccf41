//! The one task that owns the core, the log and the bus, and executes what the core decides.
//!
//! | file | holds |
//! | --- | --- |
//! | `handle` | what others ask of the node, and how |
//! | `commands`, `events` | what callers ask, and what the bus brings, becomes events of the core |
//! | `effects` | what the core decides is done |
//! | `parked` | what waits until old parts of the log were read |
//! | `report`, `notices` | the node as `/health` shows it; what an operator is told |
//! | `limits` | every size and interval, with its reason |

mod commands;
mod effects;
mod events;
mod handle;
mod limits;
mod notices;
mod parked;
mod report;

use replog_host::{
    bus::{Bus, BusEvent},
    commands::Commands,
    held::{Held, HeldFailure, Settled},
    outbox::Outbox,
    parking::Parking,
    spans::Spans,
    storage::Storage,
};
use replog_shared::{Moment, store::Store};
use slab::Slab;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{RefusedCounts, Translator},
    telemetry::{Arrival, Telemetry},
};
use replog_core::master::{Effect, MasterCore, events::WriteOutcome};

use effects::Said;
use handle::Command;
use limits::{BURST, COMMANDS, SWEEP_INTERVAL};
use parked::Late;

pub use handle::{Handle, Readiness};
pub use report::{HealthReport, SecondaryReport};

/// A caller that waits.
struct Waiter {
    answer: oneshot::Sender<WriteOutcome>,
    /// If it waits for an append of its own.
    append: Option<Arrival>,
}

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

/// The node: run it with [`Node::run`].
pub struct Node<S: Store, B> {
    core: MasterCore,
    held: Held<S>,
    /// Why this node must stop.
    failure: Option<NodeFailure>,
    bus: B,
    /// What waits for a save or a cut.
    outbox: Outbox<Said>,
    /// What waits for old parts of the log to be read.
    parking: Parking<Late>,
    /// The next step of a start is among them.
    deadline_waits: bool,
    translator: Translator,
    commands: mpsc::Receiver<Command>,
    waiters: Slab<Waiter>,
    readiness: watch::Sender<Readiness>,
    started: Instant,
    swept_at: Instant,
    refused: RefusedCounts,
    effects: Vec<Effect>,
    telemetry: Telemetry,
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
        let held = Held::new(storage);
        let (length, bytes) = (held.log().durable().length, held.log().figures().bytes);
        let telemetry = Telemetry::new(core.nodes(), length, bytes, spans);
        let (commands, queue) = Commands::new(COMMANDS);
        let (readiness, readiness_receiver) = watch::channel(Readiness::default());
        let (reads, shown) = (held.reads(), held.shown());
        let handle = Handle { commands, reads, shown, readiness: readiness_receiver };
        let now = Instant::now();
        let node = Node {
            core,
            held,
            failure: None,
            bus,
            outbox: Outbox::default(),
            parking: Parking::default(),
            deadline_waits: false,
            translator,
            commands: queue,
            waiters: Slab::new(),
            readiness,
            started: now,
            swept_at: now,
            refused: RefusedCounts::default(),
            effects: Vec::new(),
            telemetry,
        };
        (node, handle)
    }

    /// Runs until `stop`; then tells every waiting caller, sends what is queued, makes the log durable and
    /// returns, in less than 10 s.
    ///
    /// # Errors
    /// The node cannot go on, or not even stop well, and has stopped at once. Callers that wait are not told what became
    /// of their writes, since nobody knows.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), NodeFailure> {
        let settled = match self.serve(stop).await {
            Ok(()) => self.held.settle().await.map_err(NodeFailure::from),
            Err(failure) => Err(failure),
        };
        match settled {
            Ok(settled) => self.shut_down(settled).await,
            Err(refused @ (NodeFailure::NotPromoted(_) | NodeFailure::DryRun(_))) => {
                self.leave().await;
                Err(refused)
            }
            Err(failure) => {
                self.held.fail().await;
                Err(failure)
            }
        }
    }

    /// Stops a node that has not led: its directory is left as after a clean stop, so that the next start still knows
    /// where the log ended.
    pub(crate) async fn leave(self) {
        self.bus.close().await;
        self.held.leave().await;
    }

    /// Runs until `stop`.
    async fn serve(&mut self, stop: CancellationToken) -> Result<(), NodeFailure> {
        let sleep = sleep_until(self.started);
        tokio::pin!(sleep);
        loop {
            let wake = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(command) = self.commands.recv() => Wake::Command(command),
                event = self.bus.next() => Wake::Bus(event),
                () = self.held.news().notified() => Wake::News,
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
        self.held.refresh()?;
        self.release(self.now());
        self.take_up_parked();
        match wake {
            Wake::Command(command) => self.on_command(command),
            Wake::Bus(event) => self.on_bus(event),
            Wake::News => {}
        }
        self.take_burst();
        self.on_burst_end();
        self.read_for_parked();
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Answers speak of what is durable: first the log, then the callers. A disk that stands still is not waited for
    /// longer than callers wait.
    async fn shut_down(mut self, settled: Settled) -> Result<(), NodeFailure> {
        let now = self.now();
        self.release(now);
        self.core.on_stop(now, self.held.log());
        self.execute(now);
        self.give_up_parked(now);
        self.give_up_waiters();
        self.bus.close().await;
        Ok(self.held.end(settled).await?)
    }

    /// Lets go who was not told anything yet: nobody knows what became of what they asked for.
    fn give_up_waiters(&mut self) {
        self.commands.close();
        while self.commands.try_recv().is_ok() {}
        self.waiters.clear();
    }

    fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    fn moment(&self, instant: Instant) -> Moment {
        Moment::after_start(instant.saturating_duration_since(self.started))
    }

    fn next_wake_up(&self) -> Instant {
        // What is due and waits for the disk goes on when that has news.
        let core = self.core.next_deadline().filter(|_| !self.deadline_waits);
        let deadline = core.into_iter().chain(self.next_overdue()).min();
        let sweep = self.swept_at + SWEEP_INTERVAL;
        deadline.map_or(sweep, |moment| sweep.min(self.started + moment.since_start()))
    }

    fn take_burst(&mut self) {
        for _ in 0..BURST {
            if let Ok(command) = self.commands.try_recv() {
                self.on_command(command);
            } else if let Some(event) = self.bus.try_next() {
                self.on_bus(event);
            } else {
                break;
            }
        }
    }

    fn on_burst_end(&mut self) {
        let now = self.now();
        if self.core.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.on_deadline(now);
        }
        self.core.on_wall_clock(commands::wall_clock());
        self.take_up_held(now);
        self.sweep_hung_up();
        self.core.on_burst_end(now, self.held.log());
        self.execute(now);
        if self.core.is_held_back_by_limit() {
            self.bus.suspect_limit();
        }
        self.telemetry.on_burst_end(now, self.held.log().durable().length);
        self.show(now);
    }

    fn show(&self, now: Moment) {
        self.held.show(self.core.log_id());
        let state = Readiness {
            bus_is_up: self.core.bus_is_up(),
            leading: self.core.reigns(self.held.log()),
            has_epoch: self.core.epoch().is_some(),
            other_log: self.core.rival_log(now),
        };
        self.readiness.send_if_modified(|readiness| std::mem::replace(readiness, state) != state);
    }
}

#[cfg(test)]
mod tests;
