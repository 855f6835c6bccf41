//! What others ask of the node, and how.

use std::{net::SocketAddr, time::Duration};

use replog_host::{
    commands::{Asked, Commands, Gone},
    pages::Shown,
    reads::Reads,
};
use replog_shared::{Order, WriteConcern, store::Reader, trace::TraceParent};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::HealthReport;
use crate::telemetry::MasterFigures;
use replog_core::master::events::{Append, WriteOutcome};

/// What a handle asks of the node.
#[derive(Debug)]
pub(super) enum Command {
    Append {
        append: Append,
        arrived: Instant,
        trace: Option<TraceParent>,
        timeout: Option<Duration>,
        may_wait: bool,
        answer: oneshot::Sender<WriteOutcome>,
    },
    Clean {
        append: Append,
        by: SocketAddr,
        timeout: Option<Duration>,
        answer: oneshot::Sender<WriteOutcome>,
    },
    Wait {
        order: Order,
        w: WriteConcern,
        timeout: Option<Duration>,
        may_wait: bool,
        answer: oneshot::Sender<WriteOutcome>,
    },
    Health {
        waiting: usize,
        answer: oneshot::Sender<HealthReport>,
    },
    Figures {
        answer: oneshot::Sender<MasterFigures>,
    },
}

/// Asks the node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle<R> {
    pub(super) commands: Commands<Command>,
    /// Reads the log.
    pub reads: Reads<R>,
    /// What reads show.
    pub shown: watch::Receiver<Shown>,
    /// Whether this node leads and its bus is connected.
    pub readiness: watch::Receiver<Readiness>,
}

/// What a readiness probe asks: local facts only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// The bus is connected.
    pub bus_is_up: bool,
    /// This node leads, and shows what its log held before that.
    pub leading: bool,
    /// This node leads, be it that the mark of its epoch is on its way to the disk, as after a clean.
    pub has_epoch: bool,
    /// Another master leads another log of this name.
    pub other_log: bool,
}

impl<R: Reader> Handle<R> {
    /// Appends as a part of `trace`; the answer comes when w is met or the wait ends otherwise. Appends get their orders
    /// as they were given to the node. Dropping the answer ends the wait, never the entry. One that may not wait for
    /// other nodes is refused where it would have to, and then nothing is appended.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn append(
        &self,
        append: Append,
        trace: Option<TraceParent>,
        timeout: Option<Duration>,
        may_wait: bool,
    ) -> Result<Asked<WriteOutcome>, Gone> {
        let arrived = Instant::now();
        let command = |answer| Command::Append { append, arrived, trace, timeout, may_wait, answer };
        self.commands.send(command).await
    }

    /// Empties the log as the client at `by` asks, and waits until w nodes have followed.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn clean(
        &self,
        append: Append,
        by: SocketAddr,
        timeout: Option<Duration>,
    ) -> Result<WriteOutcome, Gone> {
        self.commands.ask(|answer| Command::Clean { append, by, timeout, answer }).await
    }

    /// Waits until w nodes hold an entry; one that may not wait is refused if they do not hold it now.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn wait(
        &self,
        order: Order,
        w: WriteConcern,
        timeout: Option<Duration>,
        may_wait: bool,
    ) -> Result<WriteOutcome, Gone> {
        self.commands.ask(|answer| Command::Wait { order, w, timeout, may_wait, answer }).await
    }

    /// The node's state, with at most `waiting` of the writes that wait.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn health(&self, waiting: usize) -> Result<HealthReport, Gone> {
        self.commands.ask(|answer| Command::Health { waiting, answer }).await
    }

    /// What the node has counted.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn figures(&self) -> Result<MasterFigures, Gone> {
        self.commands.ask(|answer| Command::Figures { answer }).await
    }
}
