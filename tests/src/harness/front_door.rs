//! A client that appends over NATS.

use std::time::Duration;

use async_nats::{HeaderMap, Message, RequestErrorKind};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::timeout;

use super::client::Answer;

/// Longer than any write of a test waits for its nodes.
const TIMEOUT: Duration = Duration::from_secs(45);

/// What is not answered by then was lost with a connection that broke.
const LOST_AFTER: Duration = Duration::from_secs(1);

/// A client of the append service of the log `main`. Cheap to clone; all clones share one connection.
#[derive(Clone, Debug)]
pub struct FrontDoor {
    client: async_nats::Client,
}

impl FrontDoor {
    /// Where appends go.
    pub const SUBJECT: &str = "replog.main.append";

    /// A client of this NATS server.
    ///
    /// # Panics
    /// It is not there.
    pub async fn at(address: &str) -> FrontDoor {
        let options = async_nats::ConnectOptions::new().request_timeout(Some(TIMEOUT));
        FrontDoor::over(options.connect(address).await.expect("nats-server takes connections"))
    }

    /// A client over this connection.
    pub fn over(client: async_nats::Client) -> FrontDoor {
        FrontDoor { client }
    }

    /// The connection.
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// Sends this text. None if nobody serves appends.
    ///
    /// # Errors
    /// No answer came.
    pub async fn try_send(&self, body: impl Into<Bytes>) -> Result<Option<Answer>, async_nats::RequestError> {
        match self.client.request(FrontDoor::SUBJECT, body.into()).await {
            Ok(message) => Ok(Some(answer_of(&message))),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends this text.
    ///
    /// # Panics
    /// No answer came, or nobody serves appends.
    pub async fn send(&self, body: impl Into<Bytes>) -> Answer {
        self.try_send(body).await.expect("an answer comes").expect("a master serves appends")
    }

    /// Appends.
    ///
    /// # Panics
    /// As [`FrontDoor::send`].
    pub async fn append(&self, body: Value) -> Answer {
        self.send(body.to_string()).await
    }

    /// Whether anybody serves appends; asked by one that is refused.
    pub async fn is_open(&self) -> bool {
        matches!(timeout(LOST_AFTER, self.try_send("{}")).await, Ok(Ok(Some(_))))
    }

    /// Whether NATS says that nobody serves appends.
    pub async fn is_closed(&self) -> bool {
        matches!(timeout(LOST_AFTER, self.try_send("{}")).await, Ok(Ok(None)))
    }
}

/// An answer as HTTP would give it. What it says by headers is the status of 200 if there are none.
fn answer_of(message: &Message) -> Answer {
    let none = HeaderMap::new();
    let headers = message.headers.as_ref().unwrap_or(&none);
    let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    let body: Value = serde_json::from_slice(&message.payload).expect("the answer is JSON");
    let code = header("Nats-Service-Error-Code");
    assert_eq!(header("Nats-Service-Error").as_deref(), body["code"].as_str(), "{message:?}");
    assert_eq!(code.is_some(), body["code"].is_string(), "{message:?}");
    let status = code.map_or(200, |code| code.parse().expect("the error's code is a number"));
    let content_type = if status == 200 { "application/json" } else { "application/problem+json" };
    Answer { status, content_type: content_type.to_owned(), retry_after: header("Retry-After"), body }
}
