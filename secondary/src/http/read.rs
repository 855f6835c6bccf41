//! `GET /messages` and `GET /full_messages`.

use std::time::Duration;

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use replog_host::edge::{
    Problem,
    query::{Params, Query, QueryParams},
    stream::json_array,
};
use replog_shared::{Order, OrderRange};
use tokio::{select, time::timeout};

use super::{
    Served,
    pages::{Shape, pages},
    stopping,
};
use crate::node::Shown;

/// The epoch in which an answer was read.
const EPOCH: HeaderName = HeaderName::from_static("replog-epoch");

/// The log from which it was read.
const LOG_ID: HeaderName = HeaderName::from_static("replog-log-id");

/// Which part of the log is wanted, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    from: Order,
    /// Entries at most; none: all.
    limit: Option<u64>,
    /// Waits until this order is shown.
    min_order: Option<Order>,
    /// For this long at most; none: for as long as the client waits.
    timeout: Option<Duration>,
}

impl QueryParams for Part {
    fn read(params: &mut Params<'_>) -> Result<Part, Problem> {
        let from = params.number("from", 0..=u64::MAX);
        let limit = params.number("limit", 1..=u64::MAX);
        let min_order = params.number("min_order", 0..=u64::MAX);
        let timeout_ms = params.number("timeout_ms", 0..=u64::MAX);
        Ok(Part {
            from: Order::new(from?.unwrap_or(0)),
            limit: limit?,
            min_order: min_order?.map(Order::new),
            timeout: timeout_ms?.map(Duration::from_millis),
        })
    }
}

/// The bare messages, in order.
pub(super) async fn messages(State(served): State<Served>, Query(part): Query<Part>) -> Result<Response, Problem> {
    answer(served, part, Shape::Message).await
}

/// The entries, in order.
pub(super) async fn full_messages(
    State(served): State<Served>,
    Query(part): Query<Part>,
) -> Result<Response, Problem> {
    answer(served, part, Shape::Entry).await
}

async fn answer(served: Served, part: Part, shape: Shape) -> Result<Response, Problem> {
    let shown = visible(&served, part).await?;
    let end = part.limit.map_or(shown.visible_through, |limit| part.from.plus(limit));
    let range = OrderRange::new(part.from, end.min(shown.visible_through));
    let pages = pages(served.reader, served.node.shown(), shown.cuts, range, shape);
    let body = json_array(r#"{"messages": ["#, "]}\n", pages, served.stopped);
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(shown.epoch.and_then(|epoch| Some((EPOCH, epoch.to_string().try_into().ok()?))));
    headers.extend(shown.log_id.and_then(|log_id| Some((LOG_ID, log_id.to_string().try_into().ok()?))));
    Ok(response)
}

/// What is shown now, or once `min_order` is.
async fn visible(served: &Served, part: Part) -> Result<Shown, Problem> {
    let mut shown = served.node.shown();
    let Some(order) = part.min_order else { return Ok(shown.borrow().clone()) };
    let reached = async {
        let reached = shown.wait_for(|shown| shown.visible_through > order).await;
        reached.map(|shown| shown.clone()).map_err(|_| stopping())
    };
    let reached = async {
        match part.timeout {
            None => reached.await,
            Some(limit) => timeout(limit, reached).await.unwrap_or_else(|_| Err(not_yet(served, order))),
        }
    };
    select! {
        biased;
        reached = reached => reached,
        () = served.stopping.cancelled() => Err(stopping()),
    }
}

/// 504: this node does not show that order yet.
fn not_yet(served: &Served, order: Order) -> Problem {
    let length = served.node.shown().borrow().visible_through;
    let detail = format!("Order {order} is not shown here yet: this node shows {length} entries.");
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "not_there_yet", detail)
        .with("min_order", order.get())
        .with("length", length.get())
        .retryable()
}
