//! From a checked configuration to a running node, and back to nothing.

use std::net::SocketAddr;

use anyhow::Context as _;
use replog_host::{
    bus::{Bus, NatsBus},
    edge,
};
use replog_shared::{
    Identity, Incarnation,
    store::{MemoryStore, Store as _},
};
use tokio::{net::TcpListener, select, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

use crate::{
    bus::Translator,
    config::Config,
    core::{PullLimits, SecondaryCore, Settings},
    http::{Context, router},
    node::Node,
};

/// A secondary that runs. Dropping it stops it without anybody waiting for the end.
#[derive(Debug)]
pub struct Running {
    /// Where HTTP listens.
    pub addr: SocketAddr,
    edge: JoinHandle<()>,
    node: JoinHandle<()>,
    stop_edge: DropGuard,
    stop_node: DropGuard,
}

impl Running {
    /// Stops it: takes no new connections, tells every waiting caller, lets running answers finish, sends
    /// what is queued. Takes less than 10 s.
    pub async fn stop(self) {
        let Running { edge, node, stop_edge, stop_node, .. } = self;
        drop(stop_edge);
        // A task that panicked has said so itself.
        let _ = edge.await;
        drop(stop_node);
        let _ = node.await;
    }

    /// Returns when one of the node's tasks ends by itself, which it does only by a defect.
    pub async fn ended(&mut self) {
        select! {
            _ = &mut self.node => {}
            _ = &mut self.edge => {}
        }
    }
}

/// What a secondary subscribes to and where its answers arrive.
pub fn translator(config: &Config) -> Translator {
    Translator::new(config.log.clone(), config.name.clone())
}

/// Starts a secondary over a bus that was connected with the subscriptions of [`translator`].
///
/// Needs a tokio runtime, of any flavour, with time and IO.
///
/// # Errors
/// The HTTP address cannot be listened on.
pub async fn start(config: Config, bus: impl Bus) -> anyhow::Result<Running> {
    let listener = TcpListener::bind(&config.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
    let addr = listener.local_addr().context("the listening socket has no address")?;
    let (stop_edge, stop_node) = (CancellationToken::new(), CancellationToken::new());
    let store = MemoryStore::without_ids();
    let reader = store.reader();
    let (node, handle) = Node::new(core(&config), store, bus, translator(&config));
    let context = Context {
        node: handle,
        reader,
        name: config.name.clone(),
        durability: config.durability,
        allow_faults: config.allow_faults,
        stopping: stop_edge.clone(),
        stopped: stop_node.clone(),
    };
    info!(%addr, log = %config.log, node = %config.name, durability = %config.durability, "secondary starts");
    let edge = tokio::spawn(edge::serve(listener, router(context), config.edge, stop_edge.clone()));
    let node = tokio::spawn(node.run(stop_node.clone()));
    let (stop_edge, stop_node) = (stop_edge.drop_guard(), stop_node.drop_guard());
    Ok(Running { addr, edge, node, stop_edge, stop_node })
}

fn core(config: &Config) -> SecondaryCore {
    let settings = Settings {
        name: config.name.clone(),
        incarnation: Incarnation::from_random(fastrand::u64(..)),
        durability: config.durability,
        heartbeat_interval: config.heartbeat_interval,
        pull: PullLimits::default(),
        faults: config.faults,
    };
    SecondaryCore::new(settings, Identity::default(), fastrand::Rng::new())
}

/// Runs a secondary over NATS until the process is told to stop.
///
/// # Errors
/// What keeps it from starting, or a defect that ended it.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let translator = translator(&config);
    let bus =
        NatsBus::connect(config.nats.clone(), translator.subscriptions(), translator.inbox().to_owned());
    let mut running = start(config, bus.await?).await?;
    select! {
        () = replog_host::stop::requested() => {}
        () = running.ended() => anyhow::bail!("a task ended by itself: this is a defect, please report it"),
    }
    info!("asked to stop");
    running.stop().await;
    Ok(())
}
