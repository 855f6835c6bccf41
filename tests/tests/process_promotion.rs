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
async fn a_writer_that_a_promotion_interrupts_sends_again_to_the_new_master() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster.client(), 0..3, 3).await;
    cluster.reader(1).set_faults(json!({"drop_rate": 1.0})).await;
    let client = cluster.client();
    let writer = tokio::spawn(async move { client.append(json!({"message": "waits", "w": 3})).await });
    let pending = async || cluster.client().health().await["pending_writes"] == 1;
    wait_until("the write waits", SOON, pending).await;
    cluster.master.process.pause();
    let node = promoted(&mut cluster, "2").await;
    leads(&node).await;
    cluster.master.process.resume();
    let told = writer.await.unwrap();
    told.expect_problem(503, "fenced", "unknown");
    let detail = told.body["detail"].as_str().unwrap();
    assert!(detail.contains("Send it again with the same id to the node that leads"), "{detail}");
    let again = json!({"message": "waits", "id": told.body["message_id"], "w": 2});
    assert_eq!(node.client.append(again.clone()).await.status, 200);
    assert_eq!(node.client.append(again).await.body["duplicate"], true);
    let shown = node.client.messages().await.unwrap();
    assert_eq!(shown.iter().filter(|message| **message == json!("waits")).count(), 1);
}

/// G10: what a promotion gave up is not answered by what has its order now.
#[tokio::test]
async fn a_write_that_the_promotion_gave_up_is_told_from_what_has_its_order_now() {
    let mut cluster = bereft().await;
    let node = promoted(&mut cluster, "2").await;
    leads(&node).await;
    let written = node.client.append(json!({"message": "another", "id": "another", "w": 2})).await;
    assert_eq!((written.status, written.order()), (200, 30));
    let mut old = cluster.node("master", "replog-secondary", &[]);
    old.start().await;
    append(&node.client, 31..33, 3).await;
    for reader in [&node.client, &cluster.reader(2), &old.client] {
        let seen = async |order: u64, epoch: &str| {
            reader
                .get(&format!(
                    "/full_messages?from={order}&limit=1&min_order={order}&{epoch}&timeout_ms=20000"
                ))
                .await
        };
        for epoch in ["epoch=1.0&epoch_owner=master", "epoch=1.0"] {
            seen(30, epoch).await.expect_problem(409, "other_history", false);
            let kept = seen(29, epoch).await;
            assert_eq!(kept.body["messages"][0]["id"], "id29", "{kept:?}");
        }
        seen(31, "epoch=2.0&epoch_owner=master").await.expect_problem(409, "other_history", false);
        let shown = seen(30, "epoch=2.0&epoch_owner=secondary1").await;
        assert_eq!(shown.body["messages"][0]["id"], "another", "{shown:?}");
    }
    // The step that it names: what must not be lost is sent again with its id.
    append(&node.client, 33..34, 1).await;
    let again = node.client.append(json!({"message": "m30", "id": "id30", "w": 1})).await;
    assert_eq!((again.status, &again.body["duplicate"]), (200, &json!(false)), "{again:?}");
}

#[tokio::test]
async fn a_clean_is_told_to_who_wants_to_read_what_was_written_before_it() {
    let cluster = Cluster::start(Options::on_disk()).await;
    append(&cluster.client(), 0..3, 3).await;
    assert_eq!(cluster.client().post("/clean", json!({"w": 3})).await.status, 200);
    append(&cluster.client(), 0..3, 3).await;
    for client in [cluster.client(), cluster.reader(1), cluster.reader(2)] {
        let path = "/messages?min_order=2&epoch=1.0&timeout_ms=20000";
        client.get(path).await.expect_problem(409, "other_history", false);
        assert_eq!(client.get("/messages?min_order=2&epoch=1.1").await.status, 200);
        for wrong in [
            "epoch=1.0",
            "min_order=2&epoch=1",
            "min_order=2&epoch_owner=master",
            "min_order=2&epoch=1.0&epoch_owner=%20",
        ] {
            client.get(&format!("/messages?{wrong}")).await.expect_problem(400, "invalid_parameter", false);
        }
    }
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
