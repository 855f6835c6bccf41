//! A server with a few routes, and a client that sends bytes.

use std::{borrow::Cow, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use replog_host::{
    auth::Scope,
    edge::{
        self,
        Access::{Needs, Open},
        EdgeLimits, EdgeOptions, Problem, Routes,
        json::{JsonBody, present},
        query::{Params, Query, QueryParams},
        stream::json_array,
    },
    openapi::{Operation, Schemas, Tag},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// No wait of a test lasts longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// A time-out that is meant to pass in a test.
pub(crate) const SOON: Duration = Duration::from_millis(100);

/// A time-out that is not meant to pass in a test.
pub(crate) const NEVER: Duration = Duration::from_secs(3_600);

/// Limits of which none is met by chance; a test sets the one it is about.
pub(crate) fn patient() -> EdgeLimits {
    EdgeLimits {
        header_timeout: NEVER,
        body_silence: NEVER,
        answer_silence: NEVER,
        half_close_wait: NEVER,
        idle_timeout: NEVER,
        grace: NEVER,
        ..EdgeLimits::default()
    }
}

/// Waits for `what`, and fails the test by that name when it does not come.
pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("waited in vain for: {what}"))
}

/// What the routes and the test tell each other.
pub(crate) struct Signals {
    /// A request has reached `GET /hold`.
    pub(crate) held: Notify,
    /// Each permit lets one request leave `GET /hold`.
    pub(crate) release: Semaphore,
    /// `/hold` is over or was given up, or the answer of `GET /endless` was.
    pub(crate) dropped: Notify,
}

impl Signals {
    fn new() -> Self {
        Self { held: Notify::new(), release: Semaphore::new(0), dropped: Notify::new() }
    }
}

pub(crate) struct Server {
    pub(crate) signals: Arc<Signals>,
    pub(crate) shutdown: CancellationToken,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(options: impl Into<EdgeOptions>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let signals = Arc::new(Signals::new());
        let shutdown = CancellationToken::new();
        let served = edge::serve(listener, routes(Arc::clone(&signals)), options.into(), shutdown.clone());
        Self { signals, shutdown, address, task: tokio::spawn(served) }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::over(self.socket().await)
    }

    pub(crate) async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) async fn refuses_connections(&self) -> bool {
        TcpStream::connect(self.address).await.is_err()
    }

    /// A connection of its own for one request.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect().await;
        client.send(request).await;
        client.answer().await
    }

    /// Waits until [`edge::serve`] has returned.
    pub(crate) async fn stopped(self) {
        within("the server's end", self.task).await.unwrap();
    }
}

