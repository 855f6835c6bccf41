//! One connection of the HTTP edge, from its first byte to its close.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, extract::State};
use bytes::Bytes;
use http::{Method, Uri};
use replog_host::{
    edge::{Access::Open, EdgeLimits, Routes, fuzzing::serve_one, ndjson::JsonOrLines},
    openapi::{Operation, Schemas, Tag},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    runtime::Builder,
};

/// Bytes that the client and the server have on their way.
const PIPE_BYTES: usize = 64 * 1024;

/// The requests that reached a route: method, path, and how many bytes of body there were.
type Reached = Arc<Mutex<Vec<(Method, String, usize)>>>;

/// The first byte says into which pieces the rest is cut that the client sends.
pub(crate) fn run(input: &[u8]) {
    let Some((size, sent)) = input.split_first() else { return };
    let size = match *size {
        0 => sent.len().max(1),
        size => size.into(),
    };
    let (answers, reached) = converse(sent, size);
    let whole = converse(sent, sent.len().max(1));
    assert_eq!(reached, whole.1, "how a request is cut makes another one of it");
    let statuses = statuses(&answers, sent);
    if has_both_lengths(sent) {
        let refused = statuses.first().is_none_or(|status| (400..500).contains(status));
        assert!(refused && reached.is_empty(), "a request with both lengths was answered by {statuses:?}");
    }
    assert!(reached.len() <= statuses.len() || sent.windows(4).any(|word| word == b"HEAD"));
}

/// All that the server answers, and what reached its routes.
fn converse(sent: &[u8], size: usize) -> (Vec<u8>, Vec<(Method, String, usize)>) {
    let reached = Reached::default();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let answers = runtime.block_on(async {
        let (client, server) = duplex(PIPE_BYTES);
        let served = serve_one(server, routes(Arc::clone(&reached)), limits());
        let (mut reads, mut writes) = tokio::io::split(client);
        let client = async {
            let mut answers = Vec::new();
            let send = async {
                for piece in sent.chunks(size) {
                    if writes.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _closed = writes.shutdown().await;
            };
            let (_, read) = tokio::join!(send, reads.read_to_end(&mut answers));
            read.expect("the server closes");
            answers
        };
        tokio::join!(served, client).1
    });
    let reached = std::mem::take(&mut *reached.lock().unwrap());
    (answers, reached)
}

/// Small, so that small inputs meet them, and short, so that none can make a run wait for long: the client sends all
/// that it has and then nothing more, and only what it breaks off is waited for.
fn limits() -> EdgeLimits {
    let moment = Duration::from_secs(1);
    EdgeLimits {
        max_header_bytes: 8 * 1024,
        max_body_bytes: 4 * 1024,
        header_timeout: moment,
        body_silence: moment,
        answer_silence: moment,
        half_close_wait: Duration::from_millis(1),
        idle_timeout: moment,
        linger: moment,
        ..EdgeLimits::default()
    }
}

/// What these routes do is told by the target.
fn undescribed(_: &mut Schemas) -> Operation {
    Operation::new(Tag::Operations, "fuzz", "For a fuzz target")
}

fn routes(reached: Reached) -> Routes {
    Routes::new()
        .get("/", Open, undescribed, on_get)
        .get("/messages/{order}", Open, undescribed, on_get)
        .post("/messages", Open, undescribed, on_post)
        .post("/ignored", Open, undescribed, on_get)
        .with_state(reached)
}

async fn on_get(State(reached): State<Reached>, method: Method, uri: Uri) -> Json<Value> {
    reached.lock().unwrap().push((method, uri.path().to_owned(), 0));
    Json(json!({"ok": true}))
}

async fn on_post(State(reached): State<Reached>, method: Method, uri: Uri, body: JsonOrLines) -> Json<Value> {
    let bytes: Vec<Bytes> = match &body {
        JsonOrLines::Json(body) => vec![body.bytes().clone()],
        JsonOrLines::Lines(body) => body.lines().map(|(_, line)| line.bytes().clone()).collect(),
    };
    let length = bytes.iter().map(Bytes::len).sum();
    assert!(length <= 4 * 1024, "a body above the limit reached a route");
    reached.lock().unwrap().push((method, uri.path().to_owned(), length));
    Json(json!({"length": length}))
}

/// The status of each answer. Every refusal is a problem document; nothing else comes.
fn statuses(mut answers: &[u8], sent: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    // An answer to HEAD has the length of a body that does not come.
    let may_be_head = sent.windows(4).any(|word| word == b"HEAD");
    while !answers.is_empty() && !may_be_head {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(answers).expect("an answer is HTTP");
        let httparse::Status::Complete(end) = parsed else { panic!("an answer breaks off in its head") };
        let status = head.code.unwrap();
        let header = |name: &str| {
            head.headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case(name))
                .map(|header| header.value)
        };
        let length =
            header("content-length").map_or(0, |value| str::from_utf8(value).unwrap().parse().unwrap());
        let body = answers.get(end..end + length).expect("an answer comes whole");
        if status >= 400 {
            assert_eq!(header("content-type"), Some(&b"application/problem+json"[..]), "of a {status}");
            let problem: Value = serde_json::from_slice(body).expect("a problem document is JSON");
            assert_eq!(problem["status"], status, "{problem}");
            assert!(status != 500, "a route panicked: {problem}");
        }
        if status != 100 {
            statuses.push(status);
        }
        answers = &answers[end + length..];
    }
    statuses
}

/// Whether the first head has both lengths, in the plainest reading of it.
fn has_both_lengths(sent: &[u8]) -> bool {
    let Some(end) = sent.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&sent[..end]).to_ascii_lowercase();
    let mut lines = head.split("\r\n");
    let is_request = lines.next().is_some_and(|line| line.ends_with(" http/1.1"));
    let names: Vec<&str> = lines.filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    is_request && names.contains(&"content-length") && names.contains(&"transfer-encoding")
}
