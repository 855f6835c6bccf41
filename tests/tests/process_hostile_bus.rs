//! Anything at all on the NATS subjects: counted, and without effect.

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt as _;
use replog_tests::harness::{Client, Cluster, SOON, eventually, wait_until};
use serde_json::{Value, json};

/// What no node takes for an envelope.
fn junk() -> Vec<Bytes> {
    let texts: [&[u8]; 10] = [
        b"",
        b"\0\xff\xfe",
        b"junk",
        b"{}",
        b"null\n",
        br#"{"v":1}"#,
        br#"{"stream":"REPLOG","seq":7,"domain":"hub"}"#,
        br#"{"v":1,"log_id":null,"node":"secondary1","incarnation":"#,
        br#"{"v":1e999,"through":99999999999999999999999999}"#,
        b"{\"v\":1,\"count\":18446744073709551615}\n{\"order\":0}\n",
    ];
    let nested = Bytes::from("[".repeat(100_000));
    texts.iter().map(|text| Bytes::from_static(text)).chain([nested]).collect()
}

/// A client of the cluster's NATS server.
async fn connect(cluster: &Cluster) -> async_nats::Client {
    async_nats::connect(cluster.nats_address()).await.expect("nats-server takes a client")
}

/// The next envelope on a subject; the first line of it, if it has more.
async fn overheard(nats: &async_nats::Client, subject: &str) -> (Value, Bytes) {
    let mut packets = nats.subscribe(subject.to_owned()).await.expect("a subscription is allowed");
    loop {
        let packet = packets.next().await.expect("the connection stays");
        let line = packet.payload.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if let Ok(envelope) = serde_json::from_slice(line) {
            return (envelope, packet.payload);
        }
    }
}

async fn publish(nats: &async_nats::Client, subject: &str, payload: impl Into<Bytes>) {
    nats.publish(subject.to_owned(), payload.into()).await.expect("the connection stays");
}

/// The envelope with some members replaced.
fn forged(genuine: &Value, members: Value) -> String {
    let mut forged = genuine.clone();
    for (name, value) in members.as_object().expect("members are an object") {
        forged[name] = value.clone();
    }
    forged.to_string()
}

/// How many envelopes of a kind a node has refused.
async fn refused(client: &Client, kind: &str) -> u64 {
    client.health().await["refused_envelopes"][kind].as_u64().unwrap_or(0)
}

