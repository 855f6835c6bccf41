//! The one layer around the routes.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use axum::{Router, body::Body, response::IntoResponse};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tower_service::Service as _;

use super::{
    ClientAddress, EdgeLimits, Problem,
    body::{AnswerBody, Arriving, RequestBody, too_large},
    problem::ProblemCode,
    rate::Rate,
    site::Sites,
    stream::Unending,
    watch::Watch,
};
use replog_shared::{Applied, Code};

/// Of a text that explains a refusal, and of a path that is repeated in one, no more than this.
const MAX_QUOTED_BYTES: usize = 1_024;

/// Checks a request's head, routes it, and turns every refusal without a document into a [`Problem`].
pub(super) struct Service {
    router: Router,
    limits: Arc<EdgeLimits>,
    arriving: Arriving,
    rate: Option<Rate>,
    sites: Sites,
}

impl Service {
    pub(super) fn new(router: Router, limits: Arc<EdgeLimits>, sites: Sites) -> Self {
        let rate = limits.max_requests_per_second.map(Rate::new);
        Self { router, limits, arriving: Arriving::default(), rate, sites }
    }

    pub(super) fn limits(&self) -> &Arc<EdgeLimits> {
        &self.limits
    }

    /// Answers one request, whatever happens.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        watch: Arc<Watch>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let asked = Asked::of(&request);
        let version = request.version();
        let mut response = match self.check(&request, &watch) {
            Ok(()) => self.route(request, &watch).await,
            Err(problem) => {
                watch.on_unread();
                // Where this request ends is in doubt, so there is no next one.
                problem.header(header::CONNECTION, HeaderValue::from_static("close")).into_response()
            }
        };
        note_refusal(asked, &response);
        let unending = response.extensions().get::<Unending>().is_some();
        let until_close = version < Version::HTTP_11 && response.body().size_hint().exact().is_none();
        if until_close {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            watch.on_until_close();
        }
        if version < Version::HTTP_11 && response.headers().contains_key(header::CONNECTION) {
            // To a later version hyper adds `keep-alive`, and closes all the same.
            *response.version_mut() = Version::HTTP_10;
        }
        Ok(response.map(|body| AnswerBody::new(body, watch, unending)))
    }

    /// What no route should have to know. A request that two readers could read in two ways is refused:
    /// behind a proxy that reads it in the other way, one client's body becomes another client's request.
    fn check(&self, request: &Request<Incoming>, watch: &Watch) -> Result<(), Problem> {
        check_host(request.version(), request.headers())?;
        if request.headers().contains_key(header::TRANSFER_ENCODING) {
            check_one_length(watch.content_lengths())?;
        }
        let limit = self.limits.max_body_bytes;
        let announced = request.body().size_hint().lower();
        if announced > limit as u64 { Err(too_large(limit)) } else { Ok(()) }
    }

    fn check_client(&self, request: &Request<RequestBody>) -> Result<(), Problem> {
        let client = request.extensions().get();
        let unread = applied_if_unread(request.method());
        self.check_rate(client).map_err(|problem| problem.applied(unread))?;
        self.sites.check(request.method(), request.headers(), client)
    }

    fn check_rate(&self, client: Option<&ClientAddress>) -> Result<(), Problem> {
        match (&self.rate, client) {
            (Some(rate), Some(ClientAddress(client))) => rate.check(client.ip()),
            _ => Ok(()),
        }
    }

    async fn route(&self, request: Request<Incoming>, watch: &Arc<Watch>) -> Response<Body> {
        let asked = (request.method().clone(), request.uri().clone());
        let arriving = self.arriving.clone();
        let request = request.map(|body| RequestBody::new(body, Arc::clone(watch), arriving));
        if let Err(problem) = self.check_client(&request) {
            return problem.into_response();
        }
        let routed = self.router.clone().call(request);
        match AssertUnwindSafe(routed).catch_unwind().await {
            Ok(Ok(response)) if is_refusal_without_document(&response) => explain(response, asked).await,
            Ok(Ok(response)) => response,
            Err(_panic) => on_panic(&asked),
        }
    }
}

/// What the log says of a request that was refused: here, and nowhere else.
struct Asked {
    client: Option<ClientAddress>,
    method: Method,
    uri: Uri,
}

impl Asked {
    fn of(request: &Request<Incoming>) -> Option<Self> {
        let wanted = tracing::enabled!(tracing::Level::DEBUG);
        let client = request.extensions().get().copied();
        wanted.then(|| Self { client, method: request.method().clone(), uri: request.uri().clone() })
    }
}

