//! The one place that wires everything.

use std::{io::Write as _, net::SocketAddr, panic::resume_unwind};

use anyhow::Context as _;
use futures_util::future::OptionFuture;
use replog_disk::{NodeFileError, OpenError, OpenMode, OpenNodeError};
use replog_host::{
    bus::{Bus, NatsBus},
    console::Snapshots,
    descriptors,
    edge::{self, Waits},
    opening::open_unless,
    reload::Reload,
    spans::Spans,
    stop::Stop,
    storage::{DiskTerms, Storage},
    tail::Tails,
};
use replog_shared::{
    Identity, Incarnation, Moment,
    limits::OUTLINE_MARKS,
    store::{Reader, Store},
    subjects::Subjects,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

use crate::{
    config::Config,
    door::Door,
    http::{Context, router},
    node::{Handle, Node, NodeFailure},
    nodes::Nodes,
};
use replog_core::master::{MasterCore, PushLimits, Settings, Translator};

/// A master that runs. Dropping it stops it without anybody waiting for the end.
#[derive(Debug)]
pub struct Running {
    /// Where HTTP listens.
    pub addr: SocketAddr,
    stop: DropGuard,
    /// Breaks off what is still being answered when this is dropped.
    stopped: DropGuard,
    node: JoinHandle<Result<(), NodeFailure>>,
    edge: JoinHandle<()>,
    /// None if it takes no appends over NATS.
    door: Option<JoinHandle<()>>,
    spans: Spans,
}

impl Running {
    /// Stops it: takes no new connections, tells every waiting caller, lets running answers finish, sends
    /// what is queued, makes the log durable. Takes less than 10 s.
    ///
    /// # Errors
    /// The log could not be made durable.
    ///
    /// # Panics
    /// The node's task has panicked.
    pub async fn stop(self) -> Result<(), NodeFailure> {
        let Running { stop, stopped, node, edge, door, spans, .. } = self;
        drop(stop);
        let (node, _, _) = (node.await, edge.await, OptionFuture::from(door).await);
        drop(stopped);
        spans.close().await;
        // What became of the log is not known then: the process must not end as after a stop that went well.
        node.unwrap_or_else(|error| error.try_into_panic().map_or(Ok(()), |panic| resume_unwind(panic)))
    }

    /// Returns when the node ends by itself: it cannot go on, or has a defect.
    pub async fn ended(&mut self) -> anyhow::Error {
        match (&mut self.node).await {
            Ok(Err(failure)) => failure.into(),
            Ok(Ok(())) | Err(_) => {
                anyhow::anyhow!("the node's task ended by itself: this is a defect, please report it")
            }
        }
    }
}

/// What a master subscribes to and where its answers arrive.
pub fn translator(config: &Config) -> Translator {
    Translator::new(config.log.clone(), &config.name)
}

/// Starts a master over a bus that was connected with the subscriptions of [`translator`].
///
/// # Errors
/// The HTTP address cannot be listened on, the log cannot be opened, or another node reigns. The log of a node that was
/// stopped well is left as it was.
pub async fn start(config: Config, bus: impl Bus) -> anyhow::Result<Running> {
    start_unless(std::future::pending(), config, bus).await?.context("the start was given up")
}

/// The same, unless `stop` comes while the log is opened: none then, and the log is left as it was.
async fn start_unless(
    stop: impl Future<Output = ()>,
    config: Config,
    bus: impl Bus,
) -> anyhow::Result<Option<Running>> {
    let spans = Spans::to_any(config.collector.as_ref(), "replog-master", &config.log, &config.name)?;
    let Some(dir) = config.storage.directory() else {
        return start_over(config, Storage::in_memory(true), bus, spans).await.map(Some);
    };
    let terms = DiskTerms { durability: config.storage.durability, with_ids: true, mode: OpenMode::Strict };
    let opened = open_unless(stop, dir, config.name.clone(), terms).await;
    let Some(storage) = opened.map_err(|error| with_repair(error, &config))? else { return Ok(None) };
    if let Err(refusal) = refuse_under_another_reign(&config, &storage.identity) {
        storage.leave().await;
        return Err(refusal);
    }
    start_over(config, storage, bus, spans).await.map(Some)
}

/// Adds what repairs a damaged log or `node.json`: the secondaries have it.
fn with_repair(error: anyhow::Error, config: &Config) -> anyhow::Error {
    let is_damaged = matches!(error.downcast_ref(), Some(OpenNodeError::Log(OpenError::Damaged(_))))
        || matches!(error.downcast_ref(), Some(NodeFileError::Damaged { .. }));
    match &config.storage.data_dir {
        Some(dir) if is_damaged && !config.secondaries.is_empty() => {
            let dir = dir.display();
            anyhow::anyhow!(
                "{error:#}: `mv {dir} {dir}.damaged`, then start this node as before while all its secondaries run"
            )
        }
        _ => error,
    }
}

/// A node whose log another one reigns over is a secondary of that one, unless the operator says otherwise.
fn refuse_under_another_reign(config: &Config, identity: &Identity) -> anyhow::Result<()> {
    let other = identity.fence.as_ref().map(|fence| &fence.owner).filter(|owner| **owner != config.name);
    match other {
        Some(owner) if !config.start.promote => anyhow::bail!(
            "{owner} reigns over this node's log: start this node as a secondary, or give --promote to make it the master"
        ),
        _ => Ok(()),
    }
}

async fn start_over<S: Store>(
    config: Config,
    storage: Storage<S>,
    bus: impl Bus,
    spans: Spans,
) -> anyhow::Result<Running> {
    let core = core(&config, storage.identity.clone());
    let (node, handle) = Node::new(core, storage, bus, translator(&config), spans.clone());
    let stop = CancellationToken::new();
    let stopped = CancellationToken::new();
    let nodes = Nodes { name: config.name.clone(), secondaries: config.secondaries.clone() };
    let ((listener, addr), door) = match entrances(&config, &nodes, &handle).await {
        Ok(entrances) => entrances,
        Err(refusal) => {
            drop(handle);
            node.leave().await;
            return Err(refusal);
        }
    };
    let waits = Waits::new(&config.edge.limits);
    let context = Context {
        node: handle,
        log: config.log.clone(),
        nodes,
        durability: config.storage.durability,
        read_only_without_majority: config.read_only_without_majority,
        allow_clean: config.allow_clean,
        allow_faults: config.allow_faults,
        door_denied: door.as_ref().map(Door::denied),
        consoles: Snapshots::new(waits.clone()),
        tails: Tails::new(&config.edge.limits, waits.clone()),
        waits,
        stopping: stop.clone(),
        stopped: stopped.clone(),
    };
    info!(%addr, log = %config.log, node = %config.name, nodes = config.secondaries.len() + 1, "master starts");
    let edge = tokio::spawn(edge::serve(listener, router(context), config.edge, stop.clone()));
    let node = tokio::spawn(node.run(stop.clone()));
    let door = door.map(|door| tokio::spawn(door.run(stop.clone())));
    let (stop, stopped) = (stop.drop_guard(), stopped.drop_guard());
    Ok(Running { addr, stop, stopped, node, edge, door, spans })
}

/// By which appends come in: HTTP, and NATS if the operator wants it.
async fn entrances<R: Reader>(
    config: &Config,
    nodes: &Nodes,
    handle: &Handle<R>,
) -> anyhow::Result<((TcpListener, SocketAddr), Option<Door<R>>)> {
    let http = listen(&config.listen).await?;
    let door = match config.nats_append {
        true => Some(Door::new(config, nodes.clone(), handle.clone()).await?),
        false => None,
    };
    Ok((http, door))
}

async fn listen(address: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let addr = listener.local_addr().context("the listening socket has no address")?;
    Ok((listener, addr))
}

fn core(config: &Config, identity: Identity) -> MasterCore {
    let settings = Settings {
        name: config.name.clone(),
        secondaries: config.secondaries.clone(),
        incarnation: Incarnation::from_random(fastrand::u64(..)),
        heartbeat_interval: config.heartbeat_interval,
        recovery_wait: config.recovery_wait,
        read_only_without_majority: config.read_only_without_majority,
        start: config.start,
        push: PushLimits::default(),
        http: config.advertise_url.clone(),
        outline_marks: OUTLINE_MARKS,
    };
    MasterCore::new(settings, identity, Moment::default(), fastrand::u64(..))
}

/// Runs a master over NATS until the process is told to stop.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(mut config: Config) -> anyhow::Result<()> {
    if let Some(fewer) = descriptors::fit(&mut config.edge.limits, 1) {
        fewer.warn();
    }
    let mut stop = Stop::listen();
    let reload = Reload::new(config.edge.clone());
    let translator = translator(&config);
    let bus =
        NatsBus::connect(config.nats.clone(), translator.subscriptions(), translator.inbox().to_owned())
            .await?
            .looking_for_streams_over(Subjects::new(config.log.clone()).all());
    let without_door = (!config.nats_append).then(|| why_no_door(&config));
    let Some(mut running) = start_unless(stop.requested(), config, bus).await? else {
        info!("asked to stop before it had started");
        return Ok(());
    };
    if let Some(why) = without_door {
        info!(why, "takes no appends over NATS");
    }
    tokio::select! {
        () = stop.requested() => {}
        () = reload.run() => {}
        why = running.ended() => return end_of(why),
    }
    info!("asked to stop");
    Ok(running.stop().await?)
}

fn why_no_door(config: &Config) -> &'static str {
    match config.edge.gate.tokens() {
        Some(_) => {
            "NATS does not ask for the tokens of --tokens-file; with --nats-append they are taken all the same"
        }
        None => "--nats-append is off",
    }
}

/// A dry run ends well by telling what it found.
fn end_of(why: anyhow::Error) -> anyhow::Result<()> {
    match why.downcast::<NodeFailure>() {
        Ok(NodeFailure::DryRun(report)) => Ok(writeln!(std::io::stdout(), "{report}")?),
        Ok(failure) => Err(failure.into()),
        Err(other) => Err(other),
    }
}
