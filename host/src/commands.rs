//! How any task asks a node's one task.

use tokio::sync::{mpsc, oneshot};

/// The node has stopped.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the node has stopped")]
pub struct Gone;

/// A command that was sent, of which the answer is awaited. Dropping it ends the wait.
#[derive(Debug)]
pub struct Asked<T>(oneshot::Receiver<T>);

impl<T> Asked<T> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// The node has stopped; whether the command took effect is not known.
    pub async fn answer(self) -> Result<T, Gone> {
        self.0.await.map_err(|_| Gone)
    }
}

/// The way in for a node's commands. Cheap to clone.
#[derive(Debug)]
pub struct Commands<C> {
    queue: mpsc::Sender<C>,
}

/// Commands themselves need not be cloned.
impl<C> Clone for Commands<C> {
    fn clone(&self) -> Commands<C> {
        Commands { queue: self.queue.clone() }
    }
}

impl<C> Commands<C> {
    /// The way in, and the queue from which the node takes commands. More of them than `most` make their
    /// senders wait.
    pub fn new(most: usize) -> (Commands<C>, mpsc::Receiver<C>) {
        let (queue, commands) = mpsc::channel(most);
        (Commands { queue }, commands)
    }

    /// Sends the command that is made around the way back for its answer, and waits for that answer.
    ///
    /// # Errors
    /// The node has stopped; whether the command took effect is not known.
    pub async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> C) -> Result<T, Gone> {
        self.send(command).await?.answer().await
    }

    /// Sends the command that is made around the way back for its answer. The node takes commands in the order in which
    /// they were sent.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn send<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> C) -> Result<Asked<T>, Gone> {
        let (sender, answer) = oneshot::channel();
        self.queue.send(command(sender)).await.map_err(|_| Gone)?;
        Ok(Asked(answer))
    }
}
