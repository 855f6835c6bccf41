//! A master that is started over an old copy of its directory.

use std::{fs, path::Path, process::Command, time::Duration};

use replog_tests::harness::{Cluster, Node, Options, SOON, disk::quarantine, equal_logs, wait_until};
use serde_json::{Value, json};

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp runs").success());
}

async fn stopped(node: &mut Node) {
    node.process.terminate();
    assert!(node.process.ended(Duration::from_secs(10)).await.success());
}

/// A master of the same name and directory, with further flags.
fn master(cluster: &Cluster, more: &[&str]) -> Node {
    let args = [&["--secondaries", "secondary1,secondary2"], more].concat();
    cluster.node("master", "replog-master", &args)
}

/// 0..10 stand in the copy; 10..20 were acknowledged by all, in the epoch after. The copy was put in place of the
/// directory. Nothing runs.
async fn restored() -> Cluster {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..10, 3).await;
    stopped(&mut cluster.master).await;
    let (directory, kept) = (cluster.directory("master"), cluster.directory("copy"));
    copy(&directory, &kept);
    cluster.master.start().await;
    cluster.client().append_range(10..20, 3).await;
    for nth in [1, 2] {
        stopped(cluster.secondary(nth)).await;
    }
    stopped(&mut cluster.master).await;
    fs::remove_dir_all(&directory).expect("the directory can be removed");
    copy(&kept, &directory);
    cluster
}

async fn reason(node: &Node) -> String {
    let health = node.client.health().await;
    health["reason"].as_str().unwrap_or_default().to_owned()
}

/// What a program that has given up said last.
async fn last_words(node: &mut Node) -> String {
    let said = node.process.log().len();
    node.process.start();
    node.process.gives_up(SOON).await;
    node.process.log()[said..].to_owned()
}

async fn has_status(node: &Node, status: &str) {
    let what = format!("the master is {status}");
    wait_until(&what, SOON, async || node.client.health().await["status"] == status).await;
}

#[tokio::test]
async fn an_old_copy_that_finds_the_others_takes_over_what_it_lacks() {
    let mut cluster = restored().await;
    for nth in [1, 2] {
        cluster.secondary(nth).start().await;
    }
    cluster.master.start().await;
    cluster.client().append_range(20..25, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 25);
}

#[tokio::test]
async fn an_old_copy_that_led_alone_stops_in_words_and_recover_gives_it_up() {
    let mut cluster = restored().await;
    let mut copy = master(&cluster, &["--recovery-wait-ms", "50"]);
    copy.start().await;
    copy.client.append_range(10..13, 1).await;
    cluster.secondary(1).start().await;
    has_status(&copy, "diverged").await;
    let refused = copy.client.post("/messages", json!({"message": "late", "w": 1})).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("diverged")), "{refused:?}");
    assert_eq!(refused.body["secondary"], "secondary1");
    assert!(refused.body["detail"].to_string().contains("--recover"), "{refused:?}");
    stopped(&mut copy).await;

    cluster.secondary(2).start().await;
    let fences = |cluster: &Cluster| ["secondary1", "secondary2"].map(|name| fence(&cluster.directory(name)));
    let before = fences(&cluster);
    let mut again = master(&cluster, &[]);
    again.process.start();
    wait_until("it says that an operator must decide", SOON, async || {
        reason(&again).await.contains("an operator must decide")
    })
    .await;
    assert!(reason(&again).await.contains("--recover"));
    assert_eq!(fences(&cluster), before, "nobody is fenced for what cannot be");
    stopped(&mut again).await;

    let mut given_up = master(&cluster, &["--recover"]);
    given_up.start().await;
    given_up.client.append_range(20..25, 3).await;
    let others = [cluster.reader(1), cluster.reader(2)];
    assert_eq!(equal_logs(&given_up.client, &others, SOON).await.len(), 25);
    stopped(&mut given_up).await;
    let refused = last_words(&mut given_up).await;
    assert!(refused.contains("start it without --recover"), "a flag that was left where it was: {refused}");
    let mut without = master(&cluster, &[]);
    without.start().await;
    let kept = quarantine(&cluster.directory("master"));
    assert!((10..13).all(|id| kept.contains(&format!("\"m{id}\""))), "{kept}");
}

fn fence(directory: &Path) -> Value {
    let facts = fs::read(directory.join("node.json")).expect("a node has its facts");
    serde_json::from_slice::<Value>(&facts).expect("which are JSON")["fence"].clone()
}

#[tokio::test]
async fn a_second_process_over_a_copy_never_leads_beside_the_living_one() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..10, 3).await;
    copy(&cluster.directory("master"), &cluster.directory("copy"));
    cluster.client().append_range(10..20, 1).await;
    let flags = ["--secondaries", "secondary1,secondary2", "--recovery-wait-ms", "50"];
    let mut double = cluster.twin("master", "copy", "replog-master", &flags);
    double.process.start();
    wait_until("it says that the other one lives", SOON, async || {
        double.process.is_running() && reason(&double).await.contains("another process of master")
    })
    .await;
    // Several waits of its start pass while the living one works.
    cluster.client().append_range(20..60, 3).await;
    assert!(!double.client.is_ready().await && !double.process.log().contains("this node leads"));
    assert_eq!(cluster.client().health().await["status"], "ok");
    assert!(!cluster.master.process.log().contains("holds entries or an epoch"));
    cluster.master.process.kill();
    let what = "it takes over what the secondaries hold once the other one is gone";
    wait_until(what, SOON, async || double.client.is_ready().await).await;
    double.client.append_range(60..65, 3).await;
    let others = [cluster.reader(1), cluster.reader(2)];
    assert_eq!(equal_logs(&double.client, &others, SOON).await.len(), 65);
}

#[tokio::test]
async fn a_flag_for_one_start_is_refused_in_words_where_it_has_nothing_to_do() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..10, 3).await;
    stopped(&mut cluster.master).await;
    for flags in [&["--recover"][..], &["--reach", "1"], &["--recover", "--reach", "1"]] {
        let refused = last_words(&mut master(&cluster, flags)).await;
        let advice = format!("start it without {}", flags[0]);
        assert!(refused.contains(&advice) && refused.contains("nothing was changed"), "{flags:?}: {refused}");
    }
    cluster.master.start().await;
    cluster.client().append_range(10..20, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 20);
}

/// A wait below the round trips of this machine, or of none at all.
#[tokio::test]
async fn an_empty_master_that_waits_for_nobody_begins_no_log_beside_those_who_hold_one() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..10, 3).await;
    for wait in ["0", "1", "50"] {
        stopped(&mut cluster.master).await;
        fs::remove_dir_all(cluster.directory("master")).expect("the directory can be removed");
        cluster.master = master(&cluster, &["--recovery-wait-ms", wait]);
        cluster.master.start().await;
        assert_eq!(cluster.equal_logs(SOON).await.len(), 10, "after a wait of {wait} ms");
    }
}
