//! `GET /messages` and `GET /full_messages`.

use axum::{extract::State, response::Response};
use replog_host::{
    edge::{Problem, query::Query},
    pages::{self, Element, PageQuery},
};

use super::{Context, steady::SteadyReader, stopping};

/// The bare messages, in order.
pub(super) async fn messages(
    State(context): State<Context>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    answer(context, &query, Element::Message).await
}

/// The entries, in order.
pub(super) async fn full_messages(
    State(context): State<Context>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    answer(context, &query, Element::Entry).await
}

async fn answer(context: Context, query: &PageQuery, element: Element) -> Result<Response, Problem> {
    let Context { node, reader, stopping: stop, stopped, .. } = context;
    let waited = stop.run_until_cancelled(pages::wait_for_order(node.shown(), query));
    waited.await.unwrap_or_else(|| Err(stopping()))?;
    // The reader first: a cut between the two is noticed then.
    let reader = SteadyReader::new(reader, node.facts());
    let shown = node.shown().borrow().clone();
    Ok(pages::answer(reader, element, query, &shown, stopped))
}
