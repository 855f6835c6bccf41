//! One request, from its payload to its answer.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{StatusCode, header};
use replog_host::{
    bus::{Answer, MAX_SERVICE_REQUESTS, Refusal},
    edge::{
        Problem, Waits,
        json::JsonBody,
        waits::{WaitPlace, share_of},
    },
};
use replog_shared::{Applied, Code, WriteConcern, store::Reader, trace::TraceParent};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, error};

use super::limits::{MAX_LONG_WAITS, SHORT_WAIT};
use crate::{append::Started, node::Handle, nodes::Nodes, requests};
use replog_core::master::events::NotLeading;

/// What all requests need.
pub(super) struct Server<R> {
    node: Handle<R>,
    nodes: Arc<Nodes>,
    max_body_bytes: usize,
    /// One for each request that waits for its answer.
    places: Arc<Semaphore>,
    /// One for each of those that wait for other nodes.
    waits: Waits,
    /// One for each of those that may wait long.
    long_waits: Arc<Semaphore>,
}

/// A request that the node was given, with its places.
pub(super) struct Waiting {
    started: Started,
    nodes: Arc<Nodes>,
    _place: OwnedSemaphorePermit,
    _wait: Option<WaitPlace>,
    _long_wait: Option<OwnedSemaphorePermit>,
}

impl<R: Reader> Server<R> {
    pub(super) fn new(node: Handle<R>, nodes: Nodes, max_body_bytes: usize) -> Server<R> {
        let [places, long_waits] =
            [MAX_SERVICE_REQUESTS, MAX_LONG_WAITS].map(|places| Arc::new(Semaphore::new(places)));
        let waits = Waits::of(share_of(MAX_SERVICE_REQUESTS));
        Server { node, nodes: Arc::new(nodes), max_body_bytes, places, waits, long_waits }
    }

    /// Gives a request to the node. Requests get their orders as they are given.
    pub(super) async fn start(&self, body: Bytes, trace: Option<TraceParent>) -> Result<Waiting, Problem> {
        let body = JsonBody::whole(body, self.max_body_bytes)?;
        let mut request = requests::append(&body, self.nodes.count())?;
        drop(body);
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| overloaded(request.has_ids))?;
        let waits_for_others = request.append.w > WriteConcern::ONE;
        let wait = if waits_for_others { self.waits.take() } else { None };
        let may_wait = wait.is_some() || !waits_for_others;
        let (long_wait, timeout) = self.wait_of(request.timeout);
        request.timeout = timeout;
        let started = Started::new(&self.node, request, trace, may_wait).await?;
        let nodes = Arc::clone(&self.nodes);
        Ok(Waiting { started, nodes, _place: place, _wait: wait, _long_wait: long_wait })
    }

    /// How long a request may wait that wants to wait so long, none for ever; and its place among those that wait long.
    fn wait_of(&self, wanted: Option<Duration>) -> (Option<OwnedSemaphorePermit>, Option<Duration>) {
        if wanted.is_some_and(|wanted| wanted <= SHORT_WAIT) {
            return (None, wanted);
        }
        match Arc::clone(&self.long_waits).try_acquire_owned() {
            Ok(place) => (Some(place), wanted),
            Err(_) => (None, Some(SHORT_WAIT)),
        }
    }
}

impl Waiting {
    /// Waits for the JSON of the answer.
    pub(super) async fn end(self) -> Result<Vec<u8>, Problem> {
        self.started.answer(&self.nodes).await.map_err(of_one_door)
    }
}

/// Why a master that does not lead refuses. Until its door is closed, the one that leads hears the same requests: what
/// became of one is not known here.
fn of_one_door(problem: Problem) -> Problem {
    if NotLeading::CODES.contains(&problem.code()) && problem.has_applied() == Applied::No {
        problem.applied(Applied::Unknown)
    } else {
        problem
    }
}

/// What becomes of a part of a request, whatever happens.
pub(super) async fn unless_it_panics<T>(
    part: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    AssertUnwindSafe(part).catch_unwind().await.unwrap_or_else(|_panic| {
        error!("an append over NATS panicked: a bug, please report it");
        Err(Problem::internal_error())
    })
}

/// 503: every place is taken. The ids of the request, if it has any, were not looked up.
fn overloaded(has_ids: bool) -> Problem {
    let detail =
        "More appends over NATS wait for their nodes than this node keeps. Try again a little later.";
    let applied = if has_ids { Applied::Unknown } else { Applied::No };
    Problem::new(Code::Overloaded, detail).applied(applied).retry_after(Duration::from_secs(1))
}

/// The JSON as HTTP answers it. What HTTP says by its status and its headers stands in headers here, too.
pub(super) fn answer_of(served: Result<Vec<u8>, Problem>) -> Answer {
    match served {
        Ok(body) => Answer { body: body.into(), refusal: None },
        Err(problem) => {
            note_refusal(&problem);
            let code = problem.code();
            let retry_after = problem.header_value(&header::RETRY_AFTER).map(str::to_owned);
            Answer { body: problem.body().into(), refusal: Some(Refusal { code, retry_after }) }
        }
    }
}

/// As of requests over HTTP: a failure of our own has been logged where it happened.
fn note_refusal(problem: &Problem) {
    let status = problem.status();
    if status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE {
        debug!(status = status.as_u16(), code = problem.code().word(), "refused an append over NATS");
    }
}
