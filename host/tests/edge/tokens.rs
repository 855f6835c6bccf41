//! Who is let in.

use std::fs;

use replog_host::{
    auth::{Gate, Token, Tokens},
    edge::EdgeOptions,
};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::support::{Answer, CHUNKED, Server, get_of, patient};

/// A server that knows the tokens of a file.
struct Guarded {
    server: Server,
    tokens: Tokens,
    file: NamedTempFile,
}

fn line(name: &str, scopes: &str, token: &Token) -> String {
    format!("{name} {scopes} {}\n", token.hash())
}

impl Guarded {
    async fn start(lines: &str) -> Self {
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), lines).unwrap();
        let tokens = Tokens::load(file.path()).unwrap();
        let options = EdgeOptions { gate: Gate::guarded_by(tokens.clone()), ..patient().into() };
        Self { server: Server::start(options).await, tokens, file }
    }

    async fn get(&self, path: &str, token: &Token) -> Answer {
        self.server.ask(with_token(&get_of(path), token)).await
    }
}

/// The request with a token in its head.
fn with_token(request: &str, token: &Token) -> String {
    request.replacen("\r\n", &format!("\r\nAuthorization: Bearer {}\r\n", token.secret()), 1)
}

#[tokio::test]
async fn a_route_is_open_to_who_has_its_scope_and_to_nobody_else() {
    let (reader, writer) = (Token::random().unwrap(), Token::random().unwrap());
    let lines = line("reader", "read", &reader) + &line("writer", "append", &writer);
    let guarded = Guarded::start(&lines).await;
    assert_eq!(guarded.get("/guarded", &reader).await.status, 200);

    let answer = guarded.get("/guarded", &writer).await;
    assert_eq!(answer.problem(403, "forbidden")["scope"], "read");
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("insufficient_scope"), "{challenge}");

    let answer = guarded.server.ask(get_of("/guarded")).await;
    let problem = answer.problem(401, "unauthenticated");
    assert_eq!((&problem["applied"], &problem["retryable"]), (&json!(false), &json!(false)));
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer "));
}

#[tokio::test]
async fn one_path_asks_for_another_scope_by_another_method() {
    let reader = Token::random().unwrap();
    let guarded = Guarded::start(&line("reader", "read", &reader)).await;
    let body = "{\"message\": 1}";
    let post = format!(
        "POST /guarded HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = guarded.server.ask(with_token(&post, &reader)).await;
    let problem = answer.problem(403, "forbidden");
    assert_eq!((&problem["scope"], &problem["applied"]), (&json!("append"), &json!("unknown")));
    let head = with_token(&get_of("/guarded").replacen("GET", "HEAD", 1), &Token::random().unwrap());
    assert_eq!(guarded.server.connect().await.try_ask(head).await, Some(401), "HEAD is a GET");
}

#[tokio::test]
async fn what_is_open_stays_open_and_what_is_not_there_asks_for_nothing() {
    let guarded = Guarded::start(&line("a", "read", &Token::random().unwrap())).await;
    assert_eq!(guarded.server.ask(get_of("/page")).await.status, 200);
    guarded.server.ask(get_of("/nothing")).await.problem(404, "not_found");
    let put = get_of("/guarded").replacen("GET", "PUT", 1);
    guarded.server.ask(put).await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_refused_body_is_not_waited_for() {
    let guarded = Guarded::start(&line("a", "read", &Token::random().unwrap())).await;
    let mut client = guarded.server.connect().await;
    client.send(CHUNKED.replace("/append", "/guarded")).await;
    client.answer().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn new_tokens_hold_at_once_on_connections_that_are_open() {
    let (old, new) = (Token::random().unwrap(), Token::random().unwrap());
    let guarded = Guarded::start(&line("old", "read", &old)).await;
    let mut client = guarded.server.connect().await;
    client.send(with_token(&get_of("/guarded"), &old)).await;
    assert_eq!(client.answer().await.status, 200);
    fs::write(guarded.file.path(), line("new", "read", &new)).unwrap();
    guarded.tokens.reload().unwrap();
    for (token, status) in [(&old, 401), (&new, 200)] {
        client.send(with_token(&get_of("/guarded"), token)).await;
        assert_eq!(client.answer().await.status, status);
    }
}
