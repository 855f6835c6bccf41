//! The small HTTP client of all commands but `bench`: one connection, one request at a time.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::timeout;

use crate::{failure::Failure, node_url::NodeUrl, reach::Reach};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a node may take longer than the time-out it was given: for the way there and back, and a busy machine.
const ANSWER_SLACK: Duration = Duration::from_secs(2);

/// One JSON value a line.
const LINES: &str = "application/x-ndjson";

/// Bytes of an answer that is read whole. What may be longer is streamed.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A client of one node. It connects when it is first used, and again when the node closed an idle connection.
pub(crate) struct Client {
    url: NodeUrl,
    reach: Reach,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client that is not connected yet.
    pub(crate) fn new(url: NodeUrl, reach: &Reach) -> Self {
        Self { url, reach: reach.clone(), connection: None }
    }

    /// Connects, if there is no connection: what is sent next fails at the node, not on the way to it.
    ///
    /// # Errors
    /// [`Failure::Unreachable`].
    pub(crate) async fn connect_first(&mut self) -> Result<(), Failure> {
        self.connection = Some(self.open().await?);
        Ok(())
    }

    /// Asks for `path`, which includes its query. The answer's body is still on its way.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] or [`Failure::Unknown`]; an answer of any status is no error.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Response<Incoming>, Failure> {
        let target = self.url.target(path);
        self.send(self.request(Method::GET, &target, Bytes::new())?).await
    }

    /// Asks for the log as server-sent events; `seen` is the last order that need not be sent.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub(crate) async fn follow(
        &mut self,
        path: &str,
        seen: Option<u64>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = self.request(Method::GET, &self.url.target(path), Bytes::new())?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(seen) = seen {
            request.headers_mut().insert("last-event-id", HeaderValue::from(seen));
        }
        self.send(request).await
    }

    /// Asks for the client's own URL, path and query as given.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub(crate) async fn get_own(&mut self) -> Result<Response<Incoming>, Failure> {
        let target = self.url.own_target();
        self.send(self.request(Method::GET, &target, Bytes::new())?).await
    }

    /// Asks for `path` as one JSON value a line.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub(crate) async fn get_lines(&mut self, path: &str) -> Result<Response<Incoming>, Failure> {
        let mut request = self.request(Method::GET, &self.url.target(path), Bytes::new())?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(LINES));
        self.send(request).await
    }

    /// Sends `lines`, each a JSON value, to `path`.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub(crate) async fn post_lines(
        &mut self,
        path: &str,
        lines: Vec<u8>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = self.request(Method::POST, &self.url.target(path), lines.into())?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
        self.send(request).await
    }

    /// Sends `json` to `path`.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub(crate) async fn post(&mut self, path: &str, json: Vec<u8>) -> Result<Response<Incoming>, Failure> {
        let target = self.url.target(path);
        self.send(self.request(Method::POST, &target, json.into())?).await
    }

    fn request(&self, method: Method, target: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        let json = (method == Method::POST).then_some((CONTENT_TYPE, "application/json"));
        let builder = Request::builder().method(method).uri(target).header(HOST, self.url.authority());
        let builder = json.into_iter().fold(builder, |builder, (name, value)| builder.header(name, value));
        let authorization = self.reach.authorization().into_iter();
        let builder = authorization.fold(builder, |builder, value| builder.header(AUTHORIZATION, value));
        builder.body(Full::new(body)).map_err(|error| Failure::Usage(error.to_string()))
    }

    /// Sends on the open connection; if the node has closed that one before anything of this request was
    /// written, on a new one.
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let mut connection = self.open().await?;
        let answer = match connection.try_send_request(request).await {
            Ok(answer) => answer,
            Err(mut error) => match error.take_message() {
                Some(unsent) => {
                    connection = self.connect().await?;
                    connection.send_request(unsent).await.map_err(|error| self.lost(&error))?
                }
                None => return Err(self.lost(&error.into_error())),
            },
        };
        self.connection = Some(connection);
        Ok(answer)
    }

    /// The connection of the last request if it is still open, else a new one.
    async fn open(&mut self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        if let Some(mut connection) = self.connection.take()
            && connection.ready().await.is_ok()
        {
            return Ok(connection);
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = match timeout(CONNECT_TIMEOUT, self.reach.connect(&self.url)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Failure::unreachable(&self.url, error)),
            Err(_) => return Err(Failure::unreachable(&self.url, "no connection in time")),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::unreachable(&self.url, error))?;
        // Its errors reach whoever waits for an answer on it.
        tokio::spawn(async { drop(connection.await) });
        Ok(sender)
    }

    fn lost(&self, error: &hyper::Error) -> Failure {
        Failure::Unknown(format!("{} broke off: {error}", self.url))
    }
}

/// Waits for an answer little longer than the node was told to take; `None` when it did not come. A node that is
/// silent must not hold up a command that was given a time-out. Without one, waits as long as it takes.
pub(crate) async fn within<T>(
    timeout_of_node: Option<Duration>,
    asking: impl Future<Output = Result<T, Failure>>,
) -> Option<Result<T, Failure>> {
    match timeout_of_node {
        Some(limit) => timeout(limit.saturating_add(ANSWER_SLACK), asking).await.ok(),
        None => Some(asking.await),
    }
}

/// Reads an answer's body whole.
///
/// # Errors
/// [`Failure::Unknown`] if it breaks off or is longer than any answer that is read whole should be.
pub(crate) async fn whole(body: Incoming) -> Result<Bytes, Failure> {
    let collected = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    Ok(collected.map_err(|error| Failure::Unknown(format!("the answer broke off: {error}")))?.to_bytes())
}

/// How many entries a node says it has.
///
/// # Errors
/// It cannot be reached, or does not say.
pub(crate) async fn length(client: &mut Client) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Health {
        length: u64,
    }
    let answer = checked(client.get("/health").await?).await?;
    let health: Result<Health, _> = serde_json::from_slice(&whole(answer.into_body()).await?);
    Ok(health.map_err(|error| Failure::Unknown(format!("a health that is none: {error}")))?.length)
}

/// Passes a good answer on.
///
/// # Errors
/// What a bad one stands for.
pub(crate) async fn checked(answer: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    Err(Failure::of_answer(status, &whole(answer.into_body()).await?))
}
