//! One request, from its payload to its answer.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{StatusCode, header};
use replog_host::{
    bus::{Answer, Asker, Refusal, Request},
    edge::{Problem, json::JsonBody},
};
use replog_shared::{store::Reader, trace::TraceParent};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tracing::{debug, error};

use super::limits::{MAX_LONG_WAITS, SHORT_WAIT};
use crate::{append, node::Handle, nodes::Nodes, requests};

/// What all requests need.
pub(super) struct Server<R> {
    node: Handle<R>,
    nodes: Nodes,
    max_body_bytes: usize,
    long_waits: Semaphore,
}

impl<R: Reader> Server<R> {
    pub(super) fn new(node: Handle<R>, nodes: Nodes, max_body_bytes: usize) -> Server<R> {
        Server { node, nodes, max_body_bytes, long_waits: Semaphore::new(MAX_LONG_WAITS) }
    }

    /// Serves a request that has its place, whatever happens.
    pub(super) async fn serve(
        self: Arc<Server<R>>,
        request: Request,
        _place: OwnedSemaphorePermit,
    ) -> (Asker, Answer) {
        let Request { asker, trace, body } = request;
        let served = AssertUnwindSafe(self.append(body, trace)).catch_unwind().await;
        let served = served.unwrap_or_else(|_panic| {
            error!("an append over NATS panicked: a bug, please report it");
            Err(Problem::internal_error(StatusCode::INTERNAL_SERVER_ERROR))
        });
        (asker, answer_of(served))
    }

    async fn append(&self, body: Bytes, trace: Option<TraceParent>) -> Result<Vec<u8>, Problem> {
        let body = JsonBody::whole(body, self.max_body_bytes)?;
        let mut request = requests::append(&body, self.nodes.count())?;
        drop(body);
        let (_long_wait, timeout) = self.wait_of(request.timeout);
        request.timeout = timeout;
        append::one(&self.node, &self.nodes, request, trace).await
    }

    /// How long a request may wait that wants to wait so long, none for ever; and its place among those that wait long.
    fn wait_of(&self, wanted: Option<Duration>) -> (Option<SemaphorePermit<'_>>, Option<Duration>) {
        if wanted.is_some_and(|wanted| wanted <= SHORT_WAIT) {
            return (None, wanted);
        }
        match self.long_waits.try_acquire() {
            Ok(place) => (Some(place), wanted),
            Err(_) => (None, Some(SHORT_WAIT)),
        }
    }
}

/// 503: every place is taken.
pub(super) fn overloaded() -> Problem {
    let detail =
        "More appends over NATS wait for their nodes than this node keeps. Try again a little later.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(Duration::from_secs(1))
}

/// The JSON as HTTP answers it. What HTTP says by its status and its headers stands in headers here, too.
pub(super) fn answer_of(served: Result<Vec<u8>, Problem>) -> Answer {
    match served {
        Ok(body) => Answer { body: body.into(), refusal: None },
        Err(problem) => {
            note_refusal(&problem);
            let (status, code) = (problem.status().as_u16(), problem.code());
            let retry_after = problem.header_value(&header::RETRY_AFTER).map(str::to_owned);
            Answer { body: problem.body().into(), refusal: Some(Refusal { status, code, retry_after }) }
        }
    }
}

/// As of requests over HTTP: a failure of our own has been logged where it happened.
fn note_refusal(problem: &Problem) {
    let (status, code) = (problem.status(), problem.code());
    if status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE {
        debug!(status = status.as_u16(), code, "refused an append over NATS");
    }
}
