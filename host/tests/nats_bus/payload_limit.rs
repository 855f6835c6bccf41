//! The server's limit for one payload: over it the server would close the connection, for ever again.

use std::time::Duration;

use replog_host::bus::{Bus, BusEvent, Incoming, Refused};
use tokio::time::timeout;

use crate::server::NatsServer;
use crate::support::{connected, down, next, packet, send, to, up};

#[tokio::test]
async fn a_packet_over_the_servers_limit_is_refused_and_one_at_the_limit_arrives() {
    let server = NatsServer::start_with(|_| "max_payload: 1000".to_owned()).await;
    let mut bus = connected(&server, &["a"], "master").await;
    assert_eq!(bus.send(to("a", vec![0; 1001])), Err(Refused::TooLarge { limit: 1000 }));
    assert_eq!(bus.send(to("a", vec![0; 1000])), Ok(()));
    assert_eq!(packet(&mut bus).await.payload.len(), 1000);
}

#[tokio::test]
async fn the_limit_is_read_again_after_each_connect() {
    let mut server = NatsServer::start_with(|_| "max_payload: 1000".to_owned()).await;
    let mut bus = connected(&server, &["a"], "master").await;
    for limit in [500, 5000] {
        server.start_again_with(&format!("max_payload: {limit}")).await;
        down(&mut bus).await;
        assert_eq!(up(&mut bus).await, limit);
        assert_eq!(bus.send(to("a", vec![0; limit + 1])), Err(Refused::TooLarge { limit }));
        assert_eq!(bus.send(to("a", vec![0; limit])), Ok(()));
        assert_eq!(packet(&mut bus).await.payload.len(), limit);
    }
}

#[tokio::test]
async fn a_limit_that_a_reload_changes_is_known_without_a_restart() {
    let mut server = NatsServer::start_with(|_| "max_payload: 1000".to_owned()).await;
    let mut bus = connected(&server, &["a"], "master").await;
    // Neither does the server tell of it, nor does anything that is sent.
    for limit in [500, 5000] {
        server.reload_with(&format!("max_payload: {limit}")).await;
        down(&mut bus).await;
        assert_eq!(up(&mut bus).await, limit);
        assert_eq!(bus.send(to("a", vec![0; limit])), Ok(()));
        assert_eq!(packet(&mut bus).await.payload.len(), limit);
    }
}

#[tokio::test]
async fn a_limit_that_is_as_it_was_costs_no_connection() {
    let server = NatsServer::start_with(|_| "max_payload: 1000\ndebug: true".to_owned()).await;
    let mut bus = connected(&server, &["a"], "master").await;
    let connections = || server.log().matches("Client connection created").count();
    let before = connections();
    bus.suspect_limit();
    let mut more = async || {
        send(&mut bus, to("a", "x")).await;
        assert_eq!(next(&mut bus).await, BusEvent::Message(packet_to("a", "x")));
        bus.suspect_limit();
        connections() >= before + 2
    };
    let asked_twice = async { while !more().await {} };
    timeout(Duration::from_secs(30), asked_twice).await.expect("the server is asked");
}

fn packet_to(subject: &str, payload: &'static str) -> Incoming {
    Incoming { subject: subject.to_owned(), reply: None, payload: payload.into(), status: None }
}
