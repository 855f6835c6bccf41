//! A disk that is full: who has it stops, nothing acknowledged is lost, and with room again all goes on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use replog_tests::harness::{
    Client, Cluster, Node, Options, SOON, disk::node_json, small_disk::SmallDisk, wait_until,
};
use serde_json::json;

/// Room for some segments of a small log.
const DISK_BYTES: usize = 2 * 1024 * 1024;

/// What the test takes away of it, and gives back.
const BALLAST_BYTES: usize = 1024 * 1024;

/// Bytes of one message: some tens of them fill the disk.
const MESSAGE_BYTES: usize = 16 * 1024;

/// No append is made behind this: the disk must have been full before.
const APPENDS_MAX: usize = 4 * DISK_BYTES / MESSAGE_BYTES;

/// A cluster of which one node has a small disk. All nodes run.
async fn with_small_disk(name: &str) -> (Cluster, SmallDisk) {
    let mut cluster = Cluster::idle(Options::on_disk()).await;
    let disk = SmallDisk::mount(cluster.directory(name), DISK_BYTES);
    for secondary in &mut cluster.secondaries {
        secondary.process.start();
    }
    cluster.master.start().await;
    cluster.all_healthy().await;
    (cluster, disk)
}

/// Appends until `is_full`, or an append is not answered by 200. Gives how many were.
async fn fill(client: &Client, w: usize, mut is_full: impl FnMut() -> bool) -> usize {
    for nth in 0..APPENDS_MAX {
        let body = json!({"message": "x".repeat(MESSAGE_BYTES), "id": format!("id{nth}"), "w": w});
        let answer = client.try_post("/messages", &body).await;
        if is_full() || !answer.is_ok_and(|answer| answer.status == 200) {
            return nth;
        }
    }
    panic!("the run is invalid: {APPENDS_MAX} appends did not fill the disk");
}

fn make_room<const N: usize>(files: [PathBuf; N]) {
    files.iter().for_each(|file| fs::remove_file(file).expect("what takes the room can be removed"));
}

async fn stops_as_the_disk_is_full(node: &mut Node) {
    node.process.gives_up(SOON).await;
    let log = node.process.log();
    assert!(log.contains("No space left on device"), "{log}");
}

#[tokio::test]
async fn a_master_whose_disk_is_full_stops_and_has_all_that_it_acknowledged() {
    let (mut cluster, disk) = with_small_disk("master").await;
    let ballast = disk.ballast(BALLAST_BYTES);
    let client = cluster.client();
    let mut acknowledged = fill(&client, 1, || false).await;
    stops_as_the_disk_is_full(&mut cluster.master).await;

    let filler = disk.fill();
    let said = cluster.master.process.log().len();
    cluster.master.process.start();
    // What was torn gives some room back: at times enough to open an epoch.
    let process = &mut cluster.master.process;
    wait_until("the master leads or has ended", SOON, async || {
        client.is_ready().await || !process.is_running()
    })
    .await;
    if cluster.master.process.is_running() {
        acknowledged = acknowledged.max(fill(&client, 1, || false).await);
    }
    cluster.master.process.gives_up(SOON).await;
    let log = cluster.master.process.log().split_off(said);
    assert!(log.contains("No space left on device"), "{log}");

    make_room([ballast, filler]);
    cluster.master.start().await;
    let log = client.entries().await.expect("the master shows its log");
    assert!(log.len() >= acknowledged, "{} of {acknowledged} entries are there", log.len());
    for nth in 0..=acknowledged {
        let body = json!({"message": "x".repeat(MESSAGE_BYTES), "id": format!("id{nth}"), "w": 3});
        assert_eq!(client.append(body).await.expect_ok(3).order(), nth as u64);
    }
    assert_eq!(cluster.equal_logs(SOON).await.len(), acknowledged + 1);
}

/// It was killed, so that what it was about to put into place is still there; then the disk fills up. It has lost
/// nothing, and what it holds needs no room.
#[tokio::test]
async fn a_secondary_starts_on_a_full_disk_and_serves_what_it_holds() {
    let (mut cluster, disk) = with_small_disk("secondary1").await;
    let client = cluster.client();
    client.append_range(0..10, 3).await;
    cluster.secondary(1).process.kill();
    let directory = cluster.directory("secondary1");
    let leftover = directory.join("log").join("1.tmp");
    for file in unfinished(&directory.join("log")) {
        fs::remove_file(file).expect("it can be removed");
    }
    fs::write(&leftover, "").expect("it takes no room");
    let before = node_json(&directory);
    let filler = disk.fill();
    cluster.secondary(1).start().await;
    let shown = cluster.reader(1).messages().await.expect("it serves what it holds");
    assert_eq!(shown.len(), 10);
    assert_eq!(node_json(&directory), before, "nothing was lost and nothing is claimed anew");
    assert!(!leftover.exists(), "what an earlier process left takes room");
    make_room([filler]);
    cluster.secondary(1).process.kill();
    cluster.secondary(1).start().await;
    client.append_range(10..12, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 12);
}

/// Files that are no part of the log yet.
fn unfinished(log: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(log).expect("there is a log").map(|file| file.expect("it can be listed").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "tmp")).collect()
}

#[tokio::test]
async fn a_secondary_whose_disk_is_full_stops_alone_and_catches_up_once_there_is_room() {
    let (mut cluster, disk) = with_small_disk("secondary1").await;
    let ballast = disk.ballast(BALLAST_BYTES);
    let client = cluster.client();
    let secondary = &mut cluster.secondary(1).process;
    let acknowledged = fill(&client, 2, || !secondary.is_running()).await + 1;
    stops_as_the_disk_is_full(cluster.secondary(1)).await;
    client.write("meanwhile", 2).await;
    assert_eq!(client.entries().await.expect("the master shows its log").len(), acknowledged + 1);

    make_room([ballast]);
    cluster.secondary(1).start().await;
    client.write("after", 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), acknowledged + 2);
}
