//! The cases that have broken other systems: who is paused, who comes back too late, and two of one name.

use std::fs;

use replog_tests::harness::{
    Client, Cluster, Entry, Load, Node, Options, Pace, SOON, add_logs, equal_logs, wait_until,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Appends one message of this id, in the background: nothing, if no answer came.
fn append(client: &Client, id: &str, w: usize) -> JoinHandle<Option<(u16, Value)>> {
    let (client, body) = (client.clone(), json!({"message": id, "id": id, "w": w}));
    tokio::spawn(async move {
        let answer = client.try_post("/messages", &body).await.ok()?;
        Some((answer.status, answer.body))
    })
}

/// Starts an append that cannot be met now, and waits until the master shows it.
async fn blocked(client: &Client, id: &str, w: usize) -> JoinHandle<Option<(u16, Value)>> {
    let append = append(client, id, w);
    let shown = async || client.messages().await.is_some_and(|messages| messages.contains(&json!(id)));
    wait_until("the master shows a blocked append", SOON, shown).await;
    append
}

async fn status_of(append: JoinHandle<Option<(u16, Value)>>) -> Option<u16> {
    append.await.expect("a client does not panic").map(|(status, _)| status)
}

/// Checks that a log holds `id0` and so on, so many, and nothing else.
fn assert_ids(log: &[Entry], count: usize) {
    let ids = log.iter().map(|entry| entry.id.as_str());
    assert!(ids.eq((0..count).map(|id| format!("id{id}"))), "{log:?}");
}

async fn misses_its_master(client: &Client) {
    let degraded = async || client.health().await["status"] == "degraded";
    wait_until("a secondary misses its master", SOON, degraded).await;
}

async fn is_fenced(client: &Client) {
    let fenced = async || client.health().await["status"] == "fenced";
    wait_until("the old master knows that it is superseded", SOON, fenced).await;
}

/// Secondary 1, promoted over itself and secondary 2.
async fn promoted(cluster: &mut Cluster) -> Node {
    cluster.secondary(1).process.stop().await;
    let args = ["--secondaries", "master,secondary2", "--promote", "--reach", "2"];
    let mut node = cluster.node("secondary1", "replog-master", &args);
    node.start().await;
    node
}

#[tokio::test]
async fn a_master_paused_while_another_is_promoted_acknowledges_nothing_more_and_its_entries_reach_nobody() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let old = cluster.client();
    old.append_range(0..10, 3).await;
    cluster.equal_logs(SOON).await;
    cluster.master.process.pause();
    // They wait in the sockets of the paused process, and are the first that it reads.
    let late: Vec<_> =
        (0..12).map(|nth| (2 + nth % 2, append(&old, &format!("late{nth}"), 2 + nth % 2))).collect();
    misses_its_master(&cluster.reader(2)).await;
    let new = promoted(&mut cluster).await;
    new.client.append_range(10..20, 2).await;
    cluster.master.process.resume();
    is_fenced(&old).await;
    for (w, append) in late {
        let status = status_of(append).await;
        assert_ne!(status, Some(200), "a superseded master acknowledged a write of w={w}");
    }
    assert_ids(&equal_logs(&new.client, &[cluster.reader(2)], SOON).await, 20);

    cluster.master.process.stop().await;
    let mut again = cluster.node("master", "replog-secondary", &[]);
    again.start().await;
    new.client.append_range(20..21, 3).await;
    let log = equal_logs(&new.client, &[again.client.clone(), cluster.reader(2)], SOON).await;
    assert_eq!(log.len(), 21);
}

#[tokio::test]
async fn under_load_a_paused_master_that_wakes_up_superseded_breaks_no_promise() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let old = cluster.client();
    let args = ["--secondaries", "master,secondary2", "--promote", "--reach", "2"];
    let mut new = cluster.node("secondary1", "replog-master", &args);
    let read = [("secondary1", cluster.reader(1)), ("secondary2", cluster.reader(2))];
    let load = Load::start(Pace::STEADY, &[old.clone(), new.client.clone()], &read);
    load.goes_on(400).await;
    cluster.master.process.pause();
    misses_its_master(&cluster.reader(1)).await;
    cluster.secondary(1).process.stop().await;
    new.start().await;
    cluster.master.process.resume();
    is_fenced(&old).await;
    cluster.master.process.stop().await;
    let mut again = cluster.node("master", "replog-secondary", &[]);
    again.start().await;
    load.goes_on(400).await;
    let mut history = load.finish().await;
    let secondaries = [cluster.reader(2), again.client.clone()];
    equal_logs(&new.client, &secondaries, SOON).await;
    let [two, three] = secondaries;
    add_logs(&mut history, &[("secondary1", new.client.clone()), ("secondary2", two), ("master", three)])
        .await;
    history.led_before.push("master".to_owned());
    assert_eq!(history.check_validity(700), Ok(()));
    history.promise_only_from(2);
    assert_eq!(history.violations(), []);
}

