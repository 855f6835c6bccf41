//! `GET /tail`.

use axum::{extract::State as Extract, response::Response};
use http::HeaderMap;
use replog_host::{
    edge::{Problem, query::Query},
    tail::{Source, TailQuery},
};
use replog_shared::store::Reader;

use super::State;

/// The entries, and each that comes.
pub(super) async fn tail<R: Reader>(
    Extract(context): State<R>,
    headers: HeaderMap,
    Query(query): Query<TailQuery>,
) -> Result<Response, Problem> {
    let node = &context.node;
    let source = Source {
        reads: node.reads.clone(),
        shown: node.shown.clone(),
        is_whole: node.readiness.borrow().leading,
        stopping: context.stopping.clone(),
    };
    context.tails.answer(source, query, &headers)
}
