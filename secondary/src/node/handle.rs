//! What others ask of the node, and how.

use replog_host::{
    commands::{Commands, Gone},
    pages::Shown,
    reads::Reads,
};
use tokio::sync::{oneshot, watch};

use super::HealthReport;
use crate::telemetry::SecondaryFigures;
use replog_core::secondary::Faults;

/// What a handle asks of the node.
#[derive(Debug)]
pub(super) enum Command {
    Health { answer: oneshot::Sender<HealthReport> },
    Figures { answer: oneshot::Sender<SecondaryFigures> },
    Faults { answer: oneshot::Sender<Faults> },
    SetFaults { faults: Faults, answer: oneshot::Sender<()> },
}

/// Asks the node. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Handle<R> {
    pub(super) commands: Commands<Command>,
    /// Reads the log.
    pub(crate) reads: Reads<R>,
    /// What reads show.
    pub(crate) shown: watch::Receiver<Shown>,
    /// What else HTTP must know.
    pub(crate) facts: watch::Receiver<Facts>,
}

/// What HTTP must know besides what is shown, told after every burst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Where the master takes appends, if it told.
    pub(crate) master_http: Option<String>,
    /// The bus is connected.
    pub(crate) bus_is_up: bool,
}

impl<R> Handle<R> {
    /// The node's state.
    ///
    /// # Errors
    /// The node has stopped.
    pub(crate) async fn health(&self) -> Result<HealthReport, Gone> {
        self.commands.ask(|answer| Command::Health { answer }).await
    }

    /// What the node has counted.
    ///
    /// # Errors
    /// The node has stopped.
    pub(crate) async fn figures(&self) -> Result<SecondaryFigures, Gone> {
        self.commands.ask(|answer| Command::Figures { answer }).await
    }

    /// The faults that are injected.
    ///
    /// # Errors
    /// The node has stopped.
    pub(crate) async fn faults(&self) -> Result<Faults, Gone> {
        self.commands.ask(|answer| Command::Faults { answer }).await
    }

    /// Injects these faults from now on.
    ///
    /// # Errors
    /// The node has stopped.
    pub(crate) async fn set_faults(&self, faults: Faults) -> Result<(), Gone> {
        self.commands.ask(|answer| Command::SetFaults { faults, answer }).await
    }
}
