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
use replog_shared::{MessageId, store::Reader, trace::TraceParent};

use tracing::debug;

use super::{State, batches};
use crate::{
    answers::{self, appended, batch_appended, gone, met},
    core::events::{WriteOutcome, Written},
    requests::{self, WaitQuery},
};

/// `POST /messages`.
pub(super) async fn append<R: Reader>(
    Extract(context): State<R>,
    Query(()): Query<()>,
    Traced(trace): Traced,
    body: JsonBody,
) -> Result<Response, Problem> {
    let request = requests::append(&body, context.nodes())?;
    let id = request.append.messages[0].id.clone();
    drop(body);
    let outcome = context.node.append(request.append, trace, request.timeout).await.map_err(|_| gone())?;
    note_answer(&id, trace, &outcome);
    let met = met(&context, outcome)?;
    Ok(appended(&context, &id, &met))
}

/// `POST /messages/batch`.
pub(super) async fn append_batch<R: Reader>(
    Extract(context): State<R>,
    uri: Uri,
    Traced(trace): Traced,
    body: JsonOrLines,
) -> Result<Response, Problem> {
    let (query, nodes) = (uri.query().unwrap_or_default(), context.nodes());
    let request = match &body {
        JsonOrLines::Json(body) => query::parse(query).and_then(|()| batches::of_json(body, nodes))?,
        JsonOrLines::Lines(lines) => batches::of_lines(lines, &query::parse(query)?, nodes)?,
    };
    let ids: Vec<MessageId> = request.append.messages.iter().map(|new| new.id.clone()).collect();
    drop(body);
    let outcome = context.node.append(request.append, trace, request.timeout).await.map_err(|_| gone())?;
    note_answer(&ids[0], trace, &outcome);
    let met = met(&context, outcome)?;
    Ok(batch_appended(&context, &ids, &met))
}

/// One line for each append that got a place, when its caller is answered. `id` is that of its first message.
fn note_answer(id: &MessageId, trace: Option<TraceParent>, outcome: &WriteOutcome) {
    let (written, became) = match outcome {
        WriteOutcome::Met { written, .. } => (written, "met"),
        WriteOutcome::Unconfirmed { written, .. } => (written, "unconfirmed"),
        WriteOutcome::Interrupted { written, .. } => (written, "interrupted"),
        // Logged with all refusals.
        WriteOutcome::Refused(_) => return,
    };
    let Written { first, count, duplicate, w } = written;
    let trace_id = trace.map(|trace| tracing::field::display(trace.trace_id()));
    debug!(message.id = %id, entry.order = %first, count, write.w = %w, duplicate, became, trace_id, "answered an append");
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
    pages::wait_for_order(shown.clone(), query, &context.stopping).await?;
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
    let w = requests::query_write_concern(query.w.as_deref(), context.nodes())?;
    let outcome = context.node.wait(order, w, query.timeout).await.map_err(|_| Problem::stopping())?;
    let met = answers::met_wait(&context, outcome)?;
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
    answers::push_nodes(&mut out, &context, met.holders);
    out.extend_from_slice(b"}\n");
    let shown = Shown { epoch: Some(met.epoch), ..context.node.shown.borrow().clone() };
    Ok(pages::with_epoch(answers::json_response(out), &shown))
}
