//! `/livez` and `/readyz`, the same words on both nodes.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, header};

use crate::edge::{Problem, query::Query};
use replog_shared::Code;

/// `GET /livez`: the process answers.
pub async fn livez(Query(()): Query<()>) -> Response {
    ok()
}

/// The answer of `GET /readyz`: ready, unless something of the node's own is `missing`, as part of a sentence. Never
/// say anything of lag, of a quorum or of other nodes here: a probe that fails takes the node out of service.
pub fn ready(missing: Option<&str>) -> Response {
    match missing {
        None => ok(),
        Some(missing) => {
            let detail = format!("Not ready: {missing}.");
            Problem::new(Code::NotReady, detail).into_response()
        }
    }
}

fn ok() -> Response {
    let mut response = Response::new(Body::from("{\"status\":\"ok\"}\n"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Why a node whose log is fine is degraded all the same: what both kinds of node know of their bus.
pub fn bus_trouble(connected: bool, denied: Option<&str>) -> Option<String> {
    match (connected, denied) {
        (false, _) => Some("NATS is not connected".to_owned()),
        (true, Some(what)) => Some(format!("NATS denies this node something: {what}")),
        (true, None) => None,
    }
}
