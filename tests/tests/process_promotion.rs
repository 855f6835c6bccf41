//! The master is lost, and a secondary takes its place.

use std::{fs, time::Duration};

use replog_tests::harness::{Client, Cluster, Node, Options, SOON, disk::quarantine, equal_logs, wait_until};
use serde_json::json;

async fn append(client: &Client, ids: std::ops::Range<u64>, w: u64) {
    for id in ids {
        let body = json!({"message": format!("m{id}"), "id": format!("id{id}"), "w": w});
        let answer = client.post("/messages", body).await;
        assert_eq!((answer.status, answer.order()), (200, id), "{answer:?}");
    }
}

/// A cluster whose master had acknowledged 0..20 at w = 3, 20..30 at w = 2, and 30..35 at w = 1 while nobody else
/// was there; then it was killed.
async fn bereft() -> Cluster {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster.client(), 0..20, 3).await;
    append(&cluster.client(), 20..30, 2).await;
    cluster.equal_logs(SOON).await;
    cluster.secondary(1).process.kill();
    cluster.secondary(2).process.kill();
    append(&cluster.client(), 30..35, 1).await;
    cluster.master.process.kill();
    cluster.secondary(1).start().await;
    cluster.secondary(2).start().await;
    cluster
}

/// Secondary 1, started as the master.
async fn promoted(cluster: &mut Cluster, reach: &str) -> Node {
    let secondary = &mut cluster.secondary(1).process;
    secondary.terminate();
    assert!(secondary.ended(Duration::from_secs(10)).await.success());
    let args = ["--secondaries", "master,secondary2", "--promote", "--reach", reach];
    let mut node = cluster.node("secondary1", "replog-master", &args);
    node.process.start();
    node
}

async fn leads(node: &Node) {
    wait_until("the promoted node leads", SOON, async || node.client.is_ready().await).await;
}

#[tokio::test]
async fn what_w2_had_acknowledged_survives_the_loss_of_the_masters_disk() {
    let mut cluster = bereft().await;
    fs::remove_dir_all(cluster.directory("master")).unwrap();
    let node = promoted(&mut cluster, "2").await;
    leads(&node).await;
    let kept = node.client.entries().await.unwrap();
    assert_eq!(kept.len(), 30, "what was acknowledged at w = 2 and above, and no more");
    assert!((0..30).all(|id| kept[id].id == format!("id{id}")));
    append(&node.client, 30..35, 2).await;
    let mut old = cluster.node("master", "replog-secondary", &[]);
    old.start().await;
    append(&node.client, 35..36, 3).await;
    let others = [old.client.clone(), cluster.reader(2)];
    equal_logs(&node.client, &others, SOON).await;
}

#[tokio::test]
async fn a_promotion_that_reaches_too_few_changes_nothing() {
    let mut cluster = bereft().await;
    cluster.secondary(2).process.kill();
    let before = fs::read(cluster.directory("secondary2").join("node.json")).unwrap();
    let mut node = promoted(&mut cluster, "2").await;
    assert_eq!(node.process.ended(SOON).await.code(), Some(1));
    let log = node.process.log();
    assert!(log.contains("reaches 1 whole nodes of the 2") && log.contains("secondary2"), "{log}");
    assert_eq!(fs::read(cluster.directory("secondary2").join("node.json")).unwrap(), before);
    cluster.master.start().await;
    cluster.secondary(1).process.start();
    cluster.secondary(2).process.start();
    append(&cluster.client(), 35..36, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 36, "the old master goes on with everything");
}

#[tokio::test]
async fn the_old_master_is_fenced_and_as_a_secondary_keeps_what_it_must_give_up_in_quarantine() {
    let mut cluster = bereft().await;
    let node = promoted(&mut cluster, "2").await;
    leads(&node).await;
    append(&node.client, 30..33, 2).await;
    cluster.master.process.start();
    wait_until("the old master knows that it is superseded", SOON, async || {
        cluster.client().try_get("/health").await.is_ok_and(|health| health.body["status"] == "fenced")
    })
    .await;
    let refused = cluster.client().post("/messages", json!({"message": "late", "w": 1})).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("fenced")));
    assert_eq!(refused.body["master"], "secondary1");
    cluster.master.process.terminate();
    assert!(cluster.master.process.ended(Duration::from_secs(10)).await.success());
    let mut old = cluster.node("master", "replog-secondary", &[]);
    old.start().await;
    append(&node.client, 33..34, 3).await;
    let log = equal_logs(&node.client, &[old.client.clone(), cluster.reader(2)], SOON).await;
    assert_eq!(log.len(), 34);
    let kept = quarantine(&cluster.directory("master"));
    assert!((30..35).all(|id| kept.contains(&format!("\"m{id}\""))), "{kept}");
    let mut again = cluster.node("master", "replog-master", &["--secondaries", "secondary1,secondary2"]);
    old.process.kill();
    again.process.start();
    assert_eq!(again.process.ended(SOON).await.code(), Some(1));
    assert!(again.process.log().contains("secondary1 reigns over this node's log"));
}

#[tokio::test]
async fn a_running_master_hears_of_the_promotion_and_is_fenced() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster.client(), 0..10, 3).await;
    cluster.master.process.pause();
    let node = promoted(&mut cluster, "2").await;
    leads(&node).await;
    append(&node.client, 10..12, 2).await;
    cluster.master.process.resume();
    wait_until("the old master knows that it is superseded", SOON, async || {
        cluster.client().try_get("/health").await.is_ok_and(|health| health.body["status"] == "fenced")
    })
    .await;
    assert_eq!(cluster.client().entries().await.unwrap().len(), 10, "it still shows what it has");
    let refused = cluster.client().post("/messages", json!({"message": "late", "w": 1})).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("fenced")));
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_kept_and_changes_nothing() {
    let mut cluster = bereft().await;
    cluster.secondary(1).process.terminate();
    assert!(cluster.secondary(1).process.ended(Duration::from_secs(10)).await.success());
    let facts = |name: &str| fs::read(cluster.directory(name).join("node.json")).unwrap();
    let before = facts("secondary2");
    let args = ["--secondaries", "master,secondary2", "--promote", "--dry-run", "--reach", "2"];
    let mut node = cluster.node("secondary1", "replog-master", &args);
    node.process.start();
    assert_eq!(node.process.ended(SOON).await.code(), Some(0));
    let log = node.process.log();
    for words in ["master: no answer", "keeps every entry acknowledged at w >= 2", "nothing was changed"] {
        assert!(log.contains(words), "{words} in {log}");
    }
    assert_eq!(facts("secondary2"), before);
}
