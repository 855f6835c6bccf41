//! Every refusal is a problem document, whoever refuses.

use serde_json::json;

use crate::support::{Server, append, get_of, patient};

#[tokio::test]
async fn an_unknown_route_is_404() {
    let server = Server::start(patient()).await;
    let answer = server.ask(get_of("/mesages?x=1")).await;
    assert!(answer.problem(404, "not_found")["detail"].as_str().unwrap().contains("/mesages"));
}

#[tokio::test]
async fn a_wrong_method_is_405_and_says_which_are_right() {
    let server = Server::start(patient()).await;
    let answer = server.ask("DELETE /append HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(answer.problem(405, "method_not_allowed")["allowed"], "POST");
}

#[tokio::test]
async fn a_panic_is_500_and_harms_nobody_else() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get_of("/panic")).await;
    assert_eq!(client.answer().await.problem(500, "internal_error")["applied"], false);
    client.send("POST /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.problem(500, "internal_error")["applied"], "unknown");
    client.send(append(r#"{"message": 1}"#)).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn what_an_extractor_says_is_kept() {
    let server = Server::start(patient()).await;
    let answer = server.ask(get_of("/order/seven")).await;
    assert!(answer.problem(400, "bad_request")["detail"].as_str().unwrap().contains("seven"));
    server.ask(get_of("/teapot")).await.problem(418, "bad_request");
}

#[tokio::test]
async fn a_form_is_415_with_the_header_to_add() {
    let server = Server::start(patient()).await;
    let request = "POST /append HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\
                   Content-Type: application/x-www-form-urlencoded\r\n\r\n{\"message\": 1}";
    let answer = server.ask(request).await;
    let detail = answer.problem(415, "unsupported_media_type")["detail"].as_str().unwrap();
    assert!(detail.contains("-H 'Content-Type: application/json'"), "{detail}");
}

#[tokio::test]
async fn a_refused_field_is_named() {
    let server = Server::start(patient()).await;
    for (body, field) in [
        (r#"{"message": 1, "ww": 2}"#, "ww"),
        (r#"{"message": 1, "w": 2, "w": 2}"#, "w"),
        (r#"{"message": 1, "w": null}"#, "w"),
        (r#"{"w": 1}"#, "message"),
    ] {
        assert_eq!(server.ask(append(body)).await.problem(400, "invalid_field")["field"], field);
    }
}

#[tokio::test]
async fn what_is_not_json_is_400() {
    let server = Server::start(patient()).await;
    for body in [&b""[..], b"{\"message\": \"\xff\"}", b"{\"message\": NaN}", b"{\"message\": 1}}"] {
        server.ask(append(body)).await.problem(400, "invalid_json");
    }
    server.ask(append("[".repeat(100_000))).await.problem(400, "invalid_body");
    let nested = format!("{{\"message\": {}", "[".repeat(100_000));
    server.ask(append(nested)).await.problem(400, "invalid_json");
}

#[tokio::test]
async fn query_parameters_are_strict() {
    let server = Server::start(patient()).await;
    assert_eq!(server.ask(get_of("/page?limit=7")).await.body, json!({"limit": 7}));
    server.ask(get_of("/page?limit=0")).await.problem(400, "invalid_parameter");
    server.ask(get_of("/page?limit=1&limit=2")).await.problem(400, "repeated_parameter");
    let unknown = server.ask(get_of("/page?limt=7")).await;
    assert_eq!(unknown.problem(400, "unknown_parameter")["allowed"], json!(["limit"]));
    server
        .ask(String::from_utf8(append("{}")).unwrap().replace("/append", "/append?w=2"))
        .await
        .problem(400, "unknown_parameter");
}

#[tokio::test]
async fn a_body_that_no_route_reads_does_no_harm() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let request = String::from_utf8(append("{}")).unwrap().replace("/append", "/ignore");
    for _ in 0..2 {
        client.send(&request).await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_complete() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get_of("/broken")).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains(']') && !answer.contains("\r\n0\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_may_be_optional_but_not_of_another_kind() {
    let server = Server::start(patient()).await;
    let without = server.ask("POST /optional HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(without.body, json!({"body": false}));
    let with = String::from_utf8(append("{}")).unwrap().replace("/append", "/optional");
    assert_eq!(server.ask(&with).await.body, json!({"body": true}));
    let form = with.replace("application/json", "text/plain");
    server.ask(form).await.problem(415, "unsupported_media_type");
}
