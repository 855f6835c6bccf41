//! Waiting, and short words for what the tests do again and again.

use std::time::Duration;

use bytes::Bytes;
use replog_host::bus::{Bus, BusEvent, Incoming, NatsBus, NatsOptions, Outgoing, Refused};
use tokio::time::{Instant, sleep, timeout};

use crate::server::NatsServer;

/// How long anything here may take. Far more than it needs: it only ends a test that would hang.
const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at a condition that tells nobody when it changes.
const POLL: Duration = Duration::from_millis(5);

/// Looks again and again until `condition` has a result.
pub(crate) async fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(result) = condition() {
            return result;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        sleep(POLL).await;
    }
}

/// Reads events until one is what `pick` looks for; the others are dropped.
pub(crate) async fn event<T>(bus: &mut impl Bus, what: &str, pick: impl Fn(BusEvent) -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = pick(bus.next().await) {
                return found;
            }
        }
    };
    timeout(DEADLINE, search).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// The very next event.
pub(crate) async fn next(bus: &mut impl Bus) -> BusEvent {
    timeout(DEADLINE, bus.next()).await.expect("an event")
}

/// Waits until the bus is up; the server's `max_payload`.
pub(crate) async fn up(bus: &mut impl Bus) -> usize {
    event(bus, "up", |event| match event {
        BusEvent::Up { max_payload } => Some(max_payload),
        _ => None,
    })
    .await
}

/// Waits until the bus is down.
pub(crate) async fn down(bus: &mut impl Bus) {
    event(bus, "down", |event| (event == BusEvent::Down).then_some(())).await;
}

/// Waits for a packet.
pub(crate) async fn packet(bus: &mut impl Bus) -> Incoming {
    event(bus, "a packet", |event| match event {
        BusEvent::Message(packet) => Some(packet),
        _ => None,
    })
    .await
}

/// Waits for a refusal by the server; its text.
pub(crate) async fn denied(bus: &mut impl Bus) -> String {
    event(bus, "denied", |event| match event {
        BusEvent::Denied { what } => Some(what),
        _ => None,
    })
    .await
}

pub(crate) fn options(server: &NatsServer) -> NatsOptions {
    NatsOptions::new([server.url()], "test")
}

/// A bus that is not up yet, with the inbox `inbox.<node>`.
pub(crate) async fn connecting(options: NatsOptions, subscriptions: &[&str], node: &str) -> NatsBus {
    let subscriptions = subscriptions.iter().map(|&subject| subject.to_owned()).collect();
    NatsBus::connect(options, subscriptions, format!("inbox.{node}")).await.expect("good options")
}

/// A bus that is up, with the inbox `inbox.<node>`.
pub(crate) async fn connected(server: &NatsServer, subscriptions: &[&str], node: &str) -> NatsBus {
    let mut bus = connecting(options(server), subscriptions, node).await;
    up(&mut bus).await;
    bus
}

/// A packet that wants no answer.
pub(crate) fn to(subject: &str, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing { subject: subject.to_owned(), reply: None, payload: payload.into() }
}

/// A packet whose answer shall go to `reply`.
pub(crate) fn asking(subject: &str, reply: &str, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing { reply: Some(reply.to_owned()), ..to(subject, payload) }
}

/// Sends, giving the connection time whenever the queue is full.
pub(crate) async fn send(bus: &mut impl Bus, packet: Outgoing) {
    wait_until("the packet is taken", || match bus.send(packet.clone()) {
        Err(Refused::Full) => None,
        result => Some(result),
    })
    .await
    .expect("the packet is taken");
}

/// A packet that carries a number, and the number back.
pub(crate) fn numbered(subject: &str, number: u32) -> Outgoing {
    to(subject, number.to_string())
}

pub(crate) fn number(packet: &Incoming) -> u32 {
    let text = std::str::from_utf8(&packet.payload).expect("text");
    text.parse().expect("a number")
}
