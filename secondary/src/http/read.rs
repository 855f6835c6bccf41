//! `GET /messages`, `GET /full_messages` and `GET /tail`.

use ::http::HeaderMap;
use axum::{extract::State, response::Response};
use replog_host::{
    edge::{Problem, query::Query},
    pages::{self, Element, Layout, PageQuery},
    tail::{Source, TailQuery},
};

use replog_shared::store::Reader;

use super::Context;

/// The bare messages, in order.
pub(super) async fn messages<R: Reader>(
    State(context): State<Context<R>>,
    headers: HeaderMap,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    answer(context, &headers, &query, Element::Message).await
}

/// The entries, in order.
pub(super) async fn full_messages<R: Reader>(
    State(context): State<Context<R>>,
    headers: HeaderMap,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    answer(context, &headers, &query, Element::Entry).await
}

/// The entries, and each that comes.
pub(super) async fn tail<R: Reader>(
    State(context): State<Context<R>>,
    headers: HeaderMap,
    Query(query): Query<TailQuery>,
) -> Result<Response, Problem> {
    let Context { node, stopping, tails, .. } = context;
    let source = Source { reads: node.reads, shown: node.shown, is_whole: false, stopping };
    tails.answer(source, query, &headers)
}

async fn answer<R: Reader>(
    context: Context<R>,
    headers: &HeaderMap,
    query: &PageQuery,
    element: Element,
) -> Result<Response, Problem> {
    let layout = Layout::wanted(headers)?;
    let Context { node, waits, stopping, stopped, .. } = context;
    pages::wait_for_order(node.shown.clone(), query, &waits, &stopping).await?;
    Ok(pages::answer(node.reads, (element, layout), headers, query, &node.shown, stopped))
}
