//! A wire between a node and nats-server that can be cut, slowed down, and broken within a frame.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use super::{SOON, ports, wait_until};

/// Bytes that are read from a connection at one time.
const READ_BYTES: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the node to nats-server.
    FromNode,
    /// From nats-server to the node.
    ToNode,
}

/// What happens to bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passage {
    /// They pass.
    #[default]
    Open,
    /// Each stretch of them passes after this time.
    Delayed(Duration),
    /// They are taken and never arrive. Nobody is told.
    Silent,
    /// So many more pass on each connection; then it is reset.
    ResetAfter(usize),
}

/// The state of both directions. `healed` counts how often they were made well: a connection that lost bytes ends
/// then, as no connection goes on with a hole.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    from_node: Passage,
    to_node: Passage,
    healed: u64,
}

/// A proxy. Dropping it cuts all its connections.
#[derive(Debug)]
pub struct Proxy {
    /// Where the node connects to.
    pub port: u16,
    state: Arc<watch::Sender<State>>,
    resets: Arc<AtomicUsize>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// One in front of `server` (host and port), which need not be there yet.
    ///
    /// # Panics
    /// It cannot listen, or there is no tokio here.
    pub fn start(server: String) -> Proxy {
        let port = ports::free();
        let listener =
            std::net::TcpListener::bind(("127.0.0.1", port)).expect("a free port can be listened on");
        listener.set_nonblocking(true).expect("a listener can be one of tokio's");
        let listener = TcpListener::from_std(listener).expect("a listener can be one of tokio's");
        let state = Arc::new(watch::Sender::new(State::default()));
        let resets = Arc::<AtomicUsize>::default();
        let listening = tokio::spawn(accept(listener, server, state.clone(), resets.clone()));
        Proxy { port, state, resets, listening }
    }

    /// Changes what happens to the bytes of one direction, on connections old and new.
    pub fn set(&self, direction: Direction, passage: Passage) {
        self.state.send_modify(|state| match direction {
            Direction::FromNode => state.from_node = passage,
            Direction::ToNode => state.to_node = passage,
        });
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.state.send_modify(|state| *state = State { healed: state.healed + 1, ..State::default() });
    }
}

impl Proxy {
    /// Lets so many more bytes of one direction pass on each connection, until one was reset for it; then all is well
    /// again.
    ///
    /// # Panics
    /// So many bytes do not come.
    pub async fn break_after(&self, direction: Direction, bytes: usize) {
        let before = self.resets.load(Relaxed);
        self.set(direction, Passage::ResetAfter(bytes));
        wait_until("a connection breaks", SOON, async || self.resets.load(Relaxed) > before).await;
        self.heal();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Ends with the proxy, and all connections with it.
async fn accept(
    listener: TcpListener,
    server: String,
    state: Arc<watch::Sender<State>>,
    resets: Arc<AtomicUsize>,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        if let Ok((node, _)) = listener.accept().await {
            connections.spawn(carry(node, server.clone(), state.subscribe(), resets.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One connection: both directions, until either ends. What is left is reset, as a wire does not say goodbye.
async fn carry(node: TcpStream, server: String, state: watch::Receiver<State>, resets: Arc<AtomicUsize>) {
    let Ok(server) = TcpStream::connect(server).await else { return reset(node) };
    let _delays_only = (node.set_nodelay(true), server.set_nodelay(true));
    let ((from_node, to_node), (from_server, to_server)) = (node.into_split(), server.into_split());
    let mut there = Pump::new(from_node, to_server, Direction::FromNode, state.clone());
    let mut back = Pump::new(from_server, to_node, Direction::ToNode, state);
    tokio::select! {
        _how = there.run() => {}
        _how = back.run() => {}
    }
    if [&there, &back].iter().any(|pump| pump.left == Some(0)) {
        resets.fetch_add(1, Relaxed);
    }
    for (from, to) in [(there.from, back.to), (back.from, there.to)] {
        from.reunite(to).map_or_else(|_| (), reset);
    }
}

fn reset(connection: TcpStream) {
    let _is_closed_anyway = connection.set_zero_linger();
}

/// One direction of a connection.
struct Pump {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    direction: Direction,
    state: watch::Receiver<State>,
    /// How often the wire had been made well when bytes of this direction were lost.
    lost_at: Option<u64>,
    /// Bytes that pass until the reset.
    left: Option<usize>,
}

impl Pump {
    fn new(
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
        direction: Direction,
        state: watch::Receiver<State>,
    ) -> Pump {
        Pump { from, to, direction, state, lost_at: None, left: None }
    }

    /// Carries bytes until the connection ends, or has to.
    async fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            tokio::select! {
                got = self.from.read(&mut buffer) => match got? {
                    0 => return Ok(()),
                    got => self.pass(&buffer[..got]).await?,
                },
                changed = self.state.changed() => changed.map_err(io::Error::other)?,
            }
            if self.lost_at.is_some_and(|lost_at| self.state.borrow().healed > lost_at) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    async fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let state = *self.state.borrow();
        let passage = match self.direction {
            Direction::FromNode => state.from_node,
            Direction::ToNode => state.to_node,
        };
        match passage {
            _ if self.lost_at.is_some() => {}
            Passage::Open => {
                self.left = None;
                self.to.write_all(bytes).await?;
            }
            Passage::Delayed(delay) => {
                tokio::time::sleep(delay).await;
                self.to.write_all(bytes).await?;
            }
            Passage::Silent => self.lost_at = Some(state.healed),
            Passage::ResetAfter(count) => {
                let left = self.left.get_or_insert(count);
                let passing = bytes.len().min(*left);
                *left -= passing;
                self.to.write_all(&bytes[..passing]).await?;
                if *left == 0 {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
        }
        Ok(())
    }
}
