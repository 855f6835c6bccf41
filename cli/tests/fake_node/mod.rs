//! A master that follows the HTTP contract as far as the command line uses it, and nothing more: a vector
//! behind a lock. Two of its three nodes are up, so `w` 3 is never met.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

/// Entries in one page, whatever was asked for: pages may be shorter than that.
const PAGE: usize = 3;

/// Nodes that hold an entry at once.
const HELD_BY: u64 = 2;

/// A running fake; it stops when dropped.
pub(crate) struct FakeNode {
    address: SocketAddr,
    entries: Entries,
    _stop: oneshot::Sender<()>,
}

type Entries = Arc<Mutex<Vec<Entry>>>;

#[derive(Clone)]
struct Entry {
    id: String,
    message: Value,
}

type Answer = (StatusCode, Json<Value>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Append {
    message: Value,
    id: Option<String>,
    w: Option<u64>,
    timeout_ms: Option<u64>,
    expect_order: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    messages: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    from: usize,
    limit: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullPage {
    from: usize,
    limit: usize,
    min_order: Option<usize>,
    timeout_ms: Option<u64>,
}

impl FakeNode {
    /// Starts one on a free port, holding `messages`.
    pub(crate) fn start(messages: &[Value]) -> Self {
        let entry =
            |(order, message): (usize, &Value)| Entry { id: format!("id{order}"), message: message.clone() };
        let entries: Entries = Arc::new(Mutex::new(messages.iter().enumerate().map(entry).collect()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = router().with_state(entries.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let serving = axum::serve(TcpListener::from_std(listener).unwrap(), router);
                tokio::select! { _ = serving => {}, _ = stopped => {} }
            });
        });
        Self { address, entries, _stop: stop }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The messages that it holds.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.entries.lock().unwrap().iter().map(|entry| entry.message.clone()).collect()
    }
}

fn router() -> Router<Entries> {
    Router::new()
        .route("/messages", post(append).get(messages))
        .route("/messages/batch", post(batch))
        .route("/full_messages", get(full_messages))
        .route("/health", get(health))
        .route("/readyz", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/livez", get(|| async { StatusCode::OK }))
}

async fn append(State(entries): State<Entries>, Json(append): Json<Append>) -> Answer {
    let mut entries = entries.lock().unwrap();
    let found = entries.iter().position(|entry| Some(&entry.id) == append.id.as_ref());
    if found.is_some_and(|order| entries[order].message != append.message) {
        return problem(409, "this id has another message", json!({"applied": false}));
    }
    if append.w.is_some_and(|w| w > 3) {
        return problem(400, "w is at most 3", json!({"applied": false}));
    }
    let length = entries.len() as u64;
    if found.is_none() && append.expect_order.is_some_and(|order| order != length) {
        return problem(412, &format!("the next order is {length}"), json!({"applied": false}));
    }
    let order = found.unwrap_or(entries.len());
    let id = append.id.unwrap_or_else(|| format!("generated{order}"));
    if found.is_none() {
        entries.push(Entry { id: id.clone(), message: append.message });
    }
    match append.w {
        // The test would wait for ever without a time-out.
        Some(w) if w > HELD_BY && append.timeout_ms.is_some() => {
            problem(504, "w was not met in time", json!({"applied": true, "order": order}))
        }
        _ => {
            let nodes = ["master", "secondary1"];
            let duplicate = found.is_some();
            let body = json!({"status": "ok", "message_id": id, "order": order, "nodes": nodes, "duplicate": duplicate});
            (StatusCode::OK, Json(body))
        }
    }
}

async fn batch(State(entries): State<Entries>, Json(batch): Json<Batch>) -> Answer {
    let mut entries = entries.lock().unwrap();
    let first_order = entries.len();
    let count = batch.messages.len();
    let entry = |mut member: Value| Entry { id: String::new(), message: member["message"].take() };
    entries.extend(batch.messages.into_iter().map(entry));
    (StatusCode::OK, Json(json!({"status": "ok", "first_order": first_order, "count": count})))
}

async fn messages(State(entries): State<Entries>, Query(page): Query<Page>) -> Answer {
    let entries = entries.lock().unwrap();
    let shown = entries.iter().skip(page.from).take(page.limit.min(PAGE));
    let messages: Vec<_> = shown.map(|entry| entry.message.clone()).collect();
    (StatusCode::OK, Json(json!({ "messages": messages })))
}

async fn full_messages(State(entries): State<Entries>, Query(page): Query<FullPage>) -> Answer {
    let entries = entries.lock().unwrap();
    if page.min_order.is_some_and(|order| order >= entries.len()) && page.timeout_ms.is_some() {
        return problem(504, &format!("this node shows {} messages", entries.len()), json!({}));
    }
    let shown = entries.iter().enumerate().skip(page.from).take(page.limit.min(PAGE));
    let full =
        |(order, entry): (usize, &Entry)| json!({"order": order, "id": entry.id, "message": entry.message});
    (StatusCode::OK, Json(json!({"messages": shown.map(full).collect::<Vec<_>>()})))
}

/// Equal for equal entries, as a node's digest is.
fn digest(entries: &[Entry]) -> String {
    let mut hasher = DefaultHasher::new();
    entries.iter().for_each(|entry| (&entry.id, entry.message.to_string()).hash(&mut hasher));
    format!("{:016x}", hasher.finish())
}

async fn health(State(entries): State<Entries>) -> Answer {
    let (length, digest) = {
        let entries = entries.lock().unwrap();
        (entries.len(), digest(&entries))
    };
    let secondaries = json!({
        "secondary1": {"status": "healthy", "acked_through": length},
        "secondary2": {"status": "unhealthy", "acked_through": 0},
    });
    let body = json!({"status": "degraded", "role": "master", "log_id": "a log", "length": length,
        "digest": digest, "secondaries": secondaries});
    (StatusCode::OK, Json(body))
}

fn problem(status: u16, detail: &str, more: Value) -> Answer {
    let mut body = more;
    body["detail"] = detail.into();
    (StatusCode::from_u16(status).unwrap(), Json(body))
}
