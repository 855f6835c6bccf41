//! Each limit, met.

use std::num::NonZeroU32;

use replog_host::edge::EdgeLimits;
use serde_json::json;

use crate::support::{CHUNKED, SOON, Server, append, get_of, patient, within};

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_is_closed() {
    let server = Server::start(EdgeLimits { header_timeout: SOON, ..patient() }).await;
    let mut client = server.connect().await;
    client.send("POST /append HTTP/1.1\r\nHost: a\r\n").await;
    client.closed().await;
}

#[tokio::test]
async fn a_second_head_has_the_header_time_too() {
    let server = Server::start(patient()).await;
    assert_eq!(server.ask(get_of("/page")).await.status, 200);

    let server = Server::start(EdgeLimits { header_timeout: SOON, ..patient() }).await;
    let mut client = server.connect().await;
    client.send(get_of("/page")).await;
    client.answer().await;
    client.send("GET").await;
    client.closed().await;
}

#[tokio::test]
async fn a_connection_that_sends_nothing_is_closed() {
    let server = Server::start(EdgeLimits { header_timeout: SOON, ..patient() }).await;
    server.connect().await.closed().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::start(EdgeLimits { idle_timeout: SOON, ..patient() }).await;
    let mut client = server.connect().await;
    client.send(get_of("/page")).await;
    assert_eq!(client.answer().await.status, 200);
    client.closed().await;
}

#[tokio::test]
async fn a_request_may_take_longer_than_every_timeout() {
    let limits = EdgeLimits { header_timeout: SOON, idle_timeout: SOON, body_silence: SOON, ..patient() };
    let server = Server::start(limits).await;
    let mut waiting = server.connect().await;
    waiting.send(get_of("/hold")).await;
    within("the request", server.signals.held.notified()).await;
    // This one idles longer than the other's time-outs would have lasted.
    server.connect().await.closed().await;
    server.connect().await.closed().await;
    server.signals.release.add_permits(1);
    assert_eq!(waiting.answer().await.status, 200);
}

#[tokio::test]
async fn a_large_head_is_431() {
    let server = Server::start(EdgeLimits::default()).await;
    let mut client = server.connect().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(500_000))).await;
    let answer = client.answer().await;
    assert_eq!(answer.problem(431, "head_too_large")["limit"], 65_536);
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_head_below_the_limit_is_fine() {
    let server = Server::start(EdgeLimits::default()).await;
    let request = format!("GET /page HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(65_000));
    assert_eq!(server.ask(request).await.status, 200);
}

#[tokio::test]
async fn too_many_header_lines_are_431() {
    let server = Server::start(patient()).await;
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(200));
    server.ask(request).await.problem(431, "head_too_large");
}

#[tokio::test]
async fn a_large_body_is_413_also_for_a_client_that_sends_all_of_it_first() {
    let server = Server::start(EdgeLimits { max_body_bytes: 1_000, ..patient() }).await;
    let answer = server.ask(append(vec![b' '; 4_000_000])).await;
    let problem = answer.problem(413, "body_too_large");
    assert_eq!((&problem["limit"], &problem["applied"]), (&json!(1_000), &json!(false)));
}

#[tokio::test]
async fn a_large_body_in_chunks_is_413() {
    let server = Server::start(EdgeLimits { max_body_bytes: 1_000, ..patient() }).await;
    let chunk = format!("200\r\n{}\r\n", " ".repeat(0x200));
    server.ask(format!("{CHUNKED}{}", chunk.repeat(2_000))).await.problem(413, "body_too_large");
}

#[tokio::test]
async fn a_body_in_chunks_is_read_whole() {
    let server = Server::start(patient()).await;
    let answer = server.ask(format!("{CHUNKED}C\r\n{{\"message\": \r\n2\r\n7}}\r\n0\r\n\r\n")).await;
    assert_eq!((answer.status, &answer.body["length"]), (200, &json!(1)));
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_too_much_is_refused_at_once() {
    let server = Server::start(EdgeLimits { max_body_bytes: 1_000, ..patient() }).await;
    let head = "POST /append HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n";
    server.ask(head).await.problem(413, "body_too_large");
}

#[tokio::test]
async fn a_body_that_falls_silent_is_408() {
    let server = Server::start(EdgeLimits { body_silence: SOON, ..patient() }).await;
    let head =
        "POST /append HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n";
    server.ask(head).await.problem(408, "body_too_slow");
    server.ask(format!("{head}{{")).await.problem(408, "body_too_slow");
    server.ask(format!("{CHUNKED}5\r\n{{\"mes")).await.problem(408, "body_too_slow");
}

#[tokio::test]
async fn large_bodies_that_arrive_together_are_bounded_and_small_ones_still_pass() {
    let server = Server::start(EdgeLimits { max_arriving_bytes: 1_000_000, ..patient() }).await;
    let half = append(vec![b' '; 2_000_000]);
    server.ask(&half[..1_900_000]).await.problem(503, "overloaded");
    assert_eq!(server.ask(append(r#"{"message": 1}"#)).await.status, 200);
    // What was refused no longer counts.
    assert_eq!(server.ask(append(format!("{{\"message\": 1}}{}", " ".repeat(500_000)))).await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let server = Server::start(EdgeLimits { answer_silence: SOON, ..patient() }).await;
    let mut client = server.connect().await;
    client.send(get_of("/endless")).await;
    within("the end of the answer", server.signals.dropped.notified()).await;
}

#[tokio::test]
async fn one_connection_too_many_is_503_until_one_leaves() {
    let server = Server::start(EdgeLimits { max_connections: 1, ..patient() }).await;
    let mut first = server.connect().await;
    first.send(get_of("/page")).await;
    assert_eq!(first.answer().await.status, 200);

    let refused = server.connect().await.answer().await;
    let problem = refused.problem(503, "too_many_connections");
    assert_eq!((&problem["retryable"], &problem["applied"]), (&json!(true), &json!("unknown")));
    assert_eq!(refused.header("retry-after"), Some("1"));

    drop(first);
    let served = async { while server.connect().await.try_ask(get_of("/page")).await != Some(200) {} };
    within("a free place", served).await;
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_ask_again_and_keeps_its_connection() {
    let once = NonZeroU32::new(1);
    let server = Server::start(EdgeLimits { max_requests_per_second: once, ..patient() }).await;
    let mut client = server.connect().await;
    let refusal = async {
        loop {
            client.send(append(r#"{"message": 1}"#)).await;
            let answer = client.answer().await;
            if answer.status != 200 {
                break answer;
            }
        }
    };
    let answer = within("a refusal", refusal).await;
    let problem = answer.problem(429, "too_many_requests");
    assert_eq!((&problem["retryable"], &problem["applied"]), (&json!(true), &json!("unknown")));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let taken = async { while client.get("/page").await.status == 429 {} };
    within("the next second", taken).await;
}
