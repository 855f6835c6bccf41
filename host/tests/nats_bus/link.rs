//! When the bus says that it is up and down.

use std::time::{Duration, Instant};

use replog_host::bus::{Bus, BusEvent, CLOSE_TIMEOUT, NatsOptions, Refused, SEND_QUEUE_PACKETS};

use tokio::time::timeout;

use crate::server::NatsServer;
use crate::support::{
    asking, connected, connecting, down, next, number, numbered, options, packet, send, to, up, wait_until,
};

#[tokio::test]
async fn connecting_needs_no_server_and_up_comes_when_there_is_one() {
    let mut server = NatsServer::start().await;
    server.kill();
    let mut bus = connecting(options(&server), &["a"], "master").await;
    assert_eq!(bus.send(to("a", "x")), Err(Refused::NotConnected));
    server.start_again().await;
    assert!(matches!(next(&mut bus).await, BusEvent::Up { .. }));
    assert_eq!(bus.send(to("a", "x")), Ok(()));
    assert_eq!(packet(&mut bus).await.payload, "x");
}

#[tokio::test]
async fn connecting_needs_no_server_however_many_the_subscriptions() {
    let mut server = NatsServer::start().await;
    server.kill();
    let subjects: Vec<String> = (0..2 * SEND_QUEUE_PACKETS).map(|number| format!("a.{number}")).collect();
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let connecting = connecting(options(&server), &subjects, "master");
    let mut bus = timeout(Duration::from_secs(10), connecting).await.expect("it returns at once");
    server.start_again().await;
    up(&mut bus).await;
}

/// Sends a run of packets at the very moment `listener` came up; every one must arrive.
async fn assert_nothing_is_missed(sender: &mut impl Bus, listener: &mut impl Bus) {
    for sent in 0..100 {
        send(sender, numbered("entries", sent)).await;
    }
    for expected in 0..100 {
        assert_eq!(number(&packet(listener).await), expected);
    }
}

#[tokio::test]
async fn nothing_sent_after_up_is_missed() {
    let server = NatsServer::start().await;
    let mut sender = connected(&server, &[], "sender").await;
    for round in 0..50 {
        let mut listener = connected(&server, &["entries"], &format!("listener{round}")).await;
        assert_nothing_is_missed(&mut sender, &mut listener).await;
    }
}

#[tokio::test]
async fn nothing_sent_after_up_is_missed_when_the_server_came_back() {
    let mut server = NatsServer::start().await;
    let mut sender = connected(&server, &[], "sender").await;
    let mut listener = connected(&server, &["entries"], "listener").await;
    for _ in 0..5 {
        server.start_again().await;
        down(&mut sender).await;
        up(&mut sender).await;
        down(&mut listener).await;
        up(&mut listener).await;
        assert_nothing_is_missed(&mut sender, &mut listener).await;
    }
}

#[tokio::test]
async fn a_restart_is_told_as_down_and_up_and_probes_are_not_told_at_all() {
    let mut server = NatsServer::start().await;
    let mut bus = connected(&server, &["a", "inbox.master.*"], "master").await;
    server.start_again().await;
    assert_eq!(next(&mut bus).await, BusEvent::Down);
    assert!(matches!(next(&mut bus).await, BusEvent::Up { .. }));
    bus.send(to("a", "last")).unwrap();
    let BusEvent::Message(packet) = next(&mut bus).await else { panic!("a packet comes next") };
    assert_eq!(packet.payload, "last");
}

#[tokio::test]
async fn nothing_is_taken_while_the_server_is_away() {
    let mut server = NatsServer::start().await;
    let mut bus = connected(&server, &["a"], "master").await;
    server.kill();
    down(&mut bus).await;
    assert_eq!(bus.send(to("a", "x")), Err(Refused::NotConnected));
    server.start_again().await;
    up(&mut bus).await;
    assert_eq!(bus.send(to("a", "x")), Ok(()));
}

#[tokio::test]
async fn a_frozen_server_is_noticed_in_seconds() {
    let server = NatsServer::start().await;
    let mut bus = connected(&server, &[], "master").await;
    let frozen = Instant::now();
    server.freeze();
    down(&mut bus).await;
    assert!(frozen.elapsed() < Duration::from_secs(10), "{:?}", frozen.elapsed());
}

/// The proof that only an ack is proof: a packet that was taken may be lost, or come late.
#[tokio::test]
async fn packets_taken_in_an_outage_are_lost_but_for_one_queue_of_them() {
    let mut server = NatsServer::start().await;
    let mut sender = connected(&server, &[], "sender").await;
    let mut listener = connected(&server, &["entries"], "listener").await;
    server.freeze();
    let taken = send_until_refused(&mut sender).await;
    server.start_again().await;
    up(&mut listener).await;
    up(&mut sender).await;
    send(&mut sender, to("entries", "fresh")).await;
    let mut stale = 0;
    while packet(&mut listener).await.payload != "fresh" {
        stale += 1;
    }
    assert!(stale <= SEND_QUEUE_PACKETS, "{stale} stale packets");
    assert!(stale < taken, "all {taken} packets arrived, so none was lost");
}

/// Sends large packets until the outage is noticed; how many were taken.
async fn send_until_refused(sender: &mut impl Bus) -> usize {
    let large = vec![0; 32 * 1024];
    let mut taken = 0;
    wait_until("the outage is noticed", || {
        loop {
            match sender.send(to("entries", large.clone())) {
                Ok(()) => taken += 1,
                Err(Refused::Full) => return None,
                Err(_) => return Some(()),
            }
        }
    })
    .await;
    taken
}

#[tokio::test]
async fn another_server_takes_over() {
    let mut servers = [NatsServer::start().await, NatsServer::start().await];
    let urls = servers.iter().map(NatsServer::url);
    let mut bus = connecting(NatsOptions::new(urls, "test"), &["a"], "master").await;
    up(&mut bus).await;
    for server in &mut servers {
        server.kill();
        if bus.send(to("a", "x")).is_ok() {
            continue;
        }
        down(&mut bus).await;
    }
    servers[1].start_again().await;
    up(&mut bus).await;
}

#[tokio::test]
async fn closing_sends_what_is_queued() {
    let server = NatsServer::start().await;
    let mut listener = connected(&server, &["entries"], "listener").await;
    let mut sender = connected(&server, &[], "sender").await;
    for number in 0..500 {
        sender.send(numbered("entries", number)).unwrap();
    }
    sender.close().await;
    for expected in 0..500 {
        assert_eq!(number(&packet(&mut listener).await), expected);
    }
}

#[tokio::test]
async fn closing_a_connection_to_a_frozen_server_ends() {
    let server = NatsServer::start().await;
    let mut bus = connected(&server, &[], "master").await;
    server.freeze();
    bus.send(asking("a", "b", "x")).unwrap();
    let begin = Instant::now();
    bus.close().await;
    assert!(begin.elapsed() < CLOSE_TIMEOUT * 5, "{:?}", begin.elapsed());
}
