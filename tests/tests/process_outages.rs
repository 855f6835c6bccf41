//! Nodes and the broker die, hang and come back: nothing acknowledged is lost, nobody else is blocked.

use std::time::{Duration, Instant};

use replog_tests::harness::{Client, Cluster, Entry, Options, SOON, wait_until};
use serde_json::json;

/// Appends `count` messages at `w`, each named after `what`.
async fn write_many(client: &Client, what: &str, count: usize, w: usize) {
    for nth in 0..count {
        client.write(&format!("{what} {nth}"), w).await;
    }
}

/// Checks that the log is dense and holds exactly this many different ids.
fn assert_sound(log: &[Entry], count: usize) {
    let orders: Vec<u64> = log.iter().map(|entry| entry.order).collect();
    assert_eq!(orders, (0..count as u64).collect::<Vec<_>>());
    let ids: std::collections::BTreeSet<&str> = log.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids.len(), count, "an id has two places");
}

/// Starts an append that cannot be answered now, and waits until the master shows it.
async fn blocked_write(client: &Client, message: &'static str, w: usize) -> tokio::task::JoinHandle<()> {
    let writer = client.clone();
    let task = tokio::spawn(async move {
        writer.write(message, w).await;
    });
    let shown = async || client.messages().await.is_some_and(|messages| messages.contains(&json!(message)));
    wait_until("the master shows a blocked write", SOON, shown).await;
    task
}

#[tokio::test]
async fn a_killed_secondary_blocks_only_what_needs_it_and_catches_up() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    write_many(&client, "before", 20, 3).await;
    cluster.secondary(1).process.kill();
    let blocked = blocked_write(&client, "needs all", 3).await;
    write_many(&client, "meanwhile", 20, 2).await;
    assert!(!blocked.is_finished());
    cluster.wait_for_status(1, "unhealthy").await;

    cluster.secondary(1).start().await;
    blocked.await.expect("the blocked write is answered");
    assert_sound(&cluster.equal_logs(SOON).await, 41);
    cluster.all_healthy().await;
}

#[tokio::test]
async fn both_secondaries_killed_and_restarted_empty_get_everything() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    write_many(&client, "before", 50, 3).await;
    for number in [1, 2] {
        cluster.secondary(number).process.kill();
    }
    write_many(&client, "meanwhile", 50, 1).await;
    for number in [1, 2] {
        cluster.secondary(number).start().await;
    }
    client.write("after", 3).await;
    assert_sound(&cluster.equal_logs(SOON).await, 101);
}

#[tokio::test]
async fn without_nats_w1_goes_on_and_everything_arrives_when_it_is_back() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    write_many(&client, "before", 20, 3).await;
    cluster.nats.kill();
    let started = Instant::now();
    write_many(&client, "meanwhile", 50, 1).await;
    assert!(started.elapsed() < Duration::from_secs(5), "w=1 took {:?} without NATS", started.elapsed());
    let blocked = blocked_write(&client, "needs another", 2).await;
    wait_until("the master notices", SOON, async || !client.is_ready().await).await;
    assert_eq!(client.health().await["status"], "degraded");
    assert!(!blocked.is_finished());

    cluster.start_nats().await;
    blocked.await.expect("the blocked write is answered");
    client.write("after", 3).await;
    assert_sound(&cluster.equal_logs(SOON).await, 72);
    cluster.all_healthy().await;
}

#[tokio::test]
async fn a_nats_server_that_comes_and_goes_costs_nothing() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    for round in 0..4 {
        let blocked = {
            let client = client.clone();
            tokio::spawn(async move { write_many(&client, &format!("round {round}"), 20, 3).await })
        };
        cluster.nats.kill();
        cluster.start_nats().await;
        blocked.await.expect("all writes are answered");
    }
    assert_sound(&cluster.equal_logs(SOON).await, 80);
}

#[tokio::test]
async fn a_paused_secondary_is_suspected_then_unhealthy_and_blocks_only_what_needs_it() {
    // Suspected lasts 8 heartbeats: 4 s, so that a busy machine cannot look past it.
    let heartbeat_interval = Duration::from_millis(500);
    let mut cluster = Cluster::start(Options { heartbeat_interval, ..Options::default() }).await;
    let client = cluster.client();
    client.write("before", 3).await;
    cluster.secondary(2).process.pause();
    cluster.wait_for_status(2, "suspected").await;
    let blocked = blocked_write(&client, "needs all", 3).await;
    write_many(&client, "meanwhile", 20, 2).await;
    cluster.wait_for_status(2, "unhealthy").await;
    assert_eq!(client.health().await["status"], "degraded");
    assert!(!blocked.is_finished());

    cluster.secondary(2).process.resume();
    blocked.await.expect("the blocked write is answered");
    assert_sound(&cluster.equal_logs(SOON).await, 22);
    cluster.all_healthy().await;
}

