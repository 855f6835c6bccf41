//! A JetStream stream, by plain request and reply.

use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::Client;
use clap::ValueEnum;
use serde_json::{Value, json};

const NAME: &str = "replog-comparison";
const SUBJECT: &str = "replog-comparison.append";

/// How long a new cluster may take to elect the leader that creates streams.
const CREATE_LIMIT: Duration = Duration::from_secs(20);
const CREATE_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Where a stream keeps its messages.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Storage {
    /// In memory.
    Memory,
    /// In files.
    File,
}

/// A stream, new and empty.
pub(crate) struct Stream {
    client: Client,
}

impl Stream {
    /// Connects to a server whose stream is there already.
    ///
    /// # Errors
    /// There is no server.
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Stream> {
        let client = async_nats::connect(url).await.with_context(|| format!("cannot connect to {url}"))?;
        Ok(Stream { client })
    }

    /// Deletes the stream of an earlier run and creates it anew.
    ///
    /// # Errors
    /// There is no server, or it cannot hold such a stream.
    pub(crate) async fn create(url: &str, replicas: usize, storage: Storage) -> anyhow::Result<Stream> {
        let stream = Stream::connect(url).await?;
        // Refused when there is none, which is as good.
        let _none_to_delete = stream.ask("DELETE", &json!({})).await;
        let storage = if storage == Storage::File { "file" } else { "memory" };
        let wanted =
            json!({"name": NAME, "subjects": [SUBJECT], "storage": storage, "num_replicas": replicas});
        let created = async {
            loop {
                match stream.ask("CREATE", &wanted).await {
                    Ok(()) => return,
                    Err(_no_leader_yet) => tokio::time::sleep(CREATE_AGAIN_AFTER).await,
                }
            }
        };
        if tokio::time::timeout(CREATE_LIMIT, created).await.is_err() {
            stream.ask("CREATE", &wanted).await.context("the stream cannot be created")?;
        }
        Ok(stream)
    }

    async fn ask(&self, what: &str, body: &Value) -> anyhow::Result<()> {
        let subject = format!("$JS.API.STREAM.{what}.{NAME}");
        let answer = self.client.request(subject, body.to_string().into()).await?;
        refuse_error(&answer.payload)
    }

    /// Publishes a message and waits until the stream has it.
    ///
    /// # Errors
    /// The stream does not say that it has it.
    pub(crate) async fn publish(&self, payload: Vec<u8>) -> anyhow::Result<()> {
        let answer = self.client.request(SUBJECT, payload.into()).await?;
        refuse_error(&answer.payload)
    }
}

fn refuse_error(answer: &[u8]) -> anyhow::Result<()> {
    let answer: Value = serde_json::from_slice(answer).context("an answer that is not JSON")?;
    match answer.get("error") {
        None => Ok(()),
        Some(error) => bail!("the server refuses: {error}"),
    }
}
