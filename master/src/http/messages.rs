//! `/messages`, `/messages/batch`, `/messages/{order}`, `/full_messages`.

use axum::{
    extract::{Path, State as Extract},
    response::Response,
};
use http::StatusCode;
use replog_host::{
    edge::{Problem, json::JsonBody, query::Query},
    pages::{self, Element, PageQuery},
};
use replog_shared::{MessageId, Order, store::Reader};

use super::{
    State,
    answers::{self, appended, batch_appended, gone, met},
    requests::{self, WaitQuery},
};

/// `POST /messages`.
pub(super) async fn append<R: Reader>(
    Extract(context): State<R>,
    Query(()): Query<()>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let request = requests::append(&body, context.nodes())?;
    let id = request.append.messages[0].id.clone();
    drop(body);
    let outcome = context.node.append(request.append, request.timeout).await.map_err(|_| gone())?;
    let met = met(&context, outcome)?;
    Ok(appended(&context, &id, &met))
}

/// `POST /messages/batch`.
pub(super) async fn append_batch<R: Reader>(
    Extract(context): State<R>,
    Query(()): Query<()>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let request = requests::batch(&body, context.nodes())?;
    let ids: Vec<MessageId> = request.append.messages.iter().map(|new| new.id.clone()).collect();
    drop(body);
    let outcome = context.node.append(request.append, request.timeout).await.map_err(|_| gone())?;
    let met = met(&context, outcome)?;
    Ok(batch_appended(&context, &ids, &met))
}

/// `GET /messages`.
pub(super) async fn list<R: Reader>(
    Extract(context): State<R>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    pages(context, &query, Element::Message).await
}

/// `GET /full_messages`.
pub(super) async fn list_full<R: Reader>(
    Extract(context): State<R>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    pages(context, &query, Element::Entry).await
}

async fn pages<R: Reader>(
    context: std::sync::Arc<super::Context<R>>,
    query: &PageQuery,
    element: Element,
) -> Result<Response, Problem> {
    pages::wait_for_order(context.node.shown.clone(), query).await?;
    let shown = context.node.shown.borrow().clone();
    Ok(pages::answer(context.node.reader.clone(), element, query, &shown, context.stop.clone()))
}

/// `GET /messages/{order}`: the entry and who holds it; with `w`, waits for it.
pub(super) async fn one<R: Reader>(
    Extract(context): State<R>,
    Path(order): Path<String>,
    Query(query): Query<WaitQuery>,
) -> Result<Response, Problem> {
    let order = order.parse().map(Order::new).map_err(|_| {
        Problem::invalid_field("order", "The order in the path must be a whole number, counted from 0.")
    })?;
    let w = requests::query_write_concern(query.w.as_deref(), context.nodes())?;
    let outcome = context.node.wait(order, w, query.timeout).await.map_err(|_| gone())?;
    let met = met(&context, outcome)?;
    let page = context.node.reader.read(order, order.next(), 0).map_err(unreadable)?;
    let line =
        page.bytes.split_inclusive(|byte| *byte == b'\n').rfind(|line| line.starts_with(b"{\"order\""));
    let Some(entry) = line.and_then(|line| line.strip_suffix(b"}\n")) else {
        return Err(answers::too_late(order));
    };
    let mut out = entry.to_vec();
    out.push(b',');
    answers::push_nodes(&mut out, &context, met.holders);
    out.extend_from_slice(b"}\n");
    Ok(answers::json_response(out))
}

fn unreadable(error: replog_shared::store::ReadError) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "unreadable",
        format!("The entry cannot be read: {error}."),
    )
}
