//! Logs on disk: what a restart finds, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use replog_tests::harness::{Cluster, Options, SOON, disk::quarantine};
use serde_json::json;

/// The segments of a node's log, in order.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Flips one bit in the middle of the first `within` bytes of a file.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0b100;
    fs::write(path, bytes).unwrap();
}

async fn append(cluster: &Cluster, ids: std::ops::Range<u64>, w: u64) {
    for id in ids {
        let body = json!({"message": format!("m{id}"), "id": format!("id{id}"), "w": w});
        let answer = cluster.client().post("/messages", body).await;
        assert_eq!((answer.status, answer.order()), (200, id));
    }
}

async fn stop(process: &mut replog_tests::harness::Process) {
    process.terminate();
    assert!(process.ended(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_all_nodes_were_killed_at_once() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster, 0..20, 3).await;
    append(&cluster, 20..40, 1).await;
    cluster.master.process.kill();
    cluster.secondary(1).process.kill();
    cluster.secondary(2).process.kill();
    cluster.master.start().await;
    let log = cluster.client().entries().await.unwrap();
    assert_eq!(log.len(), 40, "a master alone has all that it acknowledged");
    let again = json!({"message": "m7", "id": "id7", "w": 1});
    let answer = cluster.client().post("/messages", again).await;
    assert_eq!(
        (answer.order(), &answer.body["duplicate"], &answer.body["epoch"]),
        (7, &json!(true), &json!("1.1"))
    );
    cluster.secondary(1).process.start();
    cluster.secondary(2).process.start();
    append(&cluster, 40..41, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 41);
}

#[tokio::test]
async fn a_node_that_is_asked_to_stop_leaves_a_sound_log() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster, 0..50, 1).await;
    stop(&mut cluster.master.process).await;
    let node: serde_json::Value =
        serde_json::from_slice(&fs::read(cluster.directory("master").join("node.json")).unwrap()).unwrap();
    assert_eq!((&node["clean_stop"], &node["whole"]), (&json!(true), &json!(true)));
    cluster.master.start().await;
    assert_eq!(cluster.client().entries().await.unwrap().len(), 50);
}

#[tokio::test]
async fn a_master_with_a_damaged_log_refuses_to_start_and_names_the_place() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster, 0..50, 3).await;
    stop(&mut cluster.master.process).await;
    let segment = segments(&cluster.directory("master")).swap_remove(0);
    for at in [20, 70, 300, 1_500] {
        flip(&segment, at);
        cluster.master.process.start();
        assert_eq!(cluster.master.process.ended(SOON).await.code(), Some(1));
        let log = cluster.master.process.log();
        assert!(log.contains(&segment.display().to_string()) && log.contains("damaged at byte"), "{log}");
        flip(&segment, at);
    }
    cluster.master.start().await;
    assert_eq!(cluster.client().entries().await.unwrap().len(), 50);
}

#[tokio::test]
async fn a_secondary_with_a_damaged_log_quarantines_and_fetches_again() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster, 0..50, 3).await;
    stop(&mut cluster.secondary(1).process).await;
    let directory = cluster.directory("secondary1");
    flip(&segments(&directory)[0], 1_500);
    cluster.secondary(1).start().await;
    append(&cluster, 50..60, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 60);
    assert!(fs::read_dir(directory.join("quarantine")).unwrap().count() > 0);
    assert!(cluster.secondary(1).process.log().contains("went into quarantine"));
}

#[tokio::test]
async fn what_a_clean_gives_up_is_kept_on_no_node() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster, 0..50, 3).await;
    stop(&mut cluster.secondary(2).process).await;
    cluster.client().post("/clean", json!({"w": 2})).await.expect_ok(2);
    cluster.secondary(2).start().await;
    cluster.client().write("new", 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 1);
    for node in ["master", "secondary1", "secondary2"] {
        assert_eq!(quarantine(&cluster.directory(node)), "", "{node}");
        assert_eq!(
            segments(&cluster.directory(node)).iter().filter(|path| is_segment(path)).count(),
            1,
            "{node}"
        );
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

/// Takes the last bytes of a log away, more than the record at its end.
fn cut_short(directory: &Path) -> PathBuf {
    let last = segments(directory).pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() - 40]).unwrap();
    last
}

#[tokio::test]
async fn a_log_cut_short_after_a_clean_stop_is_damage_on_master_and_secondary() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster, 0..50, 3).await;
    stop(&mut cluster.secondary(1).process).await;
    cut_short(&cluster.directory("secondary1"));
    cluster.secondary(1).start().await;
    append(&cluster, 50..60, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 60);
    assert!(cluster.secondary(1).process.log().contains("went into quarantine"));

    stop(&mut cluster.master.process).await;
    let last = cut_short(&cluster.directory("master"));
    for _ in 0..2 {
        cluster.master.process.start();
        assert_eq!(cluster.master.process.ended(SOON).await.code(), Some(1));
        let log = cluster.master.process.log();
        assert!(log.contains(&last.display().to_string()) && log.contains("damaged at byte"), "{log}");
    }
}

#[tokio::test]
async fn a_wiped_secondary_gets_everything_again() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster, 0..50, 3).await;
    cluster.secondary(2).process.kill();
    fs::remove_dir_all(cluster.directory("secondary2")).unwrap();
    append(&cluster, 50..60, 2).await;
    cluster.secondary(2).start().await;
    append(&cluster, 60..61, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 61);
}

#[tokio::test]
async fn a_directory_is_one_nodes_and_one_processes() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster, 0..3, 3).await;
    let mut twin = cluster.node("secondary1", "replog-secondary", &[]);
    twin.process.start();
    assert_eq!(twin.process.ended(SOON).await.code(), Some(1));
    assert!(twin.process.log().contains("in use by another process"));
    stop(&mut cluster.secondary(1).process).await;
    stop(&mut cluster.secondary(2).process).await;
    let (one, two, aside) =
        (cluster.directory("secondary1"), cluster.directory("secondary2"), cluster.directory("aside"));
    fs::rename(&one, &aside).unwrap();
    fs::rename(&two, &one).unwrap();
    fs::rename(&aside, &two).unwrap();
    cluster.secondary(1).process.start();
    assert_eq!(cluster.secondary(1).process.ended(SOON).await.code(), Some(1));
    let log = cluster.secondary(1).process.log();
    assert!(log.contains("belongs to node secondary2, and this node is called secondary1"), "{log}");
}
