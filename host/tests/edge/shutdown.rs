//! Stopping and hanging up: what is idle goes at once, what runs may finish, nothing runs for ever.

use replog_host::edge::EdgeLimits;

use crate::support::{SOON, Server, append, get_of, patient, within};

#[tokio::test]
async fn idle_connections_do_not_hold_a_stop_up() {
    let server = Server::start(patient()).await;
    let mut fresh = server.connect().await;
    let mut used = server.connect().await;
    used.send(get_of("/page")).await;
    assert_eq!(used.answer().await.status, 200);
    server.shutdown.cancel();
    fresh.closed().await;
    used.closed().await;
    server.stopped().await;
}

#[tokio::test]
async fn a_running_request_is_answered_before_the_stop() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get_of("/hold")).await;
    within("the request", server.signals.held.notified()).await;
    server.shutdown.cancel();
    let refused = async {
        while !server.refuses_connections().await {
            tokio::task::yield_now().await;
        }
    };
    within("the end of accepting", refused).await;
    server.signals.release.add_permits(1);
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    client.closed().await;
    server.stopped().await;
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut_off() {
    let server = Server::start(EdgeLimits { grace: SOON, ..patient() }).await;
    let mut held = server.connect().await;
    held.send(get_of("/hold")).await;
    within("the request", server.signals.held.notified()).await;
    let mut half = server.connect().await;
    half.send("GET /page HT").await;
    server.shutdown.cancel();
    held.closed().await;
    half.closed().await;
    server.stopped().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_request() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get_of("/endless")).await;
    drop(client);
    within("the end of the answer", server.signals.dropped.notified()).await;
    server.shutdown.cancel();
    server.stopped().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_wait_though_nothing_is_written() {
    let server = Server::start(EdgeLimits { half_close_wait: SOON, ..patient() }).await;
    let mut client = server.connect().await;
    client.send(get_of("/hold")).await;
    within("the request", server.signals.held.notified()).await;
    drop(client);
    within("the end of the wait", server.signals.dropped.notified()).await;
}

#[tokio::test]
async fn a_client_that_sends_nothing_more_is_still_answered() {
    let server = Server::start(patient()).await;
    for request in [get_of("/hold").into_bytes(), hold_with_body()] {
        let mut client = server.connect().await;
        client.send(request).await;
        client.half_close().await;
        within("the request", server.signals.held.notified()).await;
        server.signals.release.add_permits(1);
        assert_eq!(client.answer().await.status, 200);
        client.closed().await;
    }
}

fn hold_with_body() -> Vec<u8> {
    b"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}".to_vec()
}

#[tokio::test]
async fn a_long_answer_goes_on_while_a_client_that_sends_nothing_more_takes_it() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get_of("/endless")).await;
    client.half_close().await;
    client.takes(20_000_000).await;
    drop(client);
    within("the end of the answer", server.signals.dropped.notified()).await;
}

#[tokio::test]
async fn half_a_body_and_a_close_is_no_request() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let request = append(r#"{"message": 1}"#);
    client.send(&request[..request.len() - 5]).await;
    client.half_close().await;
    let answer = client.rest().await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}
