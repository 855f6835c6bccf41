//! From a checked configuration to a running node, and back to nothing.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use replog_host::{
    bus::{Bus, NatsBus},
    edge::{self, EdgeLimits},
};
use replog_shared::{Incarnation, store::MemoryStore, store::Store};
use tokio::{
    net::TcpListener,
    select,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    bus::Translator,
    config::Config,
    core::{SecondaryCore, Settings},
    http,
    node::Node,
};

/// A stop takes no longer: `docker stop` kills after 10 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(9);

/// A node that works. Dropping it stops it without waiting for requests that run.
#[derive(Debug)]
pub struct Running {
    /// Where it takes HTTP requests.
    pub addr: SocketAddr,
    http: JoinHandle<()>,
    node: JoinHandle<()>,
    stop_http: DropGuard,
    stop_node: DropGuard,
}

impl Running {
    /// Stops it: no new requests, running ones finish for a while, then the node leaves the bus.
    ///
    /// # Errors
    /// One of its tasks panicked.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Running { http, node, stop_http, stop_node, .. } = self;
        drop(stop_http);
        let served = http.await.context("the HTTP task broke");
        drop(stop_node);
        node.await.context("the node's task broke")?;
        served
    }

    /// Ends when the node can no longer work, which it never does by itself unless a task panics.
    pub async fn wait(&mut self) {
        select! {
            _ = &mut self.node => {}
            _ = &mut self.http => {}
        }
    }
}

/// Starts a node on a bus that listens on [`Config::subscriptions`] and [`Config::inbox`].
///
/// Needs a tokio runtime, of any flavour, with time and IO.
///
/// # Errors
/// The HTTP address cannot be listened on.
pub async fn start(config: Config, bus: impl Bus) -> anyhow::Result<Running> {
    let listener = TcpListener::bind(&config.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
    let addr = listener.local_addr().context("the listener has no address")?;
    let (stop_http, stop_node) = (CancellationToken::new(), CancellationToken::new());

    let store = MemoryStore::without_ids();
    let reader = store.reader();
    let translator = Translator::new(config.log.clone(), config.name.clone());
    let (node, handle) = Node::new(core(&config), store, bus, translator);
    let state = http::Served::new(handle, reader, &config, stop_http.clone(), stop_node.clone());
    tracing::info!(%addr, name = %config.name, log = %config.log, durability = %config.durability, "started");
    Ok(Running {
        addr,
        http: tokio::spawn(edge::serve(listener, http::router(state), EdgeLimits::default(), stop_http.clone())),
        node: tokio::spawn(node.run(stop_node.clone())),
        stop_http: stop_http.drop_guard(),
        stop_node: stop_node.drop_guard(),
    })
}

fn core(config: &Config) -> SecondaryCore {
    let settings = Settings {
        name: config.name.clone(),
        incarnation: Incarnation::from_random(fastrand::u64(..)),
        durability: config.durability,
        heartbeat_interval: config.heartbeat_interval,
        faults: config.faults,
    };
    SecondaryCore::new(settings, fastrand::Rng::new())
}

/// Runs a node on NATS until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start, a task of it broke, or it did not stop in time.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let bus = NatsBus::connect(config.nats.clone(), config.subscriptions(), config.inbox()).await?;
    let mut running = start(config, bus).await?;
    let broken = select! {
        _ = terminated.recv() => false,
        _ = interrupted.recv() => false,
        () = running.wait() => true,
    };
    anyhow::ensure!(!broken, "a task of the node broke; its log says more");
    tracing::info!("stopping");
    timeout(STOP_TIMEOUT, running.stop()).await.context("the node did not stop in time")??;
    tracing::info!("stopped");
    Ok(())
}
