//! The closed loop: clients that send, wait and send again, all on one thread.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    task::{JoinSet, LocalSet},
    time::{MissedTickBehavior, interval, sleep, sleep_until},
};

use super::{
    Settings,
    connection::Connection,
    cpu,
    payload::Payload,
    progress::{Progress, TICK},
    report::Report,
    tails::Tails,
    tally::{Tally, Window},
};
use crate::{failure::Failure, node_url::NodeUrl, reach::Reach};

/// How long requests that are open when the window closes may still take.
const GRACE: Duration = Duration::from_secs(5);

/// Between two attempts to open a connection that broke.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// What is to be run.
pub(crate) struct Load {
    /// What was asked for, as the report repeats it.
    pub(crate) settings: Settings,
    /// Where to.
    pub(crate) url: NodeUrl,
    /// How it is reached.
    pub(crate) reach: Reach,
    /// The request that is repeated.
    pub(crate) payload: Payload,
    /// How long to run before measuring.
    pub(crate) warmup: Duration,
    /// How long to measure; `None`: until `count` is reached.
    pub(crate) measured: Option<Duration>,
    /// Requests to measure; `None`: as many as fit.
    pub(crate) count: Option<u64>,
}

/// Runs `load` to its end, or until ctrl-c.
///
/// # Errors
/// The node cannot be reached at the start. What fails later is counted.
pub(crate) async fn run(load: Load) -> Result<Report, Failure> {
    let tails = Tails::start(&load.url, load.settings.tails).await?;
    let connections = connect_all(&load).await?;
    let from = Instant::now() + load.warmup;
    let until = load.measured.map(|measured| from + measured);
    let tally = RefCell::new(Tally::new(Window { from, until, count: load.count })?);
    let run = Rc::new(Run { load, tally });
    let cpu = LocalSet::new().run_until(run.watch(from, connections)).await;
    Ok(Report::new(&run.load.settings, &run.tally.borrow(), Instant::now(), cpu)
        .with_tail_bytes(tails.bytes()))
}

/// Opens all connections, so that a run begins with all of its clients or not at all.
async fn connect_all(load: &Load) -> Result<Vec<Connection>, Failure> {
    let mut connections = Vec::new();
    for _ in 0..load.settings.connections() {
        let opened = Connection::open(&load.url, &load.reach).await;
        connections.push(opened.map_err(|error| Failure::unreachable(&load.url, error))?);
    }
    Ok(connections)
}

/// What all clients of a run share. They live on one thread, so nothing is locked.
struct Run {
    load: Load,
    tally: RefCell<Tally>,
}

impl Run {
    /// Starts the clients and watches over them until all are done. Returns the processor time that this
    /// program took since `from`, the end of the warm-up, if the system tells.
    async fn watch(self: &Rc<Self>, from: Instant, connections: Vec<Connection>) -> Option<Duration> {
        let mut clients = JoinSet::new();
        for connection in connections {
            clients.spawn_local(self.clone().client(connection));
        }
        let cpu_before = tokio::task::spawn_local(async move {
            sleep_until(from.into()).await;
            cpu::main_thread_time()
        });
        self.wait_for(&mut clients).await;
        let cpu_after = cpu::main_thread_time();
        // Stopped before the warm-up was over, it has no value.
        cpu_before.abort();
        cpu_before.await.ok().flatten().zip(cpu_after).map(|(before, after)| after - before)
    }

    /// Waits for the clients, and for those that never get an answer only a while.
    async fn wait_for(&self, clients: &mut JoinSet<()>) {
        let progress = Progress::new(&self.load);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut over_at = None;
        loop {
            tokio::select! {
                client = clients.join_next() => if client.is_none() { break },
                now = ticks.tick() => {
                    progress.update(&self.tally.borrow());
                    if self.is_over() && now > *over_at.get_or_insert(now) + GRACE { break }
                }
                _ = tokio::signal::ctrl_c() => self.tally.borrow_mut().stop(Instant::now()),
            }
        }
        progress.finish();
        self.tally.borrow_mut().give_up(Instant::now());
    }

    fn is_over(&self) -> bool {
        self.tally.borrow().is_over(Instant::now())
    }

    async fn client(self: Rc<Self>, connection: Connection) {
        let mut open = Some(connection);
        while let Some(connection) = open {
            self.repeat(connection).await;
            open = self.reconnect().await;
        }
    }

    /// Sends the request again and again until the run is over or the connection breaks.
    async fn repeat(&self, mut connection: Connection) {
        let mut began = Instant::now();
        while self.tally.borrow_mut().begin(began) {
            let outcome = connection.exchange(self.load.payload.bytes()).await;
            let now = Instant::now();
            self.tally.borrow_mut().end(began, now, &outcome);
            if outcome.is_err() {
                return;
            }
            began = now;
        }
    }

    /// A new connection, or `None` when the run is over.
    async fn reconnect(&self) -> Option<Connection> {
        while !self.is_over() {
            sleep(RECONNECT_DELAY).await;
            if let Ok(connection) = Connection::open(&self.load.url, &self.load.reach).await {
                return Some(connection);
            }
        }
        None
    }
}