pub(crate) struct Client<S = TcpStream> {
    socket: S,
    /// What has been read and not been looked at.
    read: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find_map(|(header, value)| header.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Asserts a problem document, and gives it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> &Value {
        assert_eq!((self.status, self.header("content-type")), (status, Some("application/problem+json")));
        assert_eq!(
            (&self.body["status"], &self.body["code"]),
            (&json!(status), &json!(code)),
            "{}",
            self.body
        );
        assert!(self.body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{}", self.body);
        &self.body
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(socket: S) -> Self {
        Self { socket, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("room to send", self.socket.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends while there is room for it; whether the connection is still there.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        within("room to send, or the close", self.socket.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Asks for a path without a body.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(get_of(path)).await;
        self.answer().await
    }

    /// Sends nothing more, and still reads.
    pub(crate) async fn half_close(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Sends what the server may refuse to take; gives the status, if there is an answer.
    pub(crate) async fn try_ask(&mut self, bytes: impl AsRef<[u8]>) -> Option<u16> {
        let _ = self.socket.write_all(bytes.as_ref()).await;
        let _ = within("an answer or the close", self.socket.read_buf(&mut self.read)).await;
        str::from_utf8(&self.read).ok()?.split(' ').nth(1)?.parse().ok()
    }

    /// The next answer, with a JSON body of known length.
    pub(crate) async fn answer(&mut self) -> Answer {
        while find(&self.read, b"\r\n\r\n").is_none() {
            self.read_more().await;
        }
        let end = find(&self.read, b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let answer = Answer { status, head, body: Value::Null };
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        while self.read.len() < length {
            self.read_more().await;
        }
        let body = self.read.drain(..length).collect::<Vec<_>>();
        Answer { body: serde_json::from_slice(&body).unwrap(), ..answer }
    }

    async fn read_more(&mut self) {
        let read = within("an answer", self.socket.read_buf(&mut self.read)).await.unwrap();
        assert!(read > 0, "closed after: {}", String::from_utf8_lossy(&self.read));
    }

    /// Reads so many bytes of an answer.
    pub(crate) async fn takes(&mut self, bytes: u64) {
        let (mut answer, mut sink) = ((&mut self.socket).take(bytes), tokio::io::sink());
        let taken = within("the answer", tokio::io::copy(&mut answer, &mut sink)).await;
        assert_eq!(taken.unwrap(), bytes);
    }

    /// What comes until the server closes; a reset counts as a close.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = std::mem::take(&mut self.read);
        let _ = within("the close", self.socket.read_to_end(&mut rest)).await;
        String::from_utf8(rest).unwrap()
    }

    /// What comes until the server closes, and whether it closed well: otherwise by a reset.
    pub(crate) async fn rest_and_end(&mut self) -> (Vec<u8>, bool) {
        let mut rest = std::mem::take(&mut self.read);
        let ended = within("the close", self.socket.read_to_end(&mut rest)).await;
        let reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
        assert!(ended.as_ref().err().is_none_or(reset), "{ended:?}");
        (rest, ended.is_ok())
    }

    /// Waits until the server has closed; it must have sent nothing before.
    pub(crate) async fn closed(&mut self) {
        assert_eq!(self.rest().await, "");
    }

    /// Waits until the server has closed, without a reset and without a further word.
    pub(crate) async fn closed_well(&mut self) {
        let read = within("the close", self.socket.read_buf(&mut self.read)).await;
        assert_eq!((read.unwrap(), &self.read[..]), (0, &b""[..]));
    }

    /// Waits until the server has closed, whatever it said before.
    pub(crate) async fn dropped(&mut self) {
        let _ = within("the close", self.socket.read_to_end(&mut self.read)).await;
    }
}

impl Client {
    /// Sends a piece, and waits until the server has read it: what is sent next is another read of it.
    pub(crate) async fn send_piece(&mut self, bytes: impl AsRef<[u8]>) {
        self.send(bytes).await;
        let (own, server) = (self.socket.local_addr().unwrap(), self.socket.peer_addr().unwrap());
        let read = async {
            while unread_bytes(server.port(), own.port()) != Some(0) {
                tokio::task::yield_now().await;
            }
        };
        within("the server to read", read).await;
    }
}

/// What waits in the socket between these two ports of this machine to be read, as Linux tells.
fn unread_bytes(local: u16, remote: u16) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| u16::from_str_radix(address.split(':').nth(1)?, 16).ok();
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let ends = (port(columns.next()?)?, port(columns.next()?)?);
        let queues = columns.nth(1)?;
        (ends == (local, remote)).then(|| u64::from_str_radix(queues.split(':').nth(1)?, 16).ok())?
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A whole request with a JSON body.
pub(crate) fn append(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "POST /append HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The head of a request with a chunked JSON body.
pub(crate) const CHUNKED: &str = "POST /append HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                           Transfer-Encoding: chunked\r\n\r\n";

/// A whole request without a body.
pub(crate) fn get_of(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Append<'a> {
    #[serde(borrow)]
    message: Cow<'a, RawValue>,
    #[serde(default, deserialize_with = "present")]
    w: Option<u64>,
}

struct Page {
    limit: Option<u64>,
}

impl QueryParams for Page {
    fn read(params: &mut Params<'_>) -> Result<Self, Problem> {
        Ok(Self { limit: params.number("limit", 1..=10)? })
    }
}

/// What these routes do is told by the tests.
fn undescribed(_: &mut Schemas) -> Operation {
    Operation::new(Tag::Operations, "test", "For a test")
}

fn routes(signals: Arc<Signals>) -> Routes {
    Routes::new()
        .post("/append", Open, undescribed, on_append)
        .post("/ignore", Open, undescribed, async || Json(json!({"ok": true})))
        .post("/optional", Open, undescribed, async |body: Option<JsonBody>| {
            Json(json!({"body": body.is_some()}))
        })
        .get("/hold", Open, undescribed, on_hold)
        .post("/hold", Open, undescribed, on_hold)
        .get("/endless", Open, undescribed, on_endless)
        .get("/broken", Open, undescribed, on_broken)
        .get("/streamed", Open, undescribed, on_streamed)
        .get("/page", Open, undescribed, async |Query(page): Query<Page>| Json(json!({"limit": page.limit})))
        .get("/order/{order}", Open, undescribed, async |Path(order): Path<u64>| {
            Json(json!({"order": order}))
        })
        .get("/panic", Open, undescribed, on_panic)
        .post("/panic", Open, undescribed, on_panic)
        .get("/large", Open, undescribed, async || Json("x".repeat(32 * 1024)))
        .get("/teapot", Open, undescribed, async || StatusCode::IM_A_TEAPOT)
        .get("/guarded", Needs(Scope::Read), undescribed, async || Json(json!({"ok": true})))
        .post("/guarded", Needs(Scope::Append), undescribed, on_append)
        .with_state(signals)
}

async fn on_append(_: Query<()>, body: JsonBody) -> Result<Json<Value>, Problem> {
    let append: Append = body.parse()?;
    Ok(Json(json!({"length": append.message.get().len(), "w": append.w})))
}

async fn on_hold(State(signals): State<Arc<Signals>>) -> Json<Value> {
    let _given_up = Dropped(Arc::clone(&signals));
    signals.held.notify_one();
    signals.release.acquire().await.unwrap().forget();
    Json(json!({"ok": true}))
}

/// Tells that a request is over, or was given up.
struct Dropped(Arc<Signals>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

async fn on_endless(State(signals): State<Arc<Signals>>) -> Body {
    let dropped = Dropped(signals);
    let page = Bytes::from(vec![b'1'; 64 * 1024]);
    let pages = stream::repeat(page).map(move |page| {
        let _alive = &dropped;
        Ok::<_, io::Error>(page)
    });
    json_array("[", "]", pages, CancellationToken::new())
}

/// An answer of several pages that is whole.
async fn on_streamed() -> Body {
    let pages =
        stream::iter(["1", "2", "3"].map(|page| Ok::<_, io::Error>(Bytes::from_static(page.as_bytes()))));
    json_array("[", "]", pages, CancellationToken::new())
}

async fn on_broken() -> Body {
    let page = Bytes::from(vec![b'1'; 64 * 1024]);
    let pages = stream::repeat(page).take(16).map(Ok).chain(stream::iter([Err(io::Error::other("damaged"))]));
    json_array("[", "]", pages, CancellationToken::new())
}

async fn on_panic() {
    panic!("on purpose");
}
