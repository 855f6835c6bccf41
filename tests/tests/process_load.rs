//! Load from several clients while nodes and the broker die, and the whole history checked afterwards.

use replog_tests::harness::{Cluster, Load, Options, Pace, SOON, add_logs};
use serde_json::json;

/// The run must have seen each fault this often at least.
const FAULT_ROUNDS: usize = 3;

/// Kills a secondary and the broker, and lets the other secondary hang, until the clients are done.
async fn break_things(cluster: &mut Cluster, load: &Load) -> usize {
    let mut rounds = 0;
    while load.is_busy() {
        cluster.secondary(1).process.kill();
        cluster.wait_for_missing(1).await;
        cluster.secondary(1).start().await;
        cluster.nats.kill();
        cluster.wait_for_missing(2).await;
        cluster.start_nats().await;
        cluster.secondary(2).process.pause();
        cluster.wait_for_missing(2).await;
        cluster.secondary(2).process.resume();
        cluster.wait_for_status(1, "healthy").await;
        cluster.wait_for_status(2, "healthy").await;
        rounds += 1;
    }
    rounds
}

/// Kills every node and the broker, one after the other and then all at once, until the clients are done.
async fn kill_everything(cluster: &mut Cluster, load: &Load) -> usize {
    let mut rounds = 0;
    while load.is_busy() {
        cluster.master.process.kill();
        cluster.master.start().await;
        for number in [1, 2] {
            cluster.secondary(number).process.kill();
            cluster.secondary(number).start().await;
        }
        cluster.nats.kill();
        cluster.master.process.kill();
        cluster.secondary(1).process.kill();
        cluster.secondary(2).process.kill();
        cluster.start_nats().await;
        cluster.secondary(1).process.start();
        cluster.secondary(2).process.start();
        cluster.master.start().await;
        cluster.all_healthy().await;
        rounds += 1;
    }
    rounds
}

#[tokio::test]
async fn under_load_and_faults_no_promise_is_broken() {
    let cluster = Cluster::running().await;
    cluster.reader(2).set_faults(json!({"drop_rate": 0.1, "error_rate": 0.1, "delay_ms": 2})).await;
    no_promise_is_broken(cluster, break_things).await;
}

#[tokio::test]
async fn with_disks_no_promise_is_broken_whatever_is_killed() {
    let cluster = Cluster::start(Options::on_disk()).await;
    no_promise_is_broken(cluster, kill_everything).await;
}

async fn no_promise_is_broken(mut cluster: Cluster, faults: impl AsyncFnOnce(&mut Cluster, &Load) -> usize) {
    let nodes =
        [("master", cluster.client()), ("secondary1", cluster.reader(1)), ("secondary2", cluster.reader(2))];
    let load = Load::start(Pace::BRISK, &[cluster.client()], &nodes);
    let rounds = faults(&mut cluster, &load).await;
    let mut history = load.finish().await;
    cluster.equal_logs(SOON).await;
    add_logs(&mut history, &nodes).await;
    assert_eq!(history.violations(), []);
    assert_eq!(history.check_validity(1_000), Ok(()));
    assert!(rounds >= FAULT_ROUNDS, "the run is invalid: only {rounds} rounds of faults");
    assert!(history.reads.len() >= 50, "the run is invalid: only {} reads", history.reads.len());
}