/// How many envelopes a node has refused, of any kind.
async fn all_refused(client: &Client) -> u64 {
    let health = client.health().await;
    health["refused_envelopes"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}

#[tokio::test]
async fn junk_on_every_subject_is_counted_and_changes_nothing() {
    let cluster = Cluster::running().await;
    let (client, secondary) = (cluster.client(), cluster.reader(1));
    client.write("before", 3).await;
    let (before, nats) = (cluster.equal_logs(SOON).await, connect(&cluster).await);
    let old = client.health().await;

    let to_master = ["acks.secondary1", "join.secondary1", "fetch.secondary1", "inbox.master.state.1"];
    let to_secondary = [
        "entries.secondary1",
        "promise.secondary1",
        "read.secondary1",
        "ask",
        "heartbeat",
        "inbox.secondary1.join.1",
    ];
    for subject in to_master.iter().chain(&to_secondary) {
        for payload in junk() {
            publish(&nats, &format!("replog.main.{subject}"), payload).await;
        }
    }
    let count = |subjects: usize| (subjects * junk().len()) as u64;
    let (master_count, secondary_count) = (count(to_master.len()), count(to_secondary.len()));
    wait_until("the master has counted all junk", SOON, async || all_refused(&client).await >= master_count)
        .await;
    wait_until("the secondary has too", SOON, async || all_refused(&secondary).await >= secondary_count)
        .await;

    client.write("after", 3).await;
    let new = client.health().await;
    assert_eq!(
        (&new["epoch"], &new["log_id"], &new["status"]),
        (&old["epoch"], &old["log_id"], &json!("ok"))
    );
    let log = cluster.equal_logs(SOON).await;
    assert_eq!((log.len(), &log[..1]), (2, &before[..]));
}

#[tokio::test]
async fn forged_foreign_and_stale_acks_are_counted_by_kind_and_are_no_acks() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    client.write("before", 3).await;
    let nats = connect(&cluster).await;
    let acks = "replog.main.acks.secondary2";
    let (genuine, _) = overheard(&nats, acks).await;
    cluster.secondary(2).process.kill();
    let blocked = tokio::spawn({
        let client = client.clone();
        async move { client.append(json!({"message": "needs all", "w": 3})).await }
    });
    wait_until("the write waits", SOON, async || client.health().await["pending_writes"] == 1).await;
    let (first, _) = overheard(&nats, "replog.main.acks.secondary1").await;
    let held_by_first = json!({"through": first["through"], "digest": first["digest"]});
    let higher: Value = forged(&genuine["fence"], json!({"epoch": "9.0"})).parse().expect("it is JSON");
    let other_log = "00000000-0000-4000-8000-000000000000";
    let other_process = forged(&genuine, held_by_first.clone()).parse::<Value>().expect("it is JSON");
    for (kind, payload) in [
        ("malformed", br#"{"stream":"REPLOG","seq":2}"#.to_vec()),
        ("malformed", forged(&genuine, json!({"through": -1})).into()),
        ("malformed", forged(&genuine, json!({"incarnation": {}})).into()),
        ("version", forged(&genuine, json!({"v": 3})).into()),
        ("wrong_node", first.to_string().into()),
        ("foreign_log", forged(&other_process, json!({"log_id": other_log})).into()),
        ("stale_incarnation", forged(&other_process, json!({"incarnation": first["incarnation"]})).into()),
        (
            "stale_incarnation",
            forged(&other_process, json!({"incarnation": first["incarnation"], "fence": higher})).into(),
        ),
    ] {
        let before = refused(&client, kind).await;
        publish(&nats, acks, payload).await;
        let what = format!("the master has counted one more of {kind}");
        wait_until(&what, SOON, async || refused(&client, kind).await > before).await;
    }
    assert!(!blocked.is_finished(), "the master took something for an ack");
    assert_eq!(cluster.health_of(2).await["acked_through"], 1);
    let stage = &cluster.health_of(2).await["stage"];
    assert!(stage != "foreign" && stage != "diverged", "an unknown process made secondary2 {stage}");

    cluster.secondary(2).start().await;
    blocked.await.expect("the client does not panic").expect_ok(3);
    assert_eq!(cluster.equal_logs(SOON).await.len(), 2);
}

#[tokio::test]
async fn a_503_is_no_ack() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    client.write("before", 3).await;
    let nats = connect(&cluster).await;
    cluster.secondary(2).process.kill();
    let mut statuses =
        nats.subscribe("replog.main.acks.secondary2").await.expect("a subscription is allowed");
    let blocked = tokio::spawn({
        let client = client.clone();
        async move { client.append(json!({"message": "needs all", "w": 3})).await }
    });
    wait_until("the write waits", SOON, async || client.health().await["pending_writes"] == 1).await;
    // A server's word that nobody listens looks like this; anyone may say the same.
    for status in ["503", "404", "200"] {
        let mut headers = HeaderMap::new();
        headers.insert("Status", status);
        let sent = nats.publish_with_headers("replog.main.acks.secondary2", headers, Bytes::new()).await;
        sent.expect("the connection stays");
    }
    for _ in 0..3 {
        statuses.next().await.expect("the connection stays");
    }
    client.write("meanwhile", 2).await;
    assert!(!blocked.is_finished(), "a status was taken for an ack");
    assert_eq!(cluster.health_of(2).await["acked_through"], 1);

    cluster.secondary(2).start().await;
    blocked.await.expect("the client does not panic").expect_ok(3);
    assert_eq!(cluster.equal_logs(SOON).await.len(), 3);
}

#[tokio::test]
async fn forged_stale_and_replayed_entries_change_no_log() {
    let cluster = Cluster::running().await;
    let (client, reader) = (cluster.client(), cluster.reader(1));
    client.write("before", 3).await;
    let (nats, entries) = (connect(&cluster).await, "replog.main.entries.secondary1");
    let overhearing = tokio::spawn({
        let nats = nats.clone();
        async move { overheard(&nats, entries).await }
    });
    let heard = async || {
        client.write("overheard", 3).await;
        overhearing.is_finished()
    };
    wait_until("an envelope of entries was overheard", SOON, heard).await;
    let (header, replayed) = overhearing.await.expect("the listener does not panic");
    let log = cluster.equal_logs(SOON).await;

    let line =
        |order: usize| format!(r#"{{"order":{order},"epoch":"1.0","id":"forged","message":"forged"}}"#);
    let next = json!({"from": log.len(), "count": 1, "length": log.len() + 1});
    let envelope = |members: Value, line: String| format!("{}\n{line}\n", forged(&header, members));
    let with = |name: &str, value: Value| {
        let mut members = next.clone();
        members[name] = value;
        members
    };
    let counted = async || {
        let counters = reader.health().await["counters"].clone();
        ["stale", "foreign", "refused", "duplicates"]
            .iter()
            .filter_map(|name| counters[name].as_u64())
            .sum::<u64>()
    };
    let before = counted().await;
    let hostile = [
        replayed,
        envelope(with("log_id", json!("00000000-0000-4000-8000-000000000000")), line(log.len())).into(),
        envelope(with("node", json!("secondary2")), line(log.len())).into(),
        envelope(with("epoch", json!("1.7")), line(log.len())).into(),
        envelope(with("epoch", json!("9.0")), line(log.len())).into(),
        envelope(next.clone(), line(log.len() + 5)).into(),
        envelope(next.clone(), "not a line".to_owned()).into(),
        envelope(next.clone(), line(log.len())).into(),
    ];
    let expected = before + hostile.len() as u64;
    for payload in hostile {
        publish(&nats, entries, payload).await;
    }
    wait_until("the secondary has counted each of them", SOON, async || counted().await >= expected).await;
    assert_eq!(reader.entries().await.expect("it still serves"), log);
    client.write("after", 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), log.len() + 1);
}