#[tokio::test]
async fn a_nats_server_that_hangs_blocks_only_what_needs_it() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    client.write("before", 3).await;
    cluster.nats.pause();
    let blocked = blocked_write(&client, "needs another", 2).await;
    write_many(&client, "meanwhile", 50, 1).await;
    cluster.wait_for_status(1, "unhealthy").await;
    cluster.wait_for_status(2, "unhealthy").await;
    assert!(!blocked.is_finished());

    cluster.nats.resume();
    blocked.await.expect("the blocked write is answered");
    assert_sound(&cluster.equal_logs(SOON).await, 52);
    // Only now is it known that a nats-server which hung can also be killed.
    cluster.nats.kill();
    cluster.start_nats().await;
    client.write("after", 3).await;
}

#[tokio::test]
async fn a_master_that_waits_for_a_secondary_refuses_appends_and_says_what_it_waits_for() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    client.write("before", 3).await;
    cluster.secondary(2).process.kill();
    cluster.master.process.kill();
    cluster.master.process.start();
    let recovers = async || client.health().await["status"] == "recovering";
    wait_until("the master recovers", SOON, recovers).await;
    let answer = client.append(json!({"message": "too early", "w": 1})).await;
    answer.expect_problem(503, "recovering", false);
    assert_eq!(answer.retry_after.as_deref(), Some("1"));
    assert!(
        client.health().await["reason"].as_str().is_some_and(|reason| reason.contains("does not lead yet"))
    );
    client.get("/readyz").await.expect_problem(503, "not_ready", false);
}

#[tokio::test]
async fn a_restarted_master_adopts_the_log_that_its_secondaries_hold() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    write_many(&client, "acknowledged", 200, 3).await;
    let before = cluster.equal_logs(SOON).await;
    let old = client.health().await;
    cluster.master.process.kill();
    for reader in [cluster.reader(1), cluster.reader(2)] {
        assert_eq!(reader.entries().await.expect("a secondary serves without its master"), before);
    }

    cluster.master.start().await;
    let new = client.health().await;
    assert_eq!(new["log_id"], old["log_id"], "the log is another one");
    assert_ne!(new["epoch"], old["epoch"], "a new rule opens a new epoch");
    assert_eq!(client.entries().await.expect("the master serves"), before);
    assert_eq!(client.write("after", 3).await.order(), 200);
    let again = client.append(json!({"message": "acknowledged 7", "id": before[7].id, "w": 3})).await;
    assert_eq!(
        (again.status, again.body["order"].clone(), again.body["duplicate"].clone()),
        (200, json!(7), json!(true))
    );
    assert_sound(&cluster.equal_logs(SOON).await, 201);
}

#[tokio::test]
async fn a_master_restarted_again_and_again_loses_nothing() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    for round in 0..4 {
        write_many(&client, &format!("round {round}"), 10, 3).await;
        cluster.master.process.kill();
        cluster.master.start().await;
    }
    write_many(&client, "last", 1, 3).await;
    assert_sound(&cluster.equal_logs(SOON).await, 41);
}

#[tokio::test]
async fn a_master_that_hung_goes_on_where_it_was() {
    let cluster = Cluster::running().await;
    let client = cluster.client();
    write_many(&client, "before", 10, 3).await;
    cluster.master.process.pause();
    let reader = cluster.reader(1);
    wait_until("a secondary misses its master", SOON, async || reader.health().await["status"] == "degraded")
        .await;
    cluster.master.process.resume();
    write_many(&client, "after", 10, 3).await;
    assert_sound(&cluster.equal_logs(SOON).await, 20);
}

#[tokio::test]
async fn a_master_asked_to_stop_tells_its_blocked_writers_and_ends() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    client.write("first", 3).await;
    cluster.secondary(1).process.kill();
    let writers: Vec<_> = (0..8)
        .map(|nth| {
            let client = client.clone();
            tokio::spawn(
                async move { client.append(json!({"message": format!("blocked {nth}"), "w": 3})).await },
            )
        })
        .collect();
    let pending = async || client.health().await["pending_writes"] == 8;
    wait_until("all of them wait", SOON, pending).await;

    cluster.master.process.terminate();
    let mut orders = Vec::new();
    for writer in writers {
        let answer = writer.await.expect("the client does not panic");
        answer.expect_problem(503, "stopping", true);
        assert!(answer.retry_after.is_some(), "{answer:?}");
        orders.push(answer.order());
    }
    orders.sort_unstable();
    assert_eq!(orders, (1..=8).collect::<Vec<_>>());
    let status = cluster.master.process.ended(Duration::from_secs(10)).await;
    assert!(status.success(), "the master ended with {status}");
}

#[tokio::test]
async fn a_secondary_asked_to_stop_ends() {
    let mut cluster = Cluster::running().await;
    cluster.client().write("first", 3).await;
    cluster.secondary(1).process.terminate();
    let status = cluster.secondary(1).process.ended(Duration::from_secs(10)).await;
    assert!(status.success(), "the secondary ended with {status}");
    cluster.secondary(1).start().await;
    assert_sound(&cluster.equal_logs(SOON).await, 1);
}
