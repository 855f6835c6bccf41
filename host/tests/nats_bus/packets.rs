//! What happens to packets.

use replog_host::bus::{
    Bus, BusEvent, Incoming, RECEIVE_QUEUE_PACKETS, Refused, SEND_QUEUE_PACKETS, STATUS_NO_RESPONDERS,
};

use crate::server::NatsServer;
use crate::support::{asking, connected, next, number, numbered, packet, send, to};

#[tokio::test]
async fn a_packet_arrives_as_it_was_sent() {
    let server = NatsServer::start().await;
    let mut sender = connected(&server, &[], "sender").await;
    let mut listener = connected(&server, &["entries.*"], "listener").await;
    sender.send(asking("entries.a", "acks.a", "x")).unwrap();
    sender.send(to("inbox.listener.7", "y")).unwrap();
    let expected = |subject: &str, reply: Option<&str>, payload: &'static str| Incoming {
        subject: subject.to_owned(),
        reply: reply.map(str::to_owned),
        payload: payload.into(),
        status: None,
    };
    let mut received = [packet(&mut listener).await, packet(&mut listener).await];
    received.sort_by(|a, b| a.subject.cmp(&b.subject));
    assert_eq!(
        received,
        [expected("entries.a", Some("acks.a"), "x"), expected("inbox.listener.7", None, "y")]
    );
}

#[tokio::test]
async fn packets_of_one_bus_keep_their_order_also_through_a_full_queue() {
    const PACKETS: u32 = 20_000;
    const IN_FLIGHT: u32 = 2_000;
    let server = NatsServer::start().await;
    let mut sender = connected(&server, &[], "sender").await;
    let mut listener = connected(&server, &["entries"], "listener").await;
    let (mut sent, mut was_full) = (0, false);
    for expected in 0..PACKETS {
        while sent < PACKETS.min(expected + IN_FLIGHT) && !is_full(&mut sender, sent, &mut was_full) {
            sent += 1;
        }
        assert_eq!(number(&packet(&mut listener).await), expected);
    }
    assert!(was_full, "the queue never was full, so nothing was tried");
}

fn is_full(sender: &mut impl Bus, number: u32, was_full: &mut bool) -> bool {
    let full = sender.send(numbered("entries", number)) == Err(Refused::Full);
    *was_full |= full;
    full
}

#[tokio::test]
async fn a_full_queue_refuses_without_waiting_and_keeps_what_it_took() {
    let server = NatsServer::start().await;
    let mut bus = connected(&server, &["entries"], "master").await;
    let taken = (0..).take_while(|&number| bus.send(numbered("entries", number)).is_ok()).count();
    assert_eq!(taken, SEND_QUEUE_PACKETS);
    assert_eq!(bus.send(to("entries", "x")), Err(Refused::Full));
    for expected in 0..u32::try_from(taken).unwrap() {
        assert_eq!(number(&packet(&mut bus).await), expected);
    }
}

#[tokio::test]
async fn nobody_listening_comes_back_with_status_503_on_the_reply_subject() {
    let server = NatsServer::start().await;
    let mut bus = connected(&server, &["acks.*"], "master").await;
    for reply in ["acks.a", "inbox.master.7"] {
        bus.send(asking("entries.a", reply, "x")).unwrap();
        let answer = packet(&mut bus).await;
        assert_eq!((answer.subject.as_str(), answer.status), (reply, Some(STATUS_NO_RESPONDERS)));
        assert!(answer.payload.is_empty());
    }
}

#[tokio::test]
async fn a_503_is_only_a_hint_a_curious_listener_anywhere_removes_it() {
    let server = NatsServer::start().await;
    let mut curious = connected(&server, &["entries.>"], "curious").await;
    let mut bus = connected(&server, &["acks.*"], "master").await;
    bus.send(asking("entries.a", "acks.a", "x")).unwrap();
    assert_eq!(packet(&mut curious).await.payload, "x");
    bus.send(to("acks.end", "end")).unwrap();
    assert_eq!(packet(&mut bus).await.subject, "acks.end");
}

/// What captures our subjects answers where an ack is awaited, without a status: acks must be parsed.
#[tokio::test]
async fn a_stream_that_captures_our_subjects_answers_as_an_ordinary_packet() {
    let server =
        NatsServer::start_with(|directory| format!("jetstream {{ store_dir: {directory:?} }}")).await;
    let mut bus = connected(&server, &["acks.*"], "master").await;
    let stream = r#"{"name":"CURIOUS","subjects":["entries.>"],"storage":"memory"}"#;
    bus.send(asking("$JS.API.STREAM.CREATE.CURIOUS", "inbox.master.stream", stream)).unwrap();
    let created = packet(&mut bus).await;
    assert!(!text(&created).contains("error"), "{}", text(&created));
    bus.send(asking("entries.a", "acks.a", "x")).unwrap();
    let answer = packet(&mut bus).await;
    assert_eq!((answer.subject.as_str(), answer.status), ("acks.a", None));
    assert!(text(&answer).contains(r#""stream":"CURIOUS""#), "{}", text(&answer));
}

fn text(packet: &Incoming) -> &str {
    std::str::from_utf8(&packet.payload).expect("text")
}

#[tokio::test]
async fn a_slow_reader_is_told_of_the_overrun_and_keeps_the_oldest() {
    let server = NatsServer::start().await;
    let mut sender = connected(&server, &["done"], "sender").await;
    let mut slow = connected(&server, &["entries"], "slow").await;
    for number in 0..10_000 {
        send(&mut sender, numbered("entries", number)).await;
    }
    // The server has handed out all of them once the sender's own packet came back.
    send(&mut sender, to("done", "")).await;
    packet(&mut sender).await;
    let (kept, overrun) = read(&mut slow, RECEIVE_QUEUE_PACKETS).await;
    assert!(overrun, "nobody said so");
    let is_oldest = |(expected, kept): (u32, &u32)| expected == *kept;
    assert!((0..).zip(&kept).all(is_oldest), "something else than the oldest was kept");
}

/// The numbers of the next packets, and whether an overrun was told among them.
async fn read(bus: &mut impl Bus, packets: usize) -> (Vec<u32>, bool) {
    let (mut numbers, mut overrun) = (Vec::new(), false);
    while numbers.len() < packets {
        match next(bus).await {
            BusEvent::Message(packet) => numbers.push(number(&packet)),
            event => overrun |= event == BusEvent::Overrun,
        }
    }
    (numbers, overrun)
}

#[tokio::test]
async fn a_flood_on_one_subscription_starves_no_other() {
    const FLOOD: u32 = 3_000;
    let server = NatsServer::start().await;
    let mut sender = connected(&server, &["done"], "sender").await;
    let mut flooded = connected(&server, &["entries", "acks"], "flooded").await;
    for number in 0..FLOOD {
        send(&mut sender, numbered("entries", number)).await;
    }
    send(&mut sender, to("acks", "ack")).await;
    send(&mut sender, to("done", "")).await;
    packet(&mut sender).await;
    let mut before = 0;
    while packet(&mut flooded).await.subject != "acks" {
        before += 1;
    }
    assert!(before < FLOOD, "the ack waited for the whole flood");
}
