//! The one task that owns the core, the log and the bus, and executes what the core decides.
//!
//! | file | holds |
//! | --- | --- |
//! | `handle` | what others ask of the node, and how |
//! | `commands`, `events` | what callers ask, and what the bus brings, becomes events of the core |
//! | `effects` | what the core decides is done |
//! | `parked` | what waits until old parts of the log were read |
//! | `report`, `notices` | the node as `/health` shows it; what an operator is told |
//! | `limits` | every size, with its reason |

mod commands;
mod effects;
mod events;
mod handle;
mod limits;
mod notices;
mod parked;
mod report;

use std::time::Instant;

use replog_host::{
    bus::{Bus, BusEvent, Outgoing},
    commands::Commands,
    held::{Held, HeldFailure, Settled},
    outbox::Outbox,
    parking::Parking,
    spans::Spans,
    storage::Storage,
};
use replog_shared::{Moment, limits::DEFAULT_MAX_PAYLOAD_BYTES, store::Store};
use tokio::{
    select,
    sync::{mpsc, watch},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{Event, Translator},
    telemetry::Telemetry,
};
use replog_core::secondary::SecondaryCore;

use handle::{Command, Facts};
use limits::{BURST, COMMANDS};

pub(crate) use handle::Handle;
pub(crate) use report::HealthReport;

/// What wakes the node.
enum Wake {
    Command(Command),
    Bus(BusEvent),
    /// The store, or the clock.
    News,
}

/// The node: run it with [`Node::run`].
pub(crate) struct Node<S: Store, B> {
    core: SecondaryCore,
    held: Held<S>,
    /// Why this node must stop.
    failure: Option<HeldFailure>,
    bus: B,
    /// What waits for a save or a cut.
    outbox: Outbox<Outgoing>,
    /// What waits for old parts of the log to be read.
    parking: Parking<Event>,
    /// Packets that found no room there.
    dropped: u64,
    translator: Translator,
    commands: mpsc::Receiver<Command>,
    facts: watch::Sender<Facts>,
    started: Instant,
    bus_is_up: bool,
    /// The most bytes that NATS takes in one packet.
    max_payload: usize,
    telemetry: Telemetry,
}

impl<S: Store, B: Bus> Node<S, B> {
    /// A node whose spans go there, and the handle to it.
    pub(crate) fn new(
        core: SecondaryCore,
        storage: Storage<S>,
        bus: B,
        translator: Translator,
        spans: Spans,
    ) -> (Node<S, B>, Handle<S::Reader>) {
        let held = Held::new(storage);
        let (commands, queue) = Commands::new(COMMANDS);
        let (facts, facts_receiver) = watch::channel(Facts::default());
        let handle = Handle { commands, reads: held.reads(), shown: held.shown(), facts: facts_receiver };
        let node = Node {
            core,
            held,
            failure: None,
            bus,
            outbox: Outbox::default(),
            parking: Parking::default(),
            dropped: 0,
            translator,
            commands: queue,
            facts,
            started: Instant::now(),
            bus_is_up: false,
            max_payload: DEFAULT_MAX_PAYLOAD_BYTES,
            telemetry: Telemetry::new(spans),
        };
        (node, handle)
    }

    /// Runs until `stop`; then sends what is queued, leaves the bus, makes the log durable and returns.
    ///
    /// # Errors
    /// The node cannot go on, and has stopped at once.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), HeldFailure> {
        let settled = match self.serve(stop).await {
            Ok(()) => self.held.settle().await,
            Err(failure) => Err(failure),
        };
        match settled {
            Ok(settled) => self.shut_down(settled).await,
            Err(failure) => {
                self.held.fail().await;
                Err(failure)
            }
        }
    }

    /// Runs until `stop`.
    async fn serve(&mut self, stop: CancellationToken) -> Result<(), HeldFailure> {
        while let Some(wake) = self.wake(&stop).await {
            self.turn(wake)?;
        }
        Ok(())
    }

    async fn shut_down(mut self, settled: Settled) -> Result<(), HeldFailure> {
        self.release();
        self.bus.close().await;
        self.held.end(settled).await
    }

    /// Waits for something to happen; none: the node is to stop.
    async fn wake(&mut self, stop: &CancellationToken) -> Option<Wake> {
        let deadline = self.core.next_deadline();
        let instant = self.started + deadline.unwrap_or_default().since_start();
        select! {
            () = stop.cancelled() => None,
            event = self.bus.next() => Some(Wake::Bus(event)),
            Some(command) = self.commands.recv() => Some(Wake::Command(command)),
            () = self.held.news().notified() => Some(Wake::News),
            () = sleep_until(instant.into()), if deadline.is_some() => Some(Wake::News),
        }
    }

    /// Takes in what woke this node, and all else that is there.
    fn turn(&mut self, wake: Wake) -> Result<(), HeldFailure> {
        self.held.refresh()?;
        self.release();
        self.take_up_parked();
        match wake {
            Wake::Command(command) => self.on_command(command),
            Wake::Bus(event) => self.on_bus(event),
            Wake::News => {}
        }
        self.take_burst();
        self.do_what_is_due();
        self.on_burst_end();
        self.read_for_parked();
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Takes what is there already, so that one ack covers a burst.
    fn take_burst(&mut self) {
        for _ in 0..BURST {
            let Some(event) = self.bus.try_next() else { return };
            self.on_bus(event);
        }
    }

    fn do_what_is_due(&mut self) {
        for _ in 0..BURST {
            let now = self.now();
            if self.core.next_deadline().is_none_or(|deadline| deadline > now) {
                return;
            }
            self.core.on_deadline(now, self.held.log());
            self.execute();
        }
    }

    fn on_burst_end(&mut self) {
        self.core.on_burst_end(self.now(), self.held.log());
        self.execute();
        self.show();
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    /// Tells readers how far the log reaches now, and what else HTTP must know.
    fn show(&self) {
        self.held.show(self.core.log_id());
        let (bus_is_up, master_http) = (self.bus_is_up, self.core.master_http());
        self.facts.send_if_modified(|facts| {
            let changed = facts.bus_is_up != bus_is_up || facts.master_http.as_deref() != master_http;
            if changed {
                facts.bus_is_up = bus_is_up;
                facts.master_http = master_http.map(str::to_owned);
            }
            changed
        });
    }
}
