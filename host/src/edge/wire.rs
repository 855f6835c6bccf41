//! The socket of one connection, in the clear or inside of TLS, as hyper sees it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::{
    service,
    socket::Socket,
    watch::{End, Watch},
};

/// A socket that tells the [`Watch`] what passes, and that does four things hyper does not:
///
/// - hyper answers a head it cannot parse by an empty 400, 414 or 431 before any service is asked. Those
///   bytes are replaced by a problem document with the same status.
/// - A socket closed with unread bytes in it is reset, and the client may lose the answer to the very
///   request that was refused for its size. So closing waits until the client has closed, too, for at most
///   [`super::EdgeLimits::linger`].
/// - hyper gives a request up at once when the client has closed its sending side, or, with its `half_close`,
///   not before it writes. Here the end is told when no byte of the answer was taken for
///   [`super::EdgeLimits::half_close_wait`].
/// - An answer whose end is the close (HTTP/1.0) and that breaks off, even by the death of the process, ends with a
///   reset: in any other way it would look whole.
pub(super) struct Wire<S> {
    socket: S,
    watch: Arc<Watch>,
    /// What is left to write of a problem document that stands for hyper's own answer.
    own: Bytes,
    stalled: bool,
    /// Runs when the client has closed its sending side while it is answered.
    ended: Option<Pin<Box<Sleep>>>,
    /// Whether a close is a reset now.
    resets: bool,
}

impl<S: Socket> Wire<S> {
    pub(super) fn new(socket: S, watch: Arc<Watch>) -> Self {
        Self { socket, watch, own: Bytes::new(), stalled: false, ended: None, resets: false }
    }

    /// Writes by `write`, unless no request has asked for these bytes.
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match self.watch.written_end() {
            None => return Poll::Ready(Ok(self.replace(bufs))),
            Some(End::Told) => {}
            // Before the first byte: from then on a client may take what it has for an answer.
            Some(End::Close | End::ClosesWhole) => self.reset_on_close(true)?,
        }
        let written = write(Pin::new(&mut self.socket), cx);
        self.note_stall(written.is_pending());
        if let (Some(ended), Poll::Ready(Ok(_))) = (&mut self.ended, &written) {
            ended.as_mut().reset(Instant::now() + self.watch.limits().half_close_wait);
        }
        written
    }

    /// The client sends nothing more. Ready when hyper shall know.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.watch.owes_answer() {
            return Poll::Ready(());
        }
        let wait = self.watch.limits().half_close_wait;
        self.ended.get_or_insert_with(|| Box::pin(sleep(wait))).as_mut().poll(cx)
    }

    /// Takes hyper's own answer, and keeps a problem document in its place.
    fn replace(&mut self, bufs: &[IoSlice<'_>]) -> usize {
        if self.own.is_empty() {
            let answer = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
            let problem = service::unparsable(status_of(answer), self.watch.limits());
            tracing::debug!(
                status = problem.status().as_u16(),
                code = problem.code().word(),
                "refused a head"
            );
            self.own = problem.to_http1().into();
            self.watch.on_unread();
        }
        bufs.iter().map(|buf| buf.len()).sum()
    }

    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.own.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.own))?;
            self.own.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn reset_on_close(&mut self, resets: bool) -> io::Result<()> {
        if self.resets != resets {
            self.socket.reset_on_close(resets)?;
            self.resets = resets;
        }
        Ok(())
    }

    fn note_stall(&mut self, stalled: bool) {
        if stalled != self.stalled {
            self.stalled = stalled;
            self.watch.on_stall(stalled);
        }
    }

    /// Reads what still comes, for nobody, until the client has closed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: Socket> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        match &buf.filled()[before..] {
            [] => self.poll_end(cx).map(Ok),
            read => {
                self.watch.on_read(read);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<S: Socket> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_answer(cx, &[IoSlice::new(buf)], |socket, cx| socket.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_answer(cx, bufs, |socket, cx| socket.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_own(cx))?;
        // Inside of TLS, bytes that were taken still wait for the client.
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.note_stall(flushed.is_pending());
        ready!(flushed)?;
        self.watch.on_flushed();
        if !self.watch.owes_answer() && self.ended.take().is_some() {
            // A read waits for this: hyper was told that nothing has come yet, and would not ask again by itself.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_own(cx))?;
        match self.watch.end() {
            End::Told => {}
            End::ClosesWhole => self.reset_on_close(false)?,
            // The socket is dropped next, and that resets it.
            End::Close => return Poll::Ready(Ok(())),
        }
        let wait = self.watch.on_close();
        ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        if wait { self.poll_drain(cx) } else { Poll::Ready(Ok(())) }
    }
}

/// The status in the first bytes of an answer: `HTTP/1.1 431 …`.
fn status_of(answer: &[u8]) -> StatusCode {
    let code = answer.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok());
    code.unwrap_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_the_first_line() {
        assert_eq!(status_of(b"HTTP/1.1 431 Request Header Fields Too Large\r\n").as_u16(), 431);
        assert_eq!(status_of(b"HTTP").as_u16(), 400);
    }
}