/// A failure of our own has been logged where it happened.
fn note_refusal(asked: Option<Asked>, response: &Response<Body>) {
    let status = response.status();
    let refused = status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE;
    if let Some(Asked { client, method, uri }) = asked.filter(|_| refused) {
        let code = response.extensions().get::<ProblemCode>().map(|code| code.0.word());
        let (client, path) = (client.map(|client| tracing::field::display(client.0)), quoted(uri.path()));
        tracing::debug!(client, %method, path, status = status.as_u16(), code, "refused a request");
    }
}

fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let fine = match (hosts.next(), hosts.next()) {
        (Some(_), None) => true,
        (None, _) => version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    let detail = "A request has exactly one Host header.";
    if fine { Ok(()) } else { Err(Problem::new(Code::InvalidHost, detail)) }
}

fn check_one_length(content_lengths: Option<usize>) -> Result<(), Problem> {
    let detail = match content_lengths {
        Some(0) => return Ok(()),
        Some(_) => "Both Content-Length and Transfer-Encoding are given. Send one of them.",
        None => "It is not known where this chunked request begins. Send it on a new connection.",
    };
    Err(Problem::new(Code::AmbiguousLength, detail))
}

/// hyper's own answer to a head it cannot parse, as a problem.
pub(super) fn unparsable(status: StatusCode, limits: &EdgeLimits) -> Problem {
    let limit = limits.max_header_bytes;
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            let detail = format!("The head is larger than {limit} bytes, or has more than 100 lines.");
            Problem::new(Code::HeadTooLarge, detail).with("limit", limit)
        }
        StatusCode::URI_TOO_LONG => Problem::new(Code::UriTooLong, "The request's target is too long."),
        _ => Problem::new(Code::InvalidHead, "This is not the head of an HTTP/1.1 request."),
    }
}

/// A bare status, or a line of text: what axum and its extractors answer.
fn is_refusal_without_document(response: &Response<Body>) -> bool {
    let status = response.status();
    (status.is_client_error() || status.is_server_error())
        && response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_none_or(|it| it.as_bytes().starts_with(b"text/plain"))
}

/// Puts a problem in the place of a bare refusal. Its text becomes the detail, its other headers stay.
async fn explain(response: Response<Body>, (method, uri): (Method, Uri)) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, MAX_QUOTED_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut problem = bare_problem(parts.status, &method, &uri, &parts.headers);
    if !text.trim().is_empty() {
        problem = problem.detail(text.trim());
    }
    let explained = problem.into_response();
    for stale in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        parts.headers.remove(stale);
    }
    parts.headers.extend(explained.headers().clone());
    parts.extensions.extend(explained.extensions().clone());
    Response::from_parts(parts, explained.into_body())
}

fn bare_problem(status: StatusCode, method: &Method, uri: &Uri, headers: &HeaderMap) -> Problem {
    let path = quoted(uri.path());
    match status {
        StatusCode::NOT_FOUND => {
            let detail = format!("There is nothing at {path}. GET /docs shows what there is.");
            Problem::new(Code::NotFound, detail)
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed = headers.get(header::ALLOW).and_then(|allow| allow.to_str().ok()).unwrap_or("none");
            let detail = format!("{path} does not take {method}. It takes: {allowed}.");
            Problem::new(Code::MethodNotAllowed, detail).with("allowed", allowed)
        }
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::BodyTooLarge, "The body is too large."),
        StatusCode::SERVICE_UNAVAILABLE => {
            Problem::new(Code::Unavailable, "This node cannot answer that now. Try again.")
                .applied(applied_if_unread(method))
        }
        _ if status.is_server_error() => internal_error(method).with_status(status),
        _ => Problem::new(Code::BadRequest, format!("{method} {path} was refused.")).with_status(status),
    }
}

fn on_panic((method, uri): &(Method, Uri)) -> Response<Body> {
    tracing::error!(%method, path = uri.path(), "a route panicked: a bug, please report it");
    internal_error(method).into_response()
}

fn internal_error(method: &Method) -> Problem {
    Problem::internal_error().applied(applied_if_unread(method))
}

/// Whether a request of which nothing was read, or that failed somewhere inside, may have taken effect: by itself, or by
/// an earlier one with the same id.
fn applied_if_unread(method: &Method) -> Applied {
    if method.is_safe() { Applied::No } else { Applied::Unknown }
}

/// A path for a sentence: not longer than a reader wants.
fn quoted(path: &str) -> &str {
    &path[..path.floor_char_boundary(MAX_QUOTED_BYTES)]
}
