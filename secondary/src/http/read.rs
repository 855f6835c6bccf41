//! `GET /messages` and `GET /full_messages`.

use axum::{extract::State, response::Response};
use replog_host::{
    edge::{Problem, query::Query},
    pages::{self, Element, PageQuery},
};

use replog_shared::store::Reader;

use super::Context;

/// The bare messages, in order.
pub(super) async fn messages<R: Reader>(
    State(context): State<Context<R>>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    answer(context, &query, Element::Message).await
}

/// The entries, in order.
pub(super) async fn full_messages<R: Reader>(
    State(context): State<Context<R>>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    answer(context, &query, Element::Entry).await
}

async fn answer<R: Reader>(
    context: Context<R>,
    query: &PageQuery,
    element: Element,
) -> Result<Response, Problem> {
    let Context { node, stopping, stopped, .. } = context;
    pages::wait_for_order(node.shown.clone(), query, &stopping).await?;
    Ok(pages::answer(node.reads, element, query, &node.shown, stopped))
}
