//! The accept loop.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
    sync::Arc,
    time::Duration,
};

use replog_shared::{Applied, Code};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    task::{JoinError, JoinSet},
    time,
};
use tokio_util::sync::CancellationToken;

use super::{
    EdgeLimits, EdgeOptions, Problem, Routes, connection, handshake::Handshakes, service::Service,
    site::Sites,
};

/// How long the loop rests after an error that will not go away by itself, such as no free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A client that vanished without a word is noticed after about this time, so that a write which waits
/// long for its nodes does not wait for nobody.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Serves `routes` on `listener` until `shutdown`; then accepts no more, closes idle connections, lets
/// running requests finish for at most [`EdgeLimits::grace`], cuts off the rest, and returns.
///
/// Spawn it or await it; it runs on a current-thread runtime as well. Dropping the future closes every
/// connection at once. Errors of one connection, or of accepting, never end it.
pub async fn serve(listener: TcpListener, routes: Routes, options: EdgeOptions, shutdown: CancellationToken) {
    warn_of_tokens_in_the_clear(&listener, &options);
    let limits = Arc::new(options.limits);
    let sites = Sites { needs_token: options.gate.tokens().is_some() };
    let router = routes.behind(&options.gate);
    let handshakes = options.tls.map(|tls| Arc::new(Handshakes::new(tls, Arc::clone(&limits))));
    let mut server = Server {
        service: Arc::new(Service::new(router, Arc::clone(&limits), sites)),
        limits,
        handshakes,
        shutdown,
        connections: JoinSet::new(),
        refusing: false,
        accept_failing: false,
    };
    server.accept_until_shutdown(&listener).await;
    drop(listener);
    server.drain().await;
}

fn warn_of_tokens_in_the_clear(listener: &TcpListener, options: &EdgeOptions) {
    let only_this_machine = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    if options.gate.tokens().is_some() && options.tls.is_none() && !only_this_machine {
        tracing::warn!(
            "tokens come over the network in the clear: give --tls-cert and --tls-key, or let only a proxy that speaks TLS reach this port"
        );
    }
}

struct Server {
    service: Arc<Service>,
    limits: Arc<EdgeLimits>,
    /// None: HTTP in the clear.
    handshakes: Option<Arc<Handshakes>>,
    shutdown: CancellationToken,
    connections: JoinSet<()>,
    /// The last connection was refused: say so once, not for each.
    refusing: bool,
    /// The last accept failed: likewise.
    accept_failing: bool,
}

impl Server {
    async fn accept_until_shutdown(&mut self, listener: &TcpListener) {
        let shutdown = self.shutdown.clone();
        let mut stopped = std::pin::pin!(shutdown.cancelled());
        loop {
            select! {
                () = &mut stopped => return,
                Some(ended) = self.connections.join_next() => note_end(ended),
                accepted = listener.accept() => match accepted {
                    Ok((socket, client)) => self.on_connection(socket, client),
                    Err(error) => self.on_accept_error(error).await,
                },
            }
        }
    }

    fn on_connection(&mut self, socket: TcpStream, client: SocketAddr) {
        self.accept_failing = false;
        if self.connections.len() >= self.limits.max_connections {
            return self.refuse(socket, client);
        }
        self.refusing = false;
        if let Err(error) = set_options(&socket) {
            tracing::debug!(%error, %client, "a client left before it was served");
            return;
        }
        let (service, shutdown) = (Arc::clone(&self.service), self.shutdown.clone());
        match self.handshakes.clone() {
            None => self.connections.spawn(connection::serve(socket, client, service, shutdown)),
            Some(handshakes) => {
                self.connections.spawn(serve_tls(handshakes, socket, client, service, shutdown))
            }
        };
    }

    fn refuse(&mut self, socket: TcpStream, client: SocketAddr) {
        let limit = self.limits.max_connections;
        if !self.refusing {
            tracing::warn!(limit, %client, "refused a connection: as many are open as may be");
            self.refusing = true;
        }
        if self.handshakes.is_some() {
            // To tell it would take a handshake.
            return;
        }
        if let Err(error) = write_refusal(socket, limit) {
            tracing::debug!(%error, %client, "a refused client did not hear why");
        }
    }

    async fn on_accept_error(&mut self, error: io::Error) {
        if is_of_one_connection(&error) {
            return;
        }
        if !self.accept_failing {
            tracing::error!(%error, "no connection can be accepted; still trying");
            self.accept_failing = true;
        }
        select! {
            () = time::sleep(ACCEPT_PAUSE) => {}
            () = self.shutdown.cancelled() => {}
        }
    }

    async fn drain(&mut self) {
        let drained = async {
            while let Some(ended) = self.connections.join_next().await {
                note_end(ended);
            }
        };
        if time::timeout(self.limits.grace, drained).await.is_err() {
            let connections = self.connections.len();
            tracing::warn!(connections, grace = ?self.limits.grace, "cut off what still ran at the stop");
            self.connections.shutdown().await;
        }
    }
}

/// Serves what is inside of TLS. A stop does not wait for handshakes.
async fn serve_tls(
    handshakes: Arc<Handshakes>,
    socket: TcpStream,
    client: SocketAddr,
    service: Arc<Service>,
    shutdown: CancellationToken,
) {
    let stream = select! {
        biased;
        () = shutdown.cancelled() => None,
        stream = handshakes.take(socket, client) => stream,
    };
    if let Some(stream) = stream {
        connection::serve(stream, client, service, shutdown).await;
    }
}

fn set_options(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)?;
    limit_unsent(socket)
}

#[cfg(target_os = "linux")]
fn limit_unsent(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).set_tcp_notsent_lowat(super::limits::UNSENT_BYTES)
}

#[cfg(not(target_os = "linux"))]
fn limit_unsent(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// Says why, as far as that is possible without waiting for anything. What is asked for is not even read.
fn write_refusal(socket: TcpStream, limit: usize) -> io::Result<()> {
    let detail = format!("This node serves {limit} connections, and all are taken. Try again, or reuse one.");
    let problem = Problem::new(Code::TooManyConnections, detail)
        .applied(Applied::Unknown)
        .with("limit", limit)
        .retry_after(Duration::from_secs(1));
    let mut socket = socket.into_std()?;
    socket.write_all(&problem.to_http1())?;
    socket.shutdown(Shutdown::Write)?;
    // What the client has already sent must not turn the close into a reset.
    let _ = socket.read(&mut [0; 4096]);
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn note_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "the answer of one connection panicked: a bug, please report it");
    }
}
