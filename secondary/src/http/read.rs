//! `GET /messages` and `GET /full_messages`.

use axum::{extract::State, response::Response};
use replog_host::{
    edge::{Problem, query::Query},
    pages::{self, Element, PageQuery},
};

use super::Context;

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
    let Context { node, reader, stopping, stopped, .. } = context;
    pages::wait_for_order(node.shown(), query, &stopping).await?;
    Ok(pages::answer(reader, element, query, &node.shown(), stopped))
}