/// Each entry was on two nodes, never on the same two.
#[tokio::test]
async fn what_two_nodes_held_survives_when_they_are_paused_killed_and_lost_in_turn() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..5, 3).await;
    cluster.secondary(2).process.pause();
    client.append_range(5..10, 2).await;
    cluster.secondary(1).process.pause();
    cluster.secondary(1).process.kill();
    cluster.secondary(2).process.resume();
    client.append_range(10..15, 2).await;
    cluster.master.process.kill();
    fs::remove_dir_all(cluster.directory("master")).expect("a directory can be removed");
    cluster.secondary(1).start().await;
    cluster.master.start().await;
    let shown = client.entries().await.expect("who is ready answers");
    assert_ids(&shown, 15);
    client.append_range(15..16, 3).await;
    assert_ids(&cluster.equal_logs(SOON).await, 16);
}

#[tokio::test]
async fn a_secondary_paused_and_then_killed_is_not_counted_before_it_is_back() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..10, 3).await;
    cluster.secondary(1).process.pause();
    let append = blocked(&client, "needs all", 3).await;
    cluster.wait_for_status(1, "unhealthy").await;
    cluster.secondary(1).process.kill();
    client.write("meanwhile", 2).await;
    assert!(!append.is_finished());
    assert_eq!(cluster.health_of(1).await["acked_through"], 10);
    cluster.secondary(1).start().await;
    assert_eq!(status_of(append).await, Some(200));
    assert_eq!(cluster.equal_logs(SOON).await.len(), 12);
}

#[tokio::test]
async fn two_processes_of_one_name_are_one_node_and_the_second_waits_for_the_first_to_end() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..10, 3).await;
    cluster.secondary(2).process.kill();
    let mut twin = cluster.twin("secondary1", "elsewhere", "replog-secondary", &[]);
    twin.process.start();
    let refused = async || twin.process.log().contains("NameInUse");
    wait_until("the twin is refused", SOON, refused).await;
    let append = blocked(&client, "needs all", 3).await;
    let answer = client.write("meanwhile", 2).await;
    assert_eq!(answer.body["nodes"], json!(["master", "secondary1"]));
    assert_eq!(twin.client.messages().await.unwrap_or_default(), [] as [Value; 0]);

    cluster.secondary(1).process.kill();
    let takes_over = async || twin.client.messages().await.is_some_and(|messages| messages.len() == 12);
    wait_until("the twin takes the name over and has everything", SOON, takes_over).await;
    assert!(!append.is_finished(), "one name was counted twice");
    cluster.secondary(2).start().await;
    assert_eq!(status_of(append).await, Some(200));
    equal_logs(&client, &[twin.client.clone(), cluster.reader(2)], SOON).await;
}

#[tokio::test]
async fn a_second_master_over_the_same_directory_is_refused_and_the_first_goes_on() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..10, 3).await;
    let mut twin = cluster.node("master", "replog-master", &["--secondaries", "secondary1,secondary2"]);
    twin.process.start();
    twin.process.gives_up(SOON).await;
    assert!(twin.process.log().contains("is in use by another process"), "{}", twin.process.log());
    cluster.client().append_range(10..20, 3).await;
    cluster.master.process.stop().await;
    twin.start().await;
    twin.client.append_range(20..21, 3).await;
    assert_eq!(twin.client.entries().await.expect("the second master shows its log").len(), 21);
}

#[tokio::test]
async fn a_second_master_of_the_same_name_never_leads_beside_the_first() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..10, 3).await;
    let args = ["--secondaries", "secondary1,secondary2"];
    let mut twin = cluster.twin("master", "elsewhere", "replog-master", &args);
    twin.process.start();
    let told = async || {
        let reason = &twin.client.health().await["reason"];
        reason.as_str().is_some_and(|reason| reason.contains("another process of master is alive"))
    };
    wait_until("the twin is told of the first", SOON, told).await;
    client.append_range(10..20, 3).await;
    twin.client.append(json!({"message": "x", "w": 1})).await.expect_problem(503, "recovering", false);
    assert!(!twin.client.is_ready().await);
    cluster.master.process.kill();
    wait_until("the twin leads", SOON, async || twin.client.is_ready().await).await;
    twin.client.append_range(20..21, 3).await;
    let log = equal_logs(&twin.client, &[cluster.reader(1), cluster.reader(2)], SOON).await;
    assert_eq!(log.len(), 21);
}
