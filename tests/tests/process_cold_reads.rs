//! Old parts of a log: they are read, and never in the thread in which a node does all else.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;

use replog_tests::harness::{
    Client, Cluster, Node, Options, SOON,
    disk::{Segment, flip, segments},
    equal_logs,
    proxy::{Direction, Passage},
    strace::{Watch, stall, watch},
    wait_until,
};
use serde_json::{Value, json};

/// What reads a log's files.
const READS: &str = "pread64";

/// The numbers of syncs on x86-64, and on 64-bit ARM.
const SYNC_CALLS: [&str; 4] = ["74", "75", "82", "83"];

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

/// Batches of each of two logs after their fork: more than a node has in memory.
const PARTED: usize = 6;

/// A promoted master, secondary 1; and the master before it, as a secondary that has opened its log and hears nobody. Their
/// logs part after the first batch, and the fork is far back in both.
async fn parted() -> (Cluster, Node, Node) {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let post = async |client: &Client, nth: usize, w: usize| {
        let body = json!({"messages": batch(nth)["messages"], "w": w});
        let answer = client.post("/messages/batch", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    post(&cluster.client(), 0, 3).await;
    cluster.equal_logs(SOON).await;
    for secondary in &mut cluster.secondaries {
        secondary.process.stop().await;
    }
    for nth in 1..=PARTED {
        post(&cluster.client(), nth, 1).await;
    }
    cluster.master.process.kill();
    cluster.secondary(2).start().await;
    let args = ["--secondaries", "master,secondary2", "--promote", "--reach", "2"];
    let mut promoted = cluster.node("secondary1", "replog-master", &args);
    promoted.start().await;
    for nth in 1..=PARTED {
        post(&promoted.client, PARTED + nth, 2).await;
    }
    promoted.process.pause();
    let mut old = cluster.node("master", "replog-secondary", &[]);
    old.process.start();
    wait_until("it has opened its log", SOON, async || old.client.try_get("/health").await.is_ok()).await;
    (cluster, promoted, old)
}

#[tokio::test]
async fn a_fork_far_back_is_looked_at_by_neither_node_in_its_own_thread() {
    let (cluster, promoted, old) = parted().await;
    let watches = [watch(&promoted.process).await, watch(&old.process).await];
    promoted.process.resume();
    let others = [old.client.clone(), cluster.reader(2)];
    let log = equal_logs(&promoted.client, &others, SOON * 3).await;
    assert_eq!(log.len(), (1 + PARTED) * BATCH);
    for (watch, name) in watches.iter().zip(["secondary1", "master"]) {
        assert_read_by_others(watch, &cluster, name);
    }
}

/// An append is on its way to the disk when a master is heard whose log parts from this node's far back, where that is damaged.
#[tokio::test]
async fn a_secondary_that_fails_while_its_disk_stands_still_ends_all_the_same() {
    let mut cluster = Cluster::start(Options { proxied: true, ..Options::on_disk() }).await;
    let client = cluster.client();
    client.post("/messages/batch", batch(0)).await.expect_ok(2);
    cluster.equal_logs(SOON).await;
    cluster.secondary(1).process.stop().await;
    for nth in 1..=PARTED {
        client.post("/messages/batch", batch(nth)).await.expect_ok(2);
    }
    let faults = stall(&cluster.secondary(2).process, "fsync,fdatasync").await;
    client.append(json!({"message": "late", "w": 1})).await.expect_ok(1);
    let process = &cluster.secondary(2).process;
    wait_until("a sync stands still", SOON, async || process.stands_in(&SYNC_CALLS)).await;
    // A promise would have to be saved, and nothing is said behind that.
    for direction in [Direction::FromNode, Direction::ToNode] {
        cluster.secondary(2).wire().set(direction, Passage::Silent);
    }
    cluster.master.process.kill();
    let args = ["--secondaries", "master,secondary2", "--promote", "--reach", "1"];
    let mut promoted = cluster.node("secondary1", "replog-master", &args);
    promoted.start().await;
    let log = segments(&cluster.directory("secondary2")).into_iter().map(Segment::read);
    let mut lines =
        log.flat_map(|segment| segment.frames.into_iter().map(move |frame| (segment.path.clone(), frame)));
    // Behind the mark and all others of the batch that both logs have.
    let (path, last_in_common) = lines.nth(BATCH).unwrap();
    flip(&path, last_in_common.start + MESSAGE_BYTES / 2);
    cluster.secondary(2).wire().heal();
    let process = &mut cluster.secondary(2).process;
    wait_until("it has ended but for the call that stands still", SOON, async || process.has_ended()).await;
    let log = process.log();
    assert!(log.contains("ends without its disk") && log.contains("does not match"), "{log}");
    drop(faults);
    process.gives_up(SOON).await;
}
