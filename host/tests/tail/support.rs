//! A log that a test lets grow, a server that shows it, and a client that reads what comes.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::extract::State;
use bytes::Bytes;
use http::HeaderMap;
use replog_host::{
    edge::{self, Access, EdgeLimits, EdgeOptions, Routes, Waits, query::Query},
    history::History,
    openapi::reads,
    pages::Shown,
    reads::Reads,
    tail::{Source, TailQuery, Tails},
};
use replog_shared::{
    Epoch, EpochNumber, Incarnation, Lines, Mark, MarkKind, Message, MessageId, Order, Place, WallTime,
    entry::{self, EntryHead},
    store::{Cut, LogView, Lookup, MemoryStore, OldLines, Page, ReadError, Reader, Store},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// No wait of a test lasts longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for `what`, and fails the test by that name when it does not come.
pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("waited in vain for: {what}"))
}

/// Limits of which none is met by chance.
pub(crate) fn patient() -> EdgeLimits {
    let never = Duration::from_secs(3_600);
    EdgeLimits { answer_silence: never, idle_timeout: never, grace: never, ..EdgeLimits::default() }
}

/// Reads a log, and counts what is read.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    reader: <MemoryStore as Store>::Reader,
    bytes: Arc<AtomicUsize>,
}

impl Reader for Counting {
    fn read(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        let page = self.reader.read(from, to, bytes)?;
        self.bytes.fetch_add(page.bytes.len(), SeqCst);
        Ok(page)
    }

    fn old(&self, lookup: Lookup) -> Result<OldLines, ReadError> {
        self.reader.old(lookup)
    }

    fn recent(&self, from: Order, to: Order, bytes: usize) -> Option<Page> {
        self.read(from, to, bytes).ok()
    }
}

/// A log and a server that shows it as a master that leads does.
pub(crate) struct Server {
    store: MemoryStore,
    shown: watch::Sender<Shown>,
    read: Arc<AtomicUsize>,
    pub(crate) shutdown: CancellationToken,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(limits: EdgeLimits) -> Server {
        Server::showing(limits, true).await
    }

    /// As a master, which shows all there is, or as a secondary.
    pub(crate) async fn showing(limits: EdgeLimits, is_whole: bool) -> Server {
        let mut store = MemoryStore::without_ids();
        let epoch = begin(&mut store, 0);
        let history = History::of(store.marks());
        let (shown, receiver) = watch::channel(Shown { epoch: Some(epoch), history, ..Shown::default() });
        let (read, shutdown) = (Arc::default(), CancellationToken::new());
        let reader = Counting { reader: store.reader(), bytes: Arc::clone(&read) };
        let stopping = shutdown.clone();
        let source = Source { reads: Reads::new(reader), shown: receiver, is_whole, stopping };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Routes::new().get("/tail", Access::Open, reads::tail, tail);
        let routes = routes.with_state((Tails::new(&limits, Waits::new(&limits)), source));
        let options = EdgeOptions::from(limits);
        let task = tokio::spawn(edge::serve(listener, routes, options, shutdown.clone()));
        Server { store, shown, read, shutdown, address, task }
    }

    /// Appends messages of so many characters, and shows them.
    pub(crate) fn append(&mut self, count: u64, size: usize) {
        let tip = self.store.tip().clone();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for nth in 0..count {
            let order = tip.place.length.plus(nth);
            let message = Message::from_json(Bytes::from(format!("\"{}\"", "x".repeat(size)))).unwrap();
            let id = MessageId::new(&format!("id{order}")).unwrap();
            let head = EntryHead {
                order,
                epoch: tip.epoch.as_ref().unwrap().number(),
                at: WallTime::from_ms(7),
                more: false,
            };
            entry::encode(&mut bytes, head, &id, &message);
            ends.push(bytes.len());
        }
        assert!(self.store.append(&Lines::of_entries(bytes.into(), ends, WallTime::from_ms(7), &tip)));
        let length = self.store.tip().place.length;
        self.shown.send_modify(|shown| shown.length = length);
    }

    /// How many entries there are.
    pub(crate) fn length(&self) -> u64 {
        self.store.tip().place.length.get()
    }

    /// Tells of a cut, as a node does before it cuts.
    pub(crate) fn cut(&self) {
        self.shown.send_modify(|shown| {
            shown.cuts += 1;
            shown.length = Order::ZERO;
        });
    }

