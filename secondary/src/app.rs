//! From a checked configuration to a running node, and back to nothing.

use std::{net::SocketAddr, panic::resume_unwind, path::Path};

use anyhow::Context as _;
use replog_disk::{NodeFileError, OpenMode};
use replog_host::{
    bus::{Bus, NatsBus},
    console::Snapshots,
    descriptors,
    edge::{self, Waits},
    held::HeldFailure,
    opening::open_unless,
    reload::Reload,
    spans::Spans,
    stop::Stop,
    storage::{DiskTerms, Storage},
    tail::Tails,
};
use replog_shared::{
    Identity, Incarnation, Moment,
    limits::{ENVELOPE_BYTES, OUTLINE_MARKS},
    store::Store,
};
use tokio::{net::TcpListener, select, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

use crate::{
    config::Config,
    http::{Context, router},
    node::Node,
};
use replog_core::secondary::{PullLimits, SecondaryCore, Settings, Translator};

/// A secondary that runs. Dropping it stops it without anybody waiting for the end.
#[derive(Debug)]
pub struct Running {
    /// Where HTTP listens.
    pub addr: SocketAddr,
    edge: JoinHandle<()>,
    node: JoinHandle<Result<(), HeldFailure>>,
    stop_edge: DropGuard,
    stop_node: DropGuard,
    spans: Spans,
}

impl Running {
    /// Stops it: takes no new connections, tells every waiting caller, lets running answers finish, sends
    /// what is queued, makes the log durable. Takes less than 10 s, and up to
    /// 5 s more where clients do not take their answers.
    ///
    /// # Errors
    /// The log could not be made durable.
    ///
    /// # Panics
    /// The node's task has panicked.
    pub async fn stop(self) -> Result<(), HeldFailure> {
        let Running { edge, node, stop_edge, stop_node, spans, .. } = self;
        drop(stop_edge);
        // An edge that panicked has said so itself.
        let _ = edge.await;
        drop(stop_node);
        let node = node.await;
        spans.close().await;
        // What became of the log is not known then: the process must not end as after a stop that went well.
        node.unwrap_or_else(|error| error.try_into_panic().map_or(Ok(()), |panic| resume_unwind(panic)))
    }

    /// Returns when one of the node's tasks ends by itself: it cannot go on, or has a defect.
    pub async fn ended(&mut self) -> anyhow::Error {
        let defect = || anyhow::anyhow!("a task ended by itself: this is a defect, please report it");
        select! {
            node = &mut self.node => match node {
                Ok(Err(failure)) => failure.into(),
                Ok(Ok(())) | Err(_) => defect(),
            },
            _ = &mut self.edge => defect(),
        }
    }
}

/// What a secondary subscribes to and where its answers arrive.
pub fn translator(config: &Config) -> Translator {
    Translator::new(config.log.clone(), &config.name)
}

/// Starts a secondary over a bus that was connected with the subscriptions of [`translator`].
///
/// Needs a tokio runtime, of any flavour, with time and IO.
///
/// # Errors
/// The HTTP address cannot be listened on, or the log cannot be opened. The log of a node that was stopped well is left
/// as it was.
pub async fn start(config: Config, bus: impl Bus) -> anyhow::Result<Running> {
    start_unless(std::future::pending(), config, bus).await?.context("the start was given up")
}

/// The same, unless `stop` comes while the log is opened: none then, and the log is left as it was.
async fn start_unless(
    stop: impl Future<Output = ()>,
    config: Config,
    bus: impl Bus,
) -> anyhow::Result<Option<Running>> {
    let spans = Spans::to_any(config.collector.as_ref(), "replog-secondary", &config.log, &config.name)?;
    let Some(dir) = config.storage.directory() else {
        return start_over(config, Storage::in_memory(false), bus, spans).await.map(Some);
    };
    // What is damaged here the master has, too: it is fetched again.
    let durability = config.storage.durability;
    let terms = DiskTerms { durability, with_ids: false, mode: OpenMode::CutAtDamage };
    let opened = open_unless(stop, dir.clone(), config.name.clone(), terms).await;
    let Some(storage) = opened.map_err(|error| with_repair(error, &dir))? else { return Ok(None) };
    start_over(config, storage, bus, spans).await.map(Some)
}

/// Adds what repairs a damaged `node.json`: the master has all that this node held.
fn with_repair(error: anyhow::Error, dir: &Path) -> anyhow::Error {
    match error.downcast_ref() {
        Some(NodeFileError::Damaged { .. }) => {
            let dir = dir.display();
            anyhow::anyhow!(
                "{error:#}: `mv {dir} {dir}.damaged`, then start this node as before: it fetches everything anew"
            )
        }
        _ => error,
    }
}

async fn start_over<S: Store>(
    config: Config,
    storage: Storage<S>,
    bus: impl Bus,
    spans: Spans,
) -> anyhow::Result<Running> {
    let (listener, addr) = match listen(&config.listen).await {
        Ok(listening) => listening,
        Err(refusal) => {
            storage.leave().await;
            return Err(refusal);
        }
    };
    let (stop_edge, stop_node) = (CancellationToken::new(), CancellationToken::new());
    let core = core(&config, storage.identity.clone());
    let (node, handle) = Node::new(core, storage, bus, translator(&config), spans.clone());
    let durability = config.storage.durability;
    let waits = Waits::new(&config.edge.limits);
    let context = Context {
        node: handle,
        log: config.log.clone(),
        name: config.name.clone(),
        durability,
        allow_faults: config.allow_faults,
        consoles: Snapshots::new(waits.clone()),
        tails: Tails::new(&config.edge.limits, waits.clone()),
        waits,
        stopping: stop_edge.clone(),
        stopped: stop_node.clone(),
    };
    info!(%addr, log = %config.log, node = %config.name, %durability, "secondary starts");
    let edge = tokio::spawn(edge::serve(listener, router(context), config.edge, stop_edge.clone()));
    let node = tokio::spawn(node.run(stop_node.clone()));
    let (stop_edge, stop_node) = (stop_edge.drop_guard(), stop_node.drop_guard());
    Ok(Running { addr, edge, node, stop_edge, stop_node, spans })
}

async fn listen(address: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let addr = listener.local_addr().context("the listening socket has no address")?;
    Ok((listener, addr))
}

fn core(config: &Config, identity: Identity) -> SecondaryCore {
    let settings = Settings {
        name: config.name.clone(),
        incarnation: Incarnation::from_random(fastrand::u64(..)),
        durability: config.storage.durability,
        heartbeat_interval: config.heartbeat_interval,
        pull: PullLimits::default(),
        faults: config.faults,
        outline_marks: OUTLINE_MARKS,
        page_bytes: ENVELOPE_BYTES,
    };
    SecondaryCore::new(settings, identity, Moment::default(), fastrand::u64(..))
}

/// Runs a secondary over NATS until the process is told to stop.
///
/// # Errors
/// What keeps it from starting, or a defect that ended it.
pub async fn run(mut config: Config) -> anyhow::Result<()> {
    if let Some(fewer) = descriptors::fit(&mut config.edge.limits, 1) {
        fewer.warn();
    }
    let mut stop = Stop::listen();
    let reload = Reload::new(config.edge.clone());
    let translator = translator(&config);
    let bus =
        NatsBus::connect(config.nats.clone(), translator.subscriptions(), translator.inbox().to_owned());
    let Some(mut running) = start_unless(stop.requested(), config, bus.await?).await? else {
        info!("asked to stop before it had started");
        return Ok(());
    };
    select! {
        () = stop.requested() => {}
        () = reload.run() => {}
        why = running.ended() => return Err(why),
    }
    info!("asked to stop");
    Ok(running.stop().await?)
}
