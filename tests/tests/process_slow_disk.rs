//! A disk that does not answer: the node goes on answering, stays small, and says nothing that is not durable.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;

use replog_tests::harness::{
    Client, Cluster, Options, Process, SOON,
    disk::{flip, node_json, segments},
    strace::stall,
    wait_until,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What makes anything durable.
const SYNCS: &str = "fsync,fdatasync";

/// Their numbers on x86-64, and on 64-bit ARM.
const SYNC_CALLS: [&str; 4] = ["74", "75", "82", "83"];

/// Bytes of memory that a node has at most, whatever its disk does.
const NODE_BYTES: u64 = 64 * 1024 * 1024;

/// Messages in the log that a node is to fetch, and the bytes of each: more than it may have in memory.
const MESSAGES: u64 = 800;
const MESSAGE_BYTES: usize = 128 * 1024;

fn resident_bytes(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Bytes that wait to become durable on a node.
async fn pending_bytes(client: &Client) -> f64 {
    let answer = client.get("/metrics").await.body;
    let text = answer.as_str().unwrap();
    let line =
        text.lines().find(|line| line.starts_with("replog_buffer_bytes{") && line.contains("\"store\""));
    line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
}

async fn answers(client: &Client) -> Value {
    assert_eq!(client.get("/livez").await.status, 200);
    let health = client.get("/health").await;
    assert!(health.body.is_object(), "{health:?}");
    health.body
}

#[tokio::test]
async fn a_node_that_catches_up_on_a_disk_that_stands_still_answers_and_stays_small() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..1, 3).await;
    let slow = cluster.reader(1);
    let faults = stall(&cluster.secondary(1).process, SYNCS).await;
    let message = "x".repeat(MESSAGE_BYTES);
    for _ in 0..MESSAGES / 10 {
        let batch: Vec<Value> = (0..10).map(|_| json!({"message": message})).collect();
        client.post("/messages/batch", json!({"messages": batch, "w": 2})).await.expect_ok(2);
    }
    wait_until("as much waits for the disk as may", SOON, async || {
        pending_bytes(&slow).await >= 15.0 * 1024.0 * 1024.0
    })
    .await;
    // It is asked again and again for what it does not take.
    for _ in 0..50 {
        answers(&slow).await;
        client.append(json!({"message": message, "w": 2})).await.expect_ok(2);
    }
    let resident = resident_bytes(&cluster.secondary(1).process);
    assert!(resident < NODE_BYTES, "it takes {resident} bytes");
    assert!(pending_bytes(&slow).await < 20.0 * 1024.0 * 1024.0);
    assert_eq!(
        cluster.health_of(1).await["acked_through"],
        1,
        "the fault did not bite, or it acked what is not durable"
    );
    drop(faults);
    wait_until("it has caught up", SOON * 3, async || {
        cluster.health_of(1).await["acked_through"] == MESSAGES + 51
    })
    .await;
}

#[tokio::test]
async fn a_save_that_does_not_end_holds_back_what_follows_from_it_and_nothing_else() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..10, 3).await;
    let slow = cluster.reader(1);
    let faults = stall(&cluster.secondary(1).process, SYNCS).await;
    // The next epoch is one that each secondary must not forget.
    cluster.master.process.kill();
    cluster.master.start().await;
    let client = cluster.client();
    client.append_range(10..20, 2).await;
    let epoch = client.health().await["epoch"].clone();
    for _ in 0..20 {
        answers(&slow).await;
    }
    wait_until("it follows the new master", SOON, async || answers(&slow).await["fence"]["epoch"] == epoch)
        .await;
    let late = client.append(json!({"message": "m20", "id": "id20", "w": 3, "timeout_ms": 1_000})).await;
    assert_eq!(late.status, 504, "{late:?}");
    assert!(!late.nodes().contains("secondary1"), "{late:?}");
    assert_eq!(
        cluster.health_of(1).await["acked_through"],
        0,
        "it says nothing in an epoch that it may forget"
    );
    drop(faults);
    client.append(json!({"message": "m20", "id": "id20", "w": 3})).await.expect_ok(3);
    assert_eq!(cluster.equal_logs(SOON).await.len(), 21);
}

