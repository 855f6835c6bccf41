//! The one task that owns the driver of the core, the log and the bus.
//!
//! | file | holds |
//! | --- | --- |
//! | `handle` | what others ask of the node, and how |
//! | `commands`, `events` | what callers ask is answered, and what the bus brings becomes events of the core |
//! | `surroundings` | what the driver cannot do itself: the bus, what is counted and told |
//! | `report`, `notices` | the node as `/health` shows it; what an operator is told |
//! | `limits` | every size, with its reason |

mod commands;
mod events;
mod handle;
mod limits;
mod notices;
mod report;
mod surroundings;

use replog_core::{
    driver::{Driver, End},
    secondary::{Event, SecondaryCore, Translator},
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
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use handle::{Command, Facts};
use limits::{BURST, COMMANDS};
use surroundings::Surroundings;

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
    driver: Driver<SecondaryCore, S>,
    env: Surroundings<S, B>,
    cold: ColdReads<S::Reader>,
    commands: mpsc::Receiver<Command>,
    facts: watch::Sender<Facts>,
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
        let (log, held) = Held::new(storage);
        let (commands, queue) = Commands::new(COMMANDS);
        let (facts, facts_receiver) = watch::channel(Facts::default());
        let (reads, shown, cold) = (held.reads(), held.shown(), held.cold_reads());
        let handle = Handle { commands, reads, shown, facts: facts_receiver };
        let env = Surroundings::new(held, bus, translator, spans);
        (Node { driver: Driver::new(core, log), env, cold, commands: queue, facts }, handle)
    }

    /// Runs until `stop`; then sends what is queued, leaves the bus, makes the log durable and returns.
    ///
    /// # Errors
    /// The node cannot go on, and has stopped at once.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), HeldFailure> {
        let news = self.env.held.news().clone();
        let settled = match self.serve(stop).await {
            Ok(()) => settle(&mut self.driver, &mut self.env, &news).await,
            Err(failure) => Err(failure),
        };
        match settled {
            Ok(settled) => self.shut_down(settled).await,
            Err(failure) => {
                self.env.held.fail(self.driver.into_log()).await;
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

    async fn shut_down(self, settled: Settled) -> Result<(), HeldFailure> {
        let Surroundings { bus, held, .. } = self.env;
        bus.close().await;
        held.end(self.driver.into_log(), settled).await
    }

    /// Waits for something to happen; none: the node is to stop.
    async fn wake(&mut self, stop: &CancellationToken) -> Option<Wake> {
        let deadline = self.driver.next_deadline();
        let instant = self.env.started + deadline.unwrap_or_default().since_start();
        tokio::select! {
            () = stop.cancelled() => None,
            event = self.env.bus.next() => Some(Wake::Bus(event)),
            Some(command) = self.commands.recv() => Some(Wake::Command(command)),
            () = self.env.held.news().notified() => Some(Wake::News),
            () = sleep_until(instant), if deadline.is_some() => Some(Wake::News),
        }
    }

    /// Takes in what woke this node, and all else that is there.
    fn turn(&mut self, wake: Wake) -> Result<(), HeldFailure> {
        self.driver.refresh(&mut self.env);
        // A log that cannot be relied on is looked at no more.
        self.check()?;
        self.cold.deliver(self.env.now(), &mut self.driver, &mut self.env);
        match wake {
            Wake::Command(command) => self.on_command(command),
            Wake::Bus(event) => self.on_bus(event),
            Wake::News => {}
        }
        self.take_burst();
        self.driver.end_burst(self.env.now(), &mut self.env);
        self.show();
        self.cold.begin(&mut self.driver);
        self.check()
    }

    fn check(&mut self) -> Result<(), HeldFailure> {
        match self.driver.take_end() {
            Some(End::Failed(failure)) => Err(failure.into()),
            Some(End::Over(never)) => match never {},
            None => Ok(()),
        }
    }

    fn bring(&mut self, now: Moment, event: Event, bytes: usize) {
        self.driver.bring(now, event, bytes, &mut self.env);
    }

    /// Takes what is there already, so that one ack covers a burst.
    fn take_burst(&mut self) {
        for _ in 0..BURST {
            let Some(event) = self.env.bus.try_next() else { return };
            self.on_bus(event);
        }
    }

    /// Tells readers how far the log reaches now, and what else HTTP must know.
    fn show(&self) {
        let core = self.driver.core();
        self.env.held.show(self.driver.log(), core.log_id());
        let (bus_is_up, master_http) = (core.bus_is_up(), core.master_http());
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
