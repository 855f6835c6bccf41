//! What the server does not allow.

use std::time::{Duration, Instant};

use replog_host::bus::{Bus, BusEvent, Refused};

use crate::server::NatsServer;
use crate::support::{asking, connected, connecting, denied, event, next, options, packet, send, to};

/// A server on which everyone has these permissions.
async fn server_with(permissions: &str) -> NatsServer {
    let config = format!(
        "accounts {{ A: {{ users: [ {{ user: any, password: any, permissions: {{ {permissions} }} }} ] }} }}\n\
         no_auth_user: any"
    );
    NatsServer::start_with(|_| config).await
}

#[tokio::test]
async fn a_refused_publish_is_told_with_its_subject() {
    let server = server_with(r#"publish: { deny: "secret.>" }"#).await;
    let mut bus = connected(&server, &["a"], "master").await;
    assert_eq!(bus.send(to("secret.a", "x")), Ok(()), "only the server knows");
    let what = denied(&mut bus).await;
    assert!(what.contains("Publish") && what.contains("secret.a"), "{what}");
}

#[tokio::test]
async fn a_refusal_that_goes_on_is_told_again_but_not_for_each_packet() {
    let server = server_with(r#"publish: { deny: "secret.>" }"#).await;
    let mut bus = connected(&server, &["a"], "master").await;
    let begin = Instant::now();
    let (mut told, mut sent) = (0, 0);
    while told < 2 {
        send(&mut bus, to("secret.a", "x")).await;
        sent += 1;
        send(&mut bus, to("a", "x")).await;
        let is_packet = |event| Some(matches!(event, BusEvent::Message(_)));
        while !event(&mut bus, "an event", is_packet).await {
            told += 1;
        }
    }
    assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());
    assert!(sent > 10, "only {sent} packets were refused");
}

#[tokio::test]
async fn a_refused_subscription_is_told_with_its_subject() {
    let server = server_with(r#"subscribe: { deny: "secret.>" }"#).await;
    let mut bus = connecting(options(&server), &["secret.*"], "master").await;
    let what = denied(&mut bus).await;
    assert!(what.contains("Subscription") && what.contains("secret.*"), "{what}");
}

#[tokio::test]
async fn without_its_inbox_a_bus_never_comes_up() {
    let server = server_with(r#"subscribe: { deny: "inbox.>" }, publish: { deny: "inbox.>" }"#).await;
    let mut bus = connecting(options(&server), &["a"], "master").await;
    // The inbox, the probe, and the probe again a second later.
    for _ in 0..3 {
        let told = next(&mut bus).await;
        assert!(matches!(&told, BusEvent::Denied { what } if what.contains("inbox.master")), "{told:?}");
        assert_eq!(bus.send(to("a", "x")), Err(Refused::NotConnected));
    }
}

/// So an answer goes only to the inbox of the node that is known to have asked, whatever the packet says.
#[tokio::test]
async fn a_reply_subject_is_not_checked_by_the_server() {
    let server = server_with(r#"publish: { allow: ["fetch.>", "inbox.>"] }"#).await;
    let mut master = connected(&server, &["fetch.*"], "master").await;
    let mut secondary = connected(&server, &[], "secondary1").await;
    secondary.send(asking("fetch.secondary1", "acks.secondary2", "x")).unwrap();
    assert_eq!(packet(&mut master).await.reply.as_deref(), Some("acks.secondary2"));
}
