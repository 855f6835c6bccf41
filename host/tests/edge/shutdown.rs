//! Stopping: what is idle goes at once, what runs may finish, nothing runs for ever.

use replog_host::edge::EdgeLimits;

use crate::support::{SOON, Server, get_of, patient, within};

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
