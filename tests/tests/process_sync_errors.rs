//! A disk that reports an error of a sync: the node stops, and nothing was promised that is not there.

use replog_tests::harness::{
    Client, Cluster, Load, Node, Options, Pace, SOON, add_logs,
    strace::{Fault, inject, strike},
};
use serde_json::{Value, json};

/// The next sync of any thread fails, and no other.
const NEXT_SYNC: Fault = Fault { calls: "fdatasync", error: "EIO", nth: 1 };

/// What a node says whose disk has told it of an error.
const LAST_WORDS: [&str; 3] = ["the log's storage failed", "could not be synced", "Input/output error"];

/// Appends one message of this id, in the background.
fn append(client: &Client, id: &str, w: usize) -> tokio::task::JoinHandle<Option<(u16, Value)>> {
    let (client, body) = (client.clone(), json!({"message": id, "id": id, "w": w}));
    tokio::spawn(async move {
        let answer = client.try_post("/messages", &body).await.ok()?;
        Some((answer.status, answer.body))
    })
}

#[tokio::test]
async fn a_master_whose_sync_fails_acknowledges_nothing_and_stops() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..20, 3).await;
    let faults = strike(&cluster.master.process, NEXT_SYNC).await;
    let ids: Vec<String> = (0..12).map(|nth| format!("late{nth}")).collect();
    let late: Vec<_> = ids.iter().enumerate().map(|(nth, id)| append(&client, id, 1 + nth % 3)).collect();
    cluster.master.process.gives_up(SOON).await;
    for append in late {
        let answer = append.await.expect("a client does not panic");
        assert!(answer.as_ref().is_none_or(|(status, _)| *status != 200), "acknowledged: {answer:?}");
    }
    let log = cluster.master.process.log();
    assert!(LAST_WORDS.iter().all(|words| log.contains(words)), "{log}");
    for number in [1, 2] {
        let shown = cluster.reader(number).messages().await.expect("a secondary serves without its master");
        assert_eq!(shown.len(), 20, "an entry left the master before it was durable there");
    }
    faults.end(&mut cluster.master.process);
    cluster.master.start().await;
    for id in &ids {
        client.append(json!({"message": id, "id": id, "w": 3})).await.expect_ok(3);
    }
    assert_eq!(cluster.equal_logs(SOON).await.len(), 32, "each of them is there once");
}

#[tokio::test]
async fn a_secondary_whose_sync_fails_acks_nothing_and_blocks_only_what_needs_it() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..20, 3).await;
    let faults = strike(&cluster.secondary(1).process, NEXT_SYNC).await;
    let blocked = append(&client, "blocked", 3);
    cluster.secondary(1).process.gives_up(SOON).await;
    let log = cluster.secondary(1).process.log();
    assert!(LAST_WORDS.iter().all(|words| log.contains(words)), "{log}");
    let answer = client.write("meanwhile", 2).await;
    assert!(answer.nodes().contains("secondary2") && !answer.nodes().contains("secondary1"), "{answer:?}");
    assert!(!blocked.is_finished());
    assert_eq!(cluster.health_of(1).await["acked_through"], 20, "it acked what it had not synced");
    faults.end(&mut cluster.secondary(1).process);
    cluster.secondary(1).start().await;
    let answer = blocked.await.expect("a client does not panic");
    assert!(answer.as_ref().is_some_and(|(status, _)| *status == 200), "{answer:?}");
    assert_eq!(cluster.equal_logs(SOON).await.len(), 22);
}

/// The next thing that each thread opens finds no descriptor, and no other.
const NO_DESCRIPTOR: Fault = Fault { calls: "openat", error: "EMFILE", nth: 1 };

#[tokio::test]
async fn a_shortage_of_descriptors_is_waited_out_and_is_no_fault_of_the_disk() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..20, 3).await;
    let at_master = strike(&cluster.master.process, NO_DESCRIPTOR).await;
    let at_secondary = strike(&cluster.secondary(1).process, NO_DESCRIPTOR).await;
    let text = "x".repeat(500_000);
    for _ in 0..6 {
        client.append(json!({"message": text, "w": 3})).await.expect_ok(3);
    }
    for process in [&cluster.master.process, &cluster.secondaries[0].process] {
        let log = process.log();
        assert!(log.contains("waits until a file can be opened") && !log.contains("storage failed"), "{log}");
    }
    cluster.master.process.stop().await;
    cluster.secondary(1).process.stop().await;
    at_master.end(&mut cluster.master.process);
    at_secondary.end(&mut cluster.secondary(1).process);
    cluster.secondary(1).start().await;
    cluster.master.start().await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 26);
}

/// Saving node.json, making a directory durable, sealing the log.
#[tokio::test]
async fn a_node_whose_sync_fails_while_it_starts_says_where_and_changes_nothing() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..20, 3).await;
    for calls in ["fsync", "fdatasync"] {
        for nth in 1..=2 {
            fails_to_start(&mut cluster.master, Fault { calls, error: "EIO", nth }).await;
            fails_to_start(cluster.secondary(1), Fault { calls, error: "EIO", nth }).await;
        }
    }
    cluster.master.start().await;
    cluster.secondary(1).start().await;
    cluster.client().append_range(20..30, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 30);
}

async fn fails_to_start(node: &mut Node, fault: Fault) {
    if node.process.is_running() {
        node.process.kill();
    }
    let (faults, said) = (inject(&mut node.process, fault), node.process.log().len());
    node.process.start();
    node.process.gives_up(SOON).await;
    faults.end(&mut node.process);
    let log = node.process.log();
    let words = ["could not sync", &node.name, "Input/output error"];
    assert!(words.iter().all(|word| log[said..].contains(word)), "{fault:?}: {}", &log[said..]);
}

#[tokio::test]
async fn whichever_sync_fails_under_load_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let nodes =
        [("master", cluster.client()), ("secondary1", cluster.reader(1)), ("secondary2", cluster.reader(2))];
    let load = Load::start(Pace::STEADY, &[cluster.client()], &nodes);
    for round in 0..9 {
        load.goes_on(60).await;
        let node = match round % 3 {
            0 => &mut cluster.master,
            number => cluster.secondary(number),
        };
        let fault = Fault { nth: fastrand::usize(1..40), ..NEXT_SYNC };
        let faults = strike(&node.process, fault).await;
        node.process.gives_up(SOON).await;
        faults.end(&mut node.process);
        node.process.start();
    }
    cluster.all_healthy().await;
    let mut history = load.finish().await;
    cluster.equal_logs(SOON).await;
    add_logs(&mut history, &nodes).await;
    assert_eq!(history.violations(), []);
    assert_eq!(history.check_validity(500), Ok(()));
}