#[tokio::test]
async fn answers_go_only_to_the_inbox_of_the_node_that_asks() {
    let cluster = Cluster::running().await;
    let client = cluster.client();
    client.write("before", 3).await;
    let nats = connect(&cluster).await;
    let (ack, _) = overheard(&nats, "replog.main.acks.secondary1").await;
    let fetch = forged(&ack, json!({"request": 1, "from": 0, "to": 1}));
    for reply in ["replog.main.entries.secondary2", "replog.main.inbox.secondary2.fetch.1", "_INBOX.x"] {
        let before = refused(&client, "wrong_reply").await;
        let sent = nats
            .publish_with_reply("replog.main.fetch.secondary1", reply.to_owned(), fetch.clone().into())
            .await;
        sent.expect("the connection stays");
        let counted = async || (refused(&client, "wrong_reply").await > before).then_some(());
        eventually("the master has counted a wrong reply subject", SOON, counted).await;
    }
    assert_eq!(cluster.equal_logs(SOON).await.len(), 1);
}

/// Numbers at the edge, and ranges that run backwards.
fn strange_ranges() -> Vec<(u64, u64)> {
    const MAX: u64 = u64::MAX;
    vec![(0, MAX), (MAX, MAX), (MAX, 0), (1, 0), (5, 5), (MAX - 1, MAX), (1 << 53, 1 << 54)]
}

#[tokio::test]
async fn joins_and_ranges_that_nobody_means_change_nothing() {
    let cluster = Cluster::running().await;
    let client = cluster.client();
    client.write("before", 3).await;
    let nats = connect(&cluster).await;
    let (ack, _) = overheard(&nats, "replog.main.acks.secondary1").await;
    let epoch = json!({"epoch": ack["epoch"], "owner": ack["owner"], "opened_by": ack["opened_by"]});
    let inbox = "replog.main.inbox.secondary1";
    let mut answers = nats.subscribe(format!("{inbox}.>")).await.expect("a subscription is allowed");
    let ask = async |kind: &str, envelope: String| {
        let subject = format!("replog.main.{kind}.secondary1");
        let sent = nats.publish_with_reply(subject, format!("{inbox}.{kind}.1"), envelope.into());
        sent.await.expect("the connection stays");
    };
    // In the name of the process that was admitted: all of it is answered as far as there is something to send.
    for (from, to) in strange_ranges() {
        ask("fetch", forged(&ack, json!({"request": 1, "from": from, "to": to}))).await;
    }
    let whole = answers.next().await.expect("the connection stays");
    assert!(whole.payload.len() < 2_000, "{} bytes for a log of one entry", whole.payload.len());
    // In the name of another process: of a name that is taken.
    let mark = |at: u64| forged(&epoch, json!({"kind": "promotion", "at": at})).parse::<Value>();
    let mark = |at: u64| mark(at).expect("it is JSON");
    for (marks_before, marks, length) in [
        (0, json!([]), 0),
        (u32::MAX, json!([]), u64::MAX),
        (u32::MAX, json!([mark(5), mark(4)]), 1),
        (0, json!([mark(u64::MAX), mark(0), mark(7)]), u64::MAX),
        (0, Value::Array((0..300).map(mark).collect()), 3),
    ] {
        let members = json!({
            "request": 1, "incarnation": "00000000000000ab", "marks_before": marks_before, "marks": marks, "length": length,
            "fence": null, "whole": true,
        });
        ask("join", forged(&ack, members)).await;
        let what = "a join in a living node's name is answered";
        let refused = async || {
            let answer = answers.next().await.expect("the connection stays");
            let answer: Option<Value> = serde_json::from_slice(&answer.payload).ok();
            answer.and_then(|answer| answer["verdict"].as_str().map(str::to_owned))
        };
        assert_eq!(eventually(what, SOON, refused).await, "name_in_use");
    }
    // To a secondary: what a promoting master would ask it for.
    for (from, marks) in [(0, u64::from(u32::MAX)), (u64::MAX, 0), (u64::MAX, u64::from(u32::MAX))] {
        let read = json!({"request": 1, "node": "master", "from": {"length": from, "marks": marks}});
        let reply = "replog.main.inbox.master.read.1".to_owned();
        let sent = nats.publish_with_reply("replog.main.read.secondary1", reply, forged(&ack, read).into());
        sent.await.expect("the connection stays");
    }
    client.write("after", 3).await;
    let health = client.health().await;
    assert_eq!((&health["status"], &health["epoch"]), (&json!("ok"), &ack["epoch"]));
    assert_eq!(cluster.equal_logs(SOON).await.len(), 2);
}
