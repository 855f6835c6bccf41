//! Heads that a client library would not send, and that two readers could read in two ways.

use serde_json::json;

use crate::support::{Answer, Server, append, get_of, patient};

async fn ask(request: impl AsRef<[u8]>) -> Answer {
    Server::start(patient()).await.ask(request).await
}

#[tokio::test]
async fn exactly_one_host() {
    ask("GET /page HTTP/1.1\r\n\r\n").await.problem(400, "invalid_host");
    ask("GET /page HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n").await.problem(400, "invalid_host");
    ask("GET /page HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").await.problem(400, "invalid_host");
}

#[tokio::test]
async fn http_1_0_needs_no_host() {
    assert_eq!(ask("GET /page HTTP/1.0\r\n\r\n").await.status, 200);
}

const BODY: &str = "E\r\n{\"message\": 1}\r\n0\r\n\r\n";

/// A chunked append with these further header lines, before or behind `Transfer-Encoding`.
fn chunked(before: &str, behind: &str) -> String {
    format!(
        "POST /append HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         {before}Transfer-Encoding: chunked\r\n{behind}\r\n{BODY}"
    )
}

#[tokio::test]
async fn both_lengths_are_refused_in_either_order() {
    assert_eq!(ask(chunked("", "")).await.status, 200);
    ask(chunked("Content-Length: 14\r\n", "")).await.problem(400, "ambiguous_length");
    ask(chunked("", "Content-Length: 14\r\n")).await.problem(400, "ambiguous_length");
    ask(chunked("", "CONTENT-LENGTH: x\r\n")).await.problem(400, "ambiguous_length");
}

#[tokio::test]
async fn both_lengths_are_refused_on_a_used_connection_and_in_pieces() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get_of("/page")).await;
    assert_eq!(client.answer().await.status, 200);
    let request = chunked("", "Content-Length: 14\r\n");
    let (first, second) = request.split_at(90);
    client.send_piece(first).await;
    client.send(second).await;
    client.answer().await.problem(400, "ambiguous_length");
    client.closed().await;
}

/// A head with two lengths whose beginning stands in `X-A`: judged by its later half, it has one.
const TWO_LENGTHS: [&str; 2] = [
    "POST /append HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\nX-A: ",
    "POST x\r\nTransfer-Encoding: chunked\r\n\r\nE\r\n{\"message\": 1}\r\n0\r\n\r\n",
];

#[tokio::test]
async fn both_lengths_are_refused_when_the_head_begins_behind_a_body() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let first = String::from_utf8(append(r#"{"message": 1}"#)).unwrap();
    let (head, body) = first.split_at(first.len() - 5);
    client.send_piece(head).await;
    client.send(format!("{body}{}", TWO_LENGTHS[0])).await;
    assert_eq!(client.answer().await.status, 200);
    client.send(TWO_LENGTHS[1]).await;
    client.answer().await.problem(400, "ambiguous_length");
    client.closed().await;
}

#[tokio::test]
async fn both_lengths_are_refused_when_the_head_begins_behind_chunks() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let first = chunked("", "");
    let (head, body) = first.split_at(first.len() - 20);
    client.send_piece(head).await;
    client.send(format!("{body}{}", TWO_LENGTHS[0])).await;
    assert_eq!(client.answer().await.status, 200);
    client.send(TWO_LENGTHS[1]).await;
    client.answer().await.problem(400, "ambiguous_length");
}

#[tokio::test]
async fn a_chunked_request_is_fine_behind_any_other() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let plain = String::from_utf8(append(r#"{"message": 1}"#)).unwrap();
    for first in [get_of("/page"), plain, chunked("", "")] {
        let (head, rest) = first.split_at(first.len() - 12);
        client.send_piece(head).await;
        client.send(rest).await;
        assert_eq!(client.answer().await.status, 200);
        client.send(format!("{first}{}", chunked("", ""))).await;
        assert_eq!((client.answer().await.status, client.answer().await.status), (200, 200));
    }
}

#[tokio::test]
async fn requests_without_a_body_may_be_pipelined() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get_of("/page?limit=1") + &get_of("/page?limit=2")).await;
    assert_eq!(client.answer().await.body, json!({"limit": 1}));
    assert_eq!(client.answer().await.body, json!({"limit": 2}));
}

#[tokio::test]
async fn two_different_lengths_and_other_encodings_are_refused() {
    let head = "POST /append HTTP/1.1\r\nHost: a\r\n";
    ask(format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n")).await.problem(400, "invalid_head");
    ask(format!("{head}Content-Length: +1\r\n\r\n")).await.problem(400, "invalid_head");
    ask(format!("{head}Transfer-Encoding: gzip\r\n\r\n")).await.problem(400, "invalid_head");
}

#[tokio::test]
async fn what_is_not_http_is_answered_by_a_problem() {
    ask("hello\r\n\r\n").await.problem(400, "invalid_head");
    ask("GET /\u{1} HTTP/1.1\r\n\r\n").await.problem(400, "invalid_head");
    ask("GET / HTTP/3.0\r\n\r\n").await.problem(400, "invalid_head");
    ask(get_of(&format!("/{}", "x".repeat(65_535))).replace("Host: a\r\n", ""))
        .await
        .problem(431, "head_too_large");
}

#[tokio::test]
async fn what_is_not_http_is_answered_by_a_problem_after_a_good_request() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get_of("/page")).await;
    assert_eq!(client.answer().await.status, 200);
    client.send("nonsense\r\n\r\n").await;
    client.answer().await.problem(400, "invalid_head");
}
