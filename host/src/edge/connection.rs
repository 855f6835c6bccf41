//! One connection from its first byte to its close.

use std::{error::Error as _, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Instant};

use http::Request;
use http_body::Body as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{select, time};
use tokio_util::sync::CancellationToken;

use super::{
    EdgeLimits,
    framing::BodyLength,
    service::Service,
    socket::Socket,
    stream::Overtaken,
    watch::{MIN_BUFFER_BYTES, Watch},
    wire::Wire,
};

/// The other end of the connection on which a request came, as an extension of the request. Behind a proxy it is
/// the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub SocketAddr);

/// Serves requests until the client leaves, a deadline passes, or, after `shutdown`, the running request
/// is answered.
pub(super) async fn serve(
    socket: impl Socket,
    client: SocketAddr,
    service: Arc<Service>,
    shutdown: CancellationToken,
) {
    let watch = Arc::new(Watch::new(Arc::clone(service.limits())));
    let io = TokioIo::new(Wire::new(socket, Arc::clone(&watch)));
    let answer = service_fn({
        let watch = Arc::clone(&watch);
        move |mut request| {
            watch.on_request(request.method(), body_length(&request));
            request.extensions_mut().insert(ClientAddress(client));
            Arc::clone(&service).answer(request, Arc::clone(&watch))
        }
    });
    let mut connection = pin!(parser(watch.limits()).serve_connection(io, answer));
    let mut overdue = pin!(overdue(&watch));
    let mut stopped = pin!(shutdown.cancelled());
    let mut stopping = false;
    loop {
        select! {
            biased;
            ended = connection.as_mut() => return note_end(ended),
            () = &mut overdue => {
                tracing::debug!(phase = ?watch.phase(), "closed a connection that took too long");
                return;
            }
            () = &mut stopped, if !stopping => {
                stopping = true;
                watch.on_stop();
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// hyper tells the exact length of every body but a chunked one.
fn body_length(request: &Request<Incoming>) -> BodyLength {
    request.body().size_hint().exact().map_or(BodyLength::Chunked, BodyLength::Known)
}

fn parser(limits: &EdgeLimits) -> http1::Builder {
    let mut parser = http1::Builder::new();
    parser
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER_BYTES))
        // The watch does this, and does it for idle connections by another measure.
        .header_read_timeout(None)
        // Answers are short: one copy costs less than a list of pieces.
        .writev(false);
    parser
}

/// Ends when the connection has taken too long for what it is doing.
///
/// Busy connections move their deadline with each request; the timer follows only when it fires, or when a
/// deadline is nearer than the one it was set to.
async fn overdue(watch: &Watch) {
    let mut timer = pin!(time::sleep_until(Instant::now().into()));
    std::future::poll_fn(|cx| {
        while let Some(deadline) = watch.deadline() {
            if timer.deadline() > deadline.into() {
                timer.as_mut().reset(deadline.into());
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline.into());
        }
        Poll::Pending
    })
    .await;
}

fn is_overtaken(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<Overtaken>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A client may leave at any time, which is no news; an answer that broke off is.
fn note_end(ended: hyper::Result<()>) {
    match ended {
        Ok(()) => {}
        Err(error) if error.is_user() && !is_overtaken(&error) => {
            tracing::warn!(%error, "an answer broke off half-way");
        }
        Err(error) => tracing::debug!(%error, "a connection ended early"),
    }
}
