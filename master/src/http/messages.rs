//! `/messages`, `/messages/batch`, `/messages/{order}`, `/full_messages`.

use axum::{extract::State as Extract, response::Response};
use http::{HeaderMap, Uri};
use replog_host::{
    edge::{
        Problem,
        json::JsonBody,
        ndjson::JsonOrLines,
        query::{self, Query},
    },
    pages::{self, Element, Layout, PageQuery, Shown, SteadyReader},
    traces::Traced,
};
use replog_shared::{store::Reader, trace::TraceParent};

use super::{State, batches, json_response};
use crate::{
    answers,
    append::Started,
    requests::{self, Request, WaitQuery},
};

/// `POST /messages`.
pub(super) async fn append<R: Reader>(
    Extract(context): State<R>,
    Query(()): Query<()>,
    Traced(trace): Traced,
    body: JsonBody,
) -> Result<Response, Problem> {
    let request = requests::append(&body, context.nodes.count())?;
    drop(body);
    serve(&context, request, trace).await
}

/// Appends, and keeps its place among those that wait until it is answered.
async fn serve<R: Reader>(
    context: &super::Context<R>,
    request: Request,
    trace: Option<TraceParent>,
) -> Result<Response, Problem> {
    let place = context.waits_for_others(request.append.w).then(|| context.waits.take());
    let may_wait = !matches!(place, Some(None));
    let started = Started::new(&context.node, request, trace, may_wait).await?;
    started.answer(&context.nodes).await.map(json_response)
}

/// `POST /messages/batch`.
pub(super) async fn append_batch<R: Reader>(
    Extract(context): State<R>,
    uri: Uri,
    Traced(trace): Traced,
    body: JsonOrLines,
) -> Result<Response, Problem> {
    let (query, nodes) = (uri.query().unwrap_or_default(), context.nodes.count());
    let request = match &body {
        JsonOrLines::Json(body) => query::parse(query).and_then(|()| batches::of_json(body, nodes))?,
        JsonOrLines::Lines(lines) => batches::of_lines(lines, &query::parse(query)?, nodes)?,
    };
    drop(body);
    serve(&context, request, trace).await
}

/// `GET /messages`.
pub(super) async fn list<R: Reader>(
    Extract(context): State<R>,
    headers: HeaderMap,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    pages(context, &headers, &query, Element::Message).await
}

/// `GET /full_messages`.
pub(super) async fn list_full<R: Reader>(
    Extract(context): State<R>,
    headers: HeaderMap,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    pages(context, &headers, &query, Element::Entry).await
}

async fn pages<R: Reader>(
    context: std::sync::Arc<super::Context<R>>,
    headers: &HeaderMap,
    query: &PageQuery,
    element: Element,
) -> Result<Response, Problem> {
    let layout = Layout::wanted(headers)?;
    let (reads, shown) = (context.node.reads.clone(), &context.node.shown);
    pages::wait_for_order(shown.clone(), query, &context.waits, &context.stopping).await?;
    Ok(pages::answer(reads, (element, layout), headers, query, shown, context.stopped.clone()))
}

/// `GET /messages/{order}`: the entry and who holds it; with `w`, waits for it.
pub(super) async fn one<R: Reader>(
    Extract(context): State<R>,
    uri: Uri,
    Query(query): Query<WaitQuery>,
) -> Result<Response, Problem> {
    let order = requests::path_order(&uri)?;
    let reader = SteadyReader::new(context.node.reads.clone(), context.node.shown.clone());
    let w = requests::query_write_concern(query.w.as_deref(), context.nodes.count())?;
    let place = context.waits_for_others(w).then(|| context.waits.take());
    let may_wait = !matches!(place, Some(None));
    let outcome = context.node.wait(order, w, query.timeout, may_wait).await;
    let outcome = outcome.map_err(|_| Problem::stopping())?;
    drop(place);
    let met = answers::met_wait(&context.nodes, outcome)?;
    let page = reader.read(order, order.next(), 0).await.map_err(|error| {
        if reader.was_cut() { answers::too_late(order) } else { answers::unreadable(&error) }
    })?;
    let line =
        page.bytes.split_inclusive(|byte| *byte == b'\n').rfind(|line| line.starts_with(b"{\"order\""));
    let Some(entry) = line.and_then(|line| line.strip_suffix(b"}\n")) else {
        return Err(answers::too_late(order));
    };
    let mut out = entry.to_vec();
    out.push(b',');
    answers::push_nodes(&mut out, &context.nodes, met.holders);
    out.extend_from_slice(b"}\n");
    let shown = Shown {
        epoch: Some(met.epoch),
        epoch_owner: Some(context.nodes.name.clone()),
        ..context.node.shown.borrow().clone()
    };
    Ok(pages::with_epoch(json_response(out), &shown))
}
