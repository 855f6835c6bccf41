//! The one place that wires everything.

use std::net::SocketAddr;

use anyhow::Context as _;
use replog_host::{
    bus::{Bus, NatsBus},
    edge,
};
use replog_shared::{Identity, Incarnation, Moment, store::MemoryStore};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

use crate::{
    bus::Translator,
    config::Config,
    core::{CoreConfig, MasterCore, PushLimits, StartTerms},
    http::{Context, router},
    node::Node,
};

/// A master that runs. Dropping it stops it without anybody waiting for the end.
#[derive(Debug)]
pub struct Running {
    /// Where HTTP listens.
    pub addr: SocketAddr,
    stop: DropGuard,
    /// Breaks off what is still being answered when this is dropped.
    stopped: DropGuard,
    node: JoinHandle<()>,
    edge: JoinHandle<()>,
}

impl Running {
    /// Stops it: takes no new connections, tells every waiting caller, lets running answers finish, sends
    /// what is queued. Takes less than 10 s.
    pub async fn stop(self) {
        let Running { stop, stopped, node, edge, .. } = self;
        drop(stop);
        // A task that panicked has said so itself.
        let _ = (node.await, edge.await);
        drop(stopped);
    }

    /// Returns when the node's task ends by itself, which it does only by a defect.
    pub async fn ended(&mut self) {
        let _ = (&mut self.node).await;
    }
}

/// What a master subscribes to and where its answers arrive.
pub fn translator(config: &Config) -> Translator {
    Translator::new(config.log.clone(), &config.name)
}

/// Starts a master over a bus that was connected with the subscriptions of [`translator`].
///
/// # Errors
/// The HTTP address cannot be listened on.
pub async fn start(config: Config, bus: impl Bus) -> anyhow::Result<Running> {
    let listener = TcpListener::bind(&config.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
    let addr = listener.local_addr().context("the listening socket has no address")?;
    let core =
        MasterCore::new(core_config(&config), Identity::default(), Moment::default(), fastrand::u64(..));
    let (node, handle) = Node::new(core, MemoryStore::with_ids(), bus, translator(&config));
    let stop = CancellationToken::new();
    let stopped = CancellationToken::new();
    let context = Context {
        node: handle,
        name: config.name.clone(),
        secondaries: config.secondaries.clone(),
        read_only_without_majority: config.read_only_without_majority,
        allow_clean: config.allow_clean,
        allow_faults: config.allow_faults,
        stopping: stop.clone(),
        stopped: stopped.clone(),
    };
    info!(%addr, log = %config.log, node = %config.name, nodes = config.secondaries.len() + 1, "master starts");
    let edge = tokio::spawn(edge::serve(listener, router(context), config.edge, stop.clone()));
    let node = tokio::spawn(node.run(stop.clone()));
    let (stop, stopped) = (stop.drop_guard(), stopped.drop_guard());
    Ok(Running { addr, stop, stopped, node, edge })
}

fn core_config(config: &Config) -> CoreConfig {
    CoreConfig {
        node: config.name.clone(),
        secondaries: config.secondaries.clone(),
        incarnation: Incarnation::from_random(fastrand::u64(..)),
        heartbeat_interval: config.heartbeat_interval,
        recovery_wait: config.recovery_wait,
        read_only_without_majority: config.read_only_without_majority,
        start: StartTerms::default(),
        push: PushLimits::default(),
        http: config.advertise_url.clone(),
    }
}

/// Runs a master over NATS until the process is told to stop.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let translator = translator(&config);
    let bus =
        NatsBus::connect(config.nats.clone(), translator.subscriptions(), translator.inbox().to_owned())
            .await?;
    let mut running = start(config, bus).await?;
    tokio::select! {
        () = replog_host::stop::requested() => {}
        () = running.ended() => anyhow::bail!("the node's task ended by itself: this is a defect, please report it"),
    }
    info!("asked to stop");
    running.stop().await;
    Ok(())
}
