//! From a TCP connection to a TLS one, at the cost of nobody else.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::server::TlsStream;

use super::{EdgeLimits, Problem, ServerTls};
use replog_shared::Code;

/// The first byte of every TLS connection: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// Makes handshakes, a limited number at one time, each within [`EdgeLimits::header_timeout`].
pub(super) struct Handshakes {
    tls: ServerTls,
    limits: Arc<EdgeLimits>,
    free: Semaphore,
}

impl Handshakes {
    pub(super) fn new(tls: ServerTls, limits: Arc<EdgeLimits>) -> Self {
        let free = Semaphore::new(limits.max_handshakes);
        Self { tls, limits, free }
    }

    /// The connection inside of TLS; none if it came to nothing, which is the client's matter.
    pub(super) async fn take(&self, socket: TcpStream, client: SocketAddr) -> Option<TlsStream<TcpStream>> {
        match timeout(self.limits.header_timeout, self.shake(socket)).await {
            Ok(Ok(stream)) => return stream,
            Ok(Err(error)) => tracing::debug!(%error, %client, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%client, "closed a connection whose TLS handshake took too long"),
        }
        None
    }

    async fn shake(&self, socket: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
        // Who has not said a word takes no place from those who have.
        let mut first = [0];
        if socket.peek(&mut first).await? == 0 {
            return Ok(None);
        }
        if first != [HANDSHAKE_RECORD] {
            return self.answer_in_the_clear(socket).await.map(|()| None);
        }
        let _place = self.free.acquire().await.map_err(io::Error::other)?;
        self.tls.acceptor().accept(socket).await.map(Some)
    }

    /// Tells a client that speaks plain HTTP what is spoken here, and closes without a reset.
    async fn answer_in_the_clear(&self, mut socket: TcpStream) -> io::Result<()> {
        let detail = "This port speaks HTTPS, and this request came in the clear. Ask for an https:// URL.";
        let problem = Problem::new(Code::TlsRequired, detail);
        socket.write_all(&problem.to_http1()).await?;
        socket.shutdown().await?;
        let mut scratch = [0; 4096];
        let drained = async {
            while socket.read(&mut scratch).await? > 0 {}
            io::Result::Ok(())
        };
        timeout(self.limits.linger, drained).await.unwrap_or(Ok(()))
    }
}
