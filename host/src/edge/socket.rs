//! What a connection is made of: TCP, or TLS over it.

use std::{io, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// A byte stream whose close can be made a reset.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// From now on a close, also that of a process that dies, resets the connection and drops what was not sent, or
    /// is the usual one again.
    fn reset_on_close(&self, resets: bool) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn reset_on_close(&self, resets: bool) -> io::Result<()> {
        SockRef::from(self).set_linger(resets.then_some(Duration::ZERO))
    }
}

impl Socket for TlsStream<TcpStream> {
    fn reset_on_close(&self, resets: bool) -> io::Result<()> {
        self.get_ref().0.reset_on_close(resets)
    }
}

/// Nothing can be told by the close of a pipe.
#[cfg(feature = "fuzzing")]
impl Socket for tokio::io::DuplexStream {
    fn reset_on_close(&self, _: bool) -> io::Result<()> {
        Ok(())
    }
}