#[tokio::test]
async fn a_promise_is_given_when_it_is_saved_and_not_before() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..10, 3).await;
    cluster.master.process.kill();
    let faults = stall(&cluster.secondary(2).process, SYNCS).await;
    let node_file = cluster.directory("secondary2").join("node.json");
    let saved = fs::read(&node_file).unwrap();
    let candidate = &mut cluster.secondary(1).process;
    candidate.terminate();
    assert!(candidate.ended(SOON).await.success());
    let args = ["--secondaries", "master,secondary2", "--promote", "--reach", "2"];
    let mut node = cluster.node("secondary1", "replog-master", &args);
    node.process.start();
    assert_eq!(node.process.ended(SOON).await.code(), Some(1), "it was promised what may be forgotten");
    let log = node.process.log();
    assert!(log.contains("the other nodes stopped answering while this one was promoted"), "{log}");
    let asked = cluster.reader(2);
    assert_eq!(answers(&asked).await["fence"]["epoch"], "2.0", "the promise is decided");
    assert_eq!(fs::read(&node_file).unwrap(), saved, "the fault did not bite");
    drop(faults);
    node.process.start();
    wait_until("the candidate leads", SOON, async || node.client.is_ready().await).await;
    let answer = node.client.append(json!({"message": "m10", "id": "id10", "w": 2})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_master_whose_disk_stands_still_answers_and_refuses_more_than_it_can_hold() {
    let cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..1, 3).await;
    let faults = stall(&cluster.master.process, SYNCS).await;
    let message = "x".repeat(MESSAGE_BYTES);
    let batch: Vec<Value> = (0..10).map(|_| json!({"message": message})).collect();
    let body = json!({"messages": batch, "w": 1, "timeout_ms": 100});
    let mut appends = JoinSet::new();
    for _ in 0..MESSAGES / 20 {
        let (client, body) = (client.clone(), body.clone());
        appends.spawn(async move { client.try_post("/messages/batch", &body).await });
        answers(&cluster.client()).await;
    }
    let refused = loop {
        let answer = appends.join_next().await.expect("it has room for less").unwrap();
        // Of the others nothing is known before the disk answers.
        if let Some(answer) = answer.ok().filter(|answer| answer.status == 503) {
            break answer;
        }
    };
    refused.expect_problem(503, "overloaded", false);
    let resident = resident_bytes(&cluster.master.process);
    assert!(resident < NODE_BYTES, "it takes {resident} bytes");
    drop(faults);
    wait_until("it takes appends again", SOON, async || {
        client.append(json!({"message": "after", "id": "after", "w": 3})).await.status == 200
    })
    .await;
}

/// A master with an append under way, and a secondary that only has to close its log.
#[tokio::test]
async fn a_node_whose_disk_stands_still_ends_in_time_when_asked_to_and_claims_nothing() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..10, 3).await;
    cluster.equal_logs(SOON).await;
    let faults =
        [stall(&cluster.master.process, SYNCS).await, stall(&cluster.secondary(1).process, SYNCS).await];
    let late = json!({"message": "late", "id": "late", "w": 1});
    let (writer, body) = (client.clone(), late.clone());
    let waiting = tokio::spawn(async move { writer.append(body).await });
    wait_until("the append is on its way to the disk", SOON, async || pending_bytes(&client).await > 0.0)
        .await;
    for process in [&cluster.master.process, &cluster.secondaries[0].process] {
        process.terminate();
    }
    let told = waiting.await.unwrap();
    told.expect_problem(503, "stopping", "unknown");
    for process in [&cluster.master.process, &cluster.secondaries[0].process] {
        wait_until("it has ended but for the call that stands still", SOON, async || process.has_ended())
            .await;
        let log = process.log();
        assert!(log.contains("stops without its disk") && log.contains("start this node as before"), "{log}");
    }
    drop(faults);
    for process in [&mut cluster.master.process, &mut cluster.secondaries[0].process] {
        process.gives_up(SOON).await;
    }
    for name in ["master", "secondary1"] {
        assert_eq!(node_json(&cluster.directory(name))["clean_stop"], false, "{name}");
    }
    cluster.secondary(1).start().await;
    cluster.master.start().await;
    assert_eq!(client.append(late).await.status, 200, "whether it was written or not");
    assert_eq!(cluster.equal_logs(SOON).await.len(), 11);
}

/// An append is on its way to the disk, and an old line of the log is not sound.
#[tokio::test]
async fn a_node_that_fails_while_its_disk_stands_still_ends_all_the_same() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    // The first of them are not in memory any more.
    for nth in 0..60 {
        let id = format!("old{nth}");
        client.append(json!({"message": "x".repeat(MESSAGE_BYTES), "id": id, "w": 3})).await.expect_ok(3);
    }
    let faults = stall(&cluster.master.process, SYNCS).await;
    let late = client.clone();
    let late =
        tokio::spawn(async move { late.try_post("/messages", &json!({"message": 1, "id": "late"})).await });
    wait_until("a sync stands still", SOON, async || cluster.master.process.stands_in(&SYNC_CALLS)).await;
    flip(&segments(&cluster.directory("master"))[0], MESSAGE_BYTES / 2);
    let lookup = json!({"message": "other", "id": "old0", "w": 1});
    for told in [client.try_post("/messages", &lookup).await, late.await.unwrap()] {
        assert!(told.as_ref().map_or(true, |told| told.status == 503), "{told:?}");
    }
    let process = &mut cluster.master.process;
    wait_until("it has ended but for the call that stands still", SOON, async || process.has_ended()).await;
    let log = process.log();
    assert!(log.contains("ends without its disk") && log.contains("does not match"), "{log}");
    drop(faults);
    process.gives_up(SOON).await;
}