    /// Empties the log, as a clean does, and opens the next epoch.
    pub(crate) fn clean(&mut self) {
        self.cut();
        self.store.truncate(Place::default(), Cut::Drop).unwrap();
        let epoch = begin(&mut self.store, 1);
        let history = History::of(self.store.marks());
        self.shown.send_modify(|shown| (shown.epoch, shown.history) = (Some(epoch), history));
    }

    /// Takes a log over: its entries are on their way to the disk, and so is the mark of the epoch that the node opens
    /// behind them. Nothing of it is shown.
    pub(crate) fn take_over(&mut self, count: u64) {
        let shown = self.shown.borrow().clone();
        self.append(count, 1);
        let epoch = begin(&mut self.store, 1);
        self.shown.send_replace(Shown { epoch: Some(epoch), ..shown });
    }

    /// Shows all that there is.
    pub(crate) fn show_all(&mut self) {
        let (length, history) = (self.store.tip().place.length, History::of(self.store.marks()));
        self.shown.send_modify(|shown| (shown.length, shown.history) = (length, history));
    }

    /// Bytes of lines that were read so far.
    pub(crate) fn read_bytes(&self) -> usize {
        self.read.load(SeqCst)
    }

    /// Follows the log: the request is sent, the answer not read.
    pub(crate) async fn follow(&self, path: &str, headers: &str) -> Client {
        let socket = TcpStream::connect(self.address).await.unwrap();
        Client::asking(socket, path, headers).await
    }

    /// As [`Server::follow`], by a client with little room for what it does not read.
    pub(crate) async fn follow_slowly(&self, path: &str) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        Client::asking(socket.connect(self.address).await.unwrap(), path, "").await
    }

    /// Waits until [`edge::serve`] has returned.
    pub(crate) async fn stopped(self) {
        within("the server's end", self.task).await.unwrap();
    }
}

/// Opens the epoch of this start in a log.
fn begin(store: &mut MemoryStore, start: u32) -> EpochNumber {
    let owner = "master".parse().unwrap();
    let epoch = Epoch { reign: 1, owner, start, incarnation: Incarnation::from_random(1) };
    let number = epoch.number();
    let mark = Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO };
    let tip = store.tip().clone();
    assert!(store.append(&Lines::of_mark(mark, &tip)));
    number
}

async fn tail(
    State((tails, source)): State<(Tails, Source<Counting>)>,
    headers: HeaderMap,
    Query(query): Query<TailQuery>,
) -> Result<axum::response::Response, edge::Problem> {
    tails.answer(source, query, &headers)
}

/// A client that follows.
pub(crate) struct Client {
    socket: TcpStream,
    read: Vec<u8>,
    /// The head, and what has come of the body, without its chunks.
    pub(crate) text: String,
    /// The body's last chunk has come.
    ended: bool,
}

impl Client {
    async fn asking(mut socket: TcpStream, path: &str, headers: &str) -> Client {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        Client { socket, read: Vec::new(), text: String::new(), ended: false }
    }

    /// Reads until `text` has come, and gives all that has come until then.
    pub(crate) async fn until(&mut self, text: &str) -> &str {
        while !self.text.contains(text) {
            assert!(self.more().await, "closed after: {}", self.text);
        }
        &self.text
    }

    /// Reads until the server closes, and gives all that has come. `true` beside it: the answer has its end.
    pub(crate) async fn rest(&mut self) -> (&str, bool) {
        while !self.ended && self.more().await {}
        (&self.text, self.ended)
    }

    async fn more(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        let read = within("more of the answer", self.socket.read(&mut bytes)).await.unwrap_or(0);
        self.read.extend_from_slice(&bytes[..read]);
        (self.text, self.ended) = unchunked(str::from_utf8(&self.read).unwrap());
        read > 0
    }
}

/// An answer as far as it has come: its head, what has come of its body, and whether that is all.
fn unchunked(answer: &str) -> (String, bool) {
    let Some((head, mut body)) = answer.split_once("\r\n\r\n") else { return (answer.to_owned(), false) };
    let mut text = format!("{head}\r\n\r\n");
    if !head.contains("chunked") {
        text.push_str(body);
        return (text, false);
    }
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        text.push_str(&rest[..size.min(rest.len())]);
        if size == 0 {
            return (text, true);
        }
        body = rest.get(size + 2..).unwrap_or_default();
    }
    (text, false)
}
