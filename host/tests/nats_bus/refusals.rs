//! What the server does not allow.

use std::time::{Duration, Instant};

use replog_host::bus::{Bus, BusEvent, BusTrouble, Refused};
use tokio::time::timeout;

use crate::server::NatsServer;
use crate::support::{asking, connected, connecting, denied, event, next, options, packet, send, to, up};

/// A server on which everyone has these permissions.
async fn server_with(permissions: &str) -> NatsServer {
    NatsServer::start_with(|_| everyone_may(permissions)).await
}

fn everyone_may(permissions: &str) -> String {
    format!(
        "accounts {{ A: {{ users: [ {{ user: any, password: any, permissions: {{ {permissions} }} }} ] }} }}\n\
         no_auth_user: any"
    )
}

/// Lets the bus do what it does by itself until this holds.
async fn driven(bus: &mut impl Bus, what: &str, holds: impl Fn(&BusTrouble) -> bool) {
    let driven = async {
        while !holds(&bus.trouble()) {
            let _a_look_at_the_connection = timeout(Duration::from_millis(50), bus.next()).await;
        }
    };
    timeout(Duration::from_secs(30), driven).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// Sends to the subject until a packet comes back.
async fn heard_again(bus: &mut impl Bus, subject: &str) {
    let heard = async {
        loop {
            let _not_connected = bus.send(to(subject, "x"));
            let next = timeout(Duration::from_millis(50), bus.next()).await;
            if matches!(next, Ok(BusEvent::Message(_))) {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), heard).await.expect("the subscription is made again");
}

#[tokio::test]
async fn a_subscription_that_is_taken_away_and_given_back_is_made_again() {
    let mut server = server_with(r#"subscribe: { deny: "other.>" }"#).await;
    let mut bus = connected(&server, &["acks.*", "b"], "master").await;
    heard_again(&mut bus, "acks.a").await;
    server.reload_with(&everyone_may(r#"subscribe: { deny: ["acks.*"] }"#)).await;
    driven(&mut bus, "it is denied", |trouble| {
        trouble.denied.as_ref().is_some_and(|what| what.contains("acks.*"))
    })
    .await;
    server.reload_with(&everyone_may(r#"subscribe: { deny: "other.>" }"#)).await;
    heard_again(&mut bus, "acks.a").await;
    driven(&mut bus, "nothing is denied", |trouble| trouble.denied.is_none()).await;
    // No packet is doubled by it.
    send(&mut bus, to("acks.a", "once")).await;
    send(&mut bus, to("b", "last")).await;
    let mut once = 0;
    loop {
        let packet = packet(&mut bus).await;
        once += u32::from(packet.payload == "once");
        if packet.payload == "last" {
            break;
        }
    }
    assert_eq!(once, 1);
}

#[tokio::test]
async fn a_subscription_that_was_denied_from_the_start_is_made_when_it_is_allowed() {
    let mut server = server_with(r#"subscribe: { deny: "heartbeat" }"#).await;
    let mut bus = connected(&server, &["heartbeat"], "secondary1").await;
    // It came before the bus was up, and stands all the same.
    driven(&mut bus, "it is denied", |trouble| trouble.denied.is_some()).await;
    server.reload_with(&everyone_may(r#"subscribe: { deny: "other.>" }"#)).await;
    heard_again(&mut bus, "heartbeat").await;
}

#[tokio::test]
async fn a_bus_whose_inbox_is_allowed_at_last_comes_up() {
    let mut server = server_with(r#"subscribe: { deny: "inbox.>" }, publish: { deny: "inbox.>" }"#).await;
    let mut bus = connecting(options(&server), &["a"], "master").await;
    driven(&mut bus, "it is denied", |trouble| trouble.denied.is_some()).await;
    assert_eq!(bus.send(to("a", "x")), Err(Refused::NotConnected));
    server.reload_with(&everyone_may(r#"subscribe: { deny: "other.>" }"#)).await;
    up(&mut bus).await;
    driven(&mut bus, "nothing is denied", |trouble| trouble.denied.is_none()).await;
}

#[tokio::test]
async fn a_subject_counts_as_denied_until_it_was_sent_to() {
    let mut server = server_with(r#"publish: { deny: "secret.>" }"#).await;
    let mut bus = connected(&server, &["a", "secret.a"], "master").await;
    send(&mut bus, to("secret.a", "x")).await;
    driven(&mut bus, "it is denied", |trouble| trouble.denied.is_some()).await;
    server.reload_with(&everyone_may(r#"publish: { deny: "other.>" }"#)).await;
    heard_again(&mut bus, "secret.a").await;
    driven(&mut bus, "nothing is denied", |trouble| trouble.denied.is_none()).await;
}

#[tokio::test]
async fn what_the_last_connection_was_denied_is_forgotten_over_the_next_one() {
    let mut server = server_with(r#"subscribe: { deny: "acks.*" }, publish: { deny: "secret.>" }"#).await;
    let mut bus = connected(&server, &["acks.*"], "master").await;
    send(&mut bus, to("secret.a", "x")).await;
    driven(&mut bus, "both are denied", |trouble| {
        trouble.denied.as_ref().is_some_and(|what| what.contains("acks.*") && what.contains("secret.a"))
    })
    .await;
    server.start_again_with(&everyone_may(r#"subscribe: { deny: "other.>" }"#)).await;
    up(&mut bus).await;
    // Nothing is sent to the second subject again, which would show that it is allowed.
    driven(&mut bus, "nothing is denied", |trouble| trouble.denied.is_none()).await;
}

#[tokio::test]
async fn a_login_that_was_refused_is_forgotten_once_one_is_taken() {
    let mut server = NatsServer::start_with(|_| "authorization { user: a, password: b }".to_owned()).await;
    let mut bus = connecting(options(&server), &["a"], "master").await;
    driven(&mut bus, "it is denied", |trouble| trouble.denied.is_some()).await;
    server.start_again_with("").await;
    up(&mut bus).await;
    driven(&mut bus, "nothing is denied", |trouble| trouble.denied.is_none()).await;
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
