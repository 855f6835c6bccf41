//! The wire between a node and nats-server loses one direction, crawls, or breaks within a frame; in the end it heals,
//! and all logs are equal.

use std::time::Duration;

use replog_tests::harness::{
    Client, Cluster, Load, Options, Pace, SOON, add_logs,
    proxy::{Direction, Passage, Proxy},
    wait_until,
};
use serde_json::json;

/// A cluster whose wires can be cut.
fn wired() -> Options {
    Options { proxied: true, ..Options::on_disk() }
}

fn nodes(cluster: &Cluster) -> [(&'static str, Client); 3] {
    [("master", cluster.client()), ("secondary1", cluster.reader(1)), ("secondary2", cluster.reader(2))]
}

/// Lets clients work while `break_wires` does what it does; then everything must be as promised.
async fn no_promise_is_broken(break_wires: impl AsyncFnOnce(&Cluster, &Load)) {
    let cluster = Cluster::start(wired()).await;
    let nodes = nodes(&cluster);
    let load = Load::start(Pace::STEADY, &[cluster.client()], &nodes);
    load.goes_on(100).await;
    break_wires(&cluster, &load).await;
    cluster.all_healthy().await;
    let mut history = load.finish().await;
    cluster.equal_logs(SOON).await;
    add_logs(&mut history, &nodes).await;
    assert_eq!(history.violations(), []);
    assert_eq!(history.check_validity(400), Ok(()));
}

/// The master's wire, then one secondary's.
fn wires(cluster: &Cluster) -> [&Proxy; 2] {
    [cluster.master.wire(), cluster.secondaries[0].wire()]
}

/// Waits until the master misses secondary 1, or that one its master.
async fn misses_another(cluster: &Cluster) {
    wait_until("one node misses the other", SOON, async || {
        let misses_master = cluster.reader(1).health().await["status"] == "degraded";
        misses_master || cluster.health_of(1).await["status"] != "healthy"
    })
    .await;
}

#[tokio::test]
async fn a_wire_that_loses_one_direction_loses_nothing_of_the_log() {
    no_promise_is_broken(async |cluster, load| {
        for direction in [Direction::FromNode, Direction::ToNode] {
            for wire in wires(cluster) {
                wire.set(direction, Passage::Silent);
                misses_another(cluster).await;
                wire.heal();
                cluster.all_healthy().await;
                load.goes_on(60).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn connections_that_break_within_a_frame_neither_lose_nor_repeat_nor_reorder() {
    no_promise_is_broken(async |cluster, load| {
        for round in 0..24 {
            let direction = [Direction::FromNode, Direction::ToNode][round % 2];
            let wire = wires(cluster)[round / 2 % 2];
            wire.break_after(direction, fastrand::usize(1..6_000)).await;
            load.goes_on(fastrand::usize(1..20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn slow_wires_delay_and_lose_nothing() {
    no_promise_is_broken(async |cluster, load| {
        let slow = Passage::Delayed(Duration::from_millis(30));
        for wire in wires(cluster) {
            wire.set(Direction::FromNode, slow);
            wire.set(Direction::ToNode, slow);
            load.goes_on(200).await;
            wire.heal();
        }
    })
    .await;
}

/// What is lost on the way is not there, whatever it was: entries, acks, or all that one node says.
#[tokio::test]
async fn a_secondary_that_cannot_be_heard_is_not_counted_and_one_that_hears_nothing_holds_nothing() {
    let cluster = Cluster::start(wired()).await;
    let client = cluster.client();
    client.append_range(0..10, 3).await;
    for (direction, holds) in [(Direction::FromNode, true), (Direction::ToNode, false)] {
        let wire = cluster.secondaries[0].wire();
        wire.set(direction, Passage::Silent);
        let id = format!("{direction:?}");
        let append = tokio::spawn({
            let (client, body) = (client.clone(), json!({"message": id, "id": id, "w": 3}));
            async move { client.append(body).await }
        });
        client.write("meanwhile", 2).await;
        cluster.wait_for_status(1, "unhealthy").await;
        assert!(!append.is_finished(), "{direction:?}: an ack was counted that never came");
        let shown = cluster.reader(1).messages().await.expect("a secondary serves whatever its wire does");
        assert_eq!(shown.contains(&json!(id)), holds, "{direction:?}: {shown:?}");
        wire.heal();
        append.await.expect("a client does not panic").expect_ok(3);
        cluster.all_healthy().await;
    }
    assert_eq!(cluster.equal_logs(SOON).await.len(), 14);
}
