//! `/livez` and `/readyz`, the same words on both nodes.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, header};

use crate::{
    bus::BusTrouble,
    edge::{Problem, query::Query},
};
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
pub fn bus_trouble(connected: bool, trouble: &BusTrouble) -> Option<String> {
    let BusTrouble { denied, unreachable, streams } = trouble;
    let denies = |what: &String| format!("NATS denies this node something: {what}");
    match (connected, unreachable, denied) {
        (false, Some(why), _) => Some(format!("NATS is not connected: {why}")),
        (false, None, Some(what)) => Some(format!("NATS is not connected: it denies this node something: {what}")),
        (false, None, None) => Some("NATS is not connected".to_owned()),
        (true, _, Some(what)) => Some(denies(what)),
        (true, _, None) => (!streams.is_empty()).then(|| {
            let streams = streams.join(", ");
            format!(
                "the JetStream stream {streams} answers requests on this log's subjects before a node does: narrow its subjects, or set no_ack"
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(word: &str) -> Option<String> {
        Some(word.to_owned())
    }

    #[test]
    fn the_reason_names_what_nats_says() {
        let none = BusTrouble::default();
        let denied = BusTrouble { denied: some("acks.*"), ..BusTrouble::default() };
        let unreachable = BusTrouble { unreachable: some("a:1"), ..denied.clone() };
        let streams = BusTrouble { streams: vec!["ALL".to_owned()], ..BusTrouble::default() };
        assert_eq!(bus_trouble(true, &none), None);
        for (connected, trouble, named) in [
            (false, &none, "not connected"),
            (false, &denied, "acks.*"),
            (true, &denied, "acks.*"),
            (false, &unreachable, "a:1"),
            (true, &streams, "ALL"),
        ] {
            let reason = bus_trouble(connected, trouble).expect("a reason");
            assert!(reason.contains(named), "{reason}");
        }
    }
}
