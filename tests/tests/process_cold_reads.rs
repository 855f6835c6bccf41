//! Old parts of a log: they are read, and never in the thread in which a node does all else.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;

use replog_tests::harness::{
    Client, Cluster, Options, SOON,
    strace::{Watch, stall, watch},
    wait_until,
};
use serde_json::{Value, json};

/// What reads a log's files.
const READS: &str = "pread64";

/// Batches of the log, the messages of each and the bytes of each: more than a node has in memory.
const BATCHES: usize = 12;
const BATCH: usize = 20;
const MESSAGE_BYTES: usize = 48 * 1024;

fn batch(nth: usize) -> Value {
    let message = |at: usize| json!({"id": format!("id{nth}-{at}"), "message": "x".repeat(MESSAGE_BYTES)});
    json!({"messages": (0..BATCH).map(message).collect::<Vec<_>>(), "w": 2})
}

async fn fill(client: &Client) {
    for nth in 0..BATCHES {
        client.post("/messages/batch", batch(nth)).await.expect_ok(2);
    }
}

/// Nodes over a log of which most is not in memory, of which the second secondary has nothing.
async fn cluster() -> Cluster {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.secondary(2).process.stop().await;
    fs::remove_dir_all(cluster.directory("secondary2")).unwrap();
    fill(&cluster.client()).await;
    cluster
}

fn assert_read_by_others(watch: &Watch, cluster: &Cluster, name: &str) {
    let directory = cluster.directory(name).join("log");
    let (by_node, by_others) = watch.reads(&directory.canonicalize().unwrap());
    assert!(by_node.is_empty(), "{name} reads in its own thread: {by_node:#?}");
    assert!(by_others > 0, "{name} read nothing: the test proves nothing");
}

#[tokio::test]
async fn a_master_reads_no_old_entry_in_its_own_thread() {
    let mut cluster = cluster().await;
    let client = cluster.client();
    let watch = watch(&cluster.master.process).await;
    cluster.secondary(2).start().await;
    wait_until("the secondary has all", SOON * 3, async || {
        cluster.health_of(2).await["acked_through"] == BATCHES * BATCH
    })
    .await;
    let again = client.post("/messages/batch", batch(1)).await.expect_ok(2);
    assert_eq!((&again.body["duplicate"], &again.body["first_order"]), (&json!(true), &json!(BATCH)));
    let other = json!({"id": "id2-3", "message": "other", "w": 1});
    client.append(other).await.expect_problem(409, "conflict", false);
    let waits = client.get("/messages/7?w=3").await;
    assert_eq!(waits.status, 200, "{waits:?}");
    assert_read_by_others(&watch, &cluster, "master");
}

#[tokio::test]
async fn a_secondary_reads_no_page_of_a_takeover_in_its_own_thread() {
    let mut cluster = cluster().await;
    cluster.secondary(2).start().await;
    wait_until("the secondary has all", SOON * 3, async || {
        cluster.health_of(2).await["acked_through"] == BATCHES * BATCH
    })
    .await;
    cluster.master.process.kill();
    fs::remove_dir_all(cluster.directory("master")).unwrap();
    let first = watch(&cluster.secondary(1).process).await;
    let second = watch(&cluster.secondary(2).process).await;
    cluster.master.start().await;
    cluster.client().append(json!({"message": "after", "w": 3})).await.expect_ok(3);
    let reads = |watch: &Watch, name: &str| watch.reads(&cluster.directory(name).join("log"));
    let (first, second) = (reads(&first, "secondary1"), reads(&second, "secondary2"));
    assert!(first.0.is_empty() && second.0.is_empty(), "{first:#?} {second:#?}");
    assert!(first.1 + second.1 > 0, "nothing was read: the test proves nothing");
}

#[tokio::test]
async fn a_master_whose_reads_stand_still_answers_and_appends() {
    let mut cluster = cluster().await;
    let client = cluster.client();
    let faults = stall(&cluster.master.process, READS).await;
    cluster.secondary(2).process.start();
    wait_until("it has joined", SOON, async || cluster.health_of(2).await["status"] == "healthy").await;
    let old = json!({"id": "id2-3", "message": "other", "w": 1, "timeout_ms": 500});
    for _ in 0..10 {
        client.append(old.clone()).await.expect_problem(503, "overloaded", "unknown");
        assert_eq!(client.get("/livez").await.status, 200);
        assert!(client.health().await.is_object());
        client.append(json!({"message": "new", "w": 1})).await.expect_ok(1);
        client.append(json!({"message": "new", "w": 2})).await.expect_ok(2);
    }
    assert_eq!(cluster.health_of(2).await["acked_through"], 0, "the fault did not bite");
    drop(faults);
    client.append(old).await.expect_problem(409, "conflict", false);
    assert_eq!(cluster.equal_logs(SOON * 3).await.len(), BATCHES * BATCH + 20);
}
