//! A disk that reports an error of a sync, is slow, or sees its node die within an act: nothing was promised that is not
//! there.

use replog_tests::harness::{
    Client, Cluster, Load, Node, Options, Pace, SOON, add_logs,
    strace::{Fate, Fault, inject, strike},
    wait_until,
};
use serde_json::{Value, json};

/// The next sync of any thread fails, and no other.
const NEXT_SYNC: Fault = Fault { calls: "fdatasync", fate: Fate::Error("EIO"), nth: 1 };

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
const NO_DESCRIPTOR: Fault = Fault { calls: "openat", fate: Fate::Error("EMFILE"), nth: 1 };

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
            fails_to_start(&mut cluster.master, Fault { calls, fate: Fate::Error("EIO"), nth }).await;
            fails_to_start(cluster.secondary(1), Fault { calls, fate: Fate::Error("EIO"), nth }).await;
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

/// Syncs take long: what is told of a write meanwhile is told of what is durable.
#[tokio::test]
async fn a_caller_whose_time_is_over_is_answered_once_its_write_is_durable() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..20, 3).await;
    cluster.secondary(1).process.kill();
    cluster.wait_for_missing(1).await;
    let slow = Fault { calls: "fdatasync", fate: Fate::Delay(1_500_000), nth: 1 };
    let faults = strike(&cluster.master.process, slow).await;
    let write = |id: &str, w: u64| json!({"message": id, "id": id, "w": w, "timeout_ms": 50});
    let alone = client.post("/messages", write("alone", 1)).await;
    assert_eq!((alone.status, &alone.body["order"]), (200, &json!(20)), "{alone:?}");
    let late = client.post("/messages", write("late", 3)).await;
    late.expect_problem(504, "unconfirmed", true);
    assert!(late.nodes().contains("master"), "{late:?}");
    let order = late.body["order"].as_u64().expect("an answer that says applied has the order");
    let shown = client.get(&format!("/messages/{order}")).await;
    assert_eq!(
        (shown.status, &shown.body["message"]),
        (200, &json!("late")),
        "what it names is shown: {shown:?}"
    );

    let stopped = tokio::spawn({
        let (client, body) = (client.clone(), json!({"message": "last", "id": "last", "w": 3}));
        async move { client.post("/messages", body).await }
    });
    wait_until("the write waits", SOON, async || client.health().await["pending_writes"] == 1).await;
    cluster.master.process.terminate();
    let stopped = stopped.await.expect("a client does not panic");
    stopped.expect_problem(503, "stopping", true);
    assert!(cluster.master.process.ended(SOON).await.success());
    faults.end(&mut cluster.master.process);
    cluster.master.start().await;
    let again = cluster.client().post("/messages", json!({"message": "last", "id": "last", "w": 1})).await;
    assert_eq!((&again.body["duplicate"], &again.body["order"]), (&json!(true), &stopped.body["order"]));
}

/// A client that is told that its value is in the log does not send it again.
#[tokio::test]
async fn a_value_that_is_not_durable_yet_is_not_called_there() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let client = cluster.client();
    client.append_range(0..20, 3).await;
    let slow = Fault { calls: "fdatasync", fate: Fate::Delay(1_500_000), nth: 1 };
    let faults = strike(&cluster.master.process, slow).await;
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.post("/messages", json!({"message": 1, "id": "value", "w": 1})).await }
    });
    wait_until("the write waits", SOON, async || client.health().await["pending_writes"] == 1).await;
    let in_other_words = || client.post("/messages", json!({"message": 1.0, "id": "value", "w": 1}));
    let early = in_other_words().await;
    assert_eq!((early.status, &early.body["same_value"]), (409, &json!(true)), "{early:?}");
    assert_eq!(
        (&early.body["applied"], &early.body["retryable"], &early.body["message_id"]),
        (&json!("unknown"), &json!(true), &json!("value")),
        "{early:?}"
    );
    assert_eq!(first.await.expect("a client does not panic").status, 200);
    let then = in_other_words().await;
    assert_eq!((then.status, &then.body["retryable"]), (409, &json!(false)), "{then:?}");
    let detail = then.body["detail"].as_str().expect("a problem has a detail");
    assert!(detail.contains("The value is in the log"), "{detail}");
    faults.end(&mut cluster.master.process);
}

/// The master is killed at every sync of a clean in turn, with a secondary down: it always leads again, alone.
#[tokio::test]
async fn a_clean_that_was_broken_off_is_finished_by_the_next_start_although_a_secondary_is_down() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..3, 3).await;
    cluster.secondary(2).process.kill();
    let mut finished = 0;
    for calls in ["fsync", "fdatasync"] {
        for nth in 1..=5 {
            let id = format!("{calls}{nth}");
            cluster.client().append(json!({"message": id, "w": 2})).await.expect_ok(2);
            let kill = Fault { calls, fate: Fate::Kill, nth };
            let _faults = strike(&cluster.master.process, kill).await;
            let cleaned = cluster.client().try_post("/clean", &json!({"w": 1})).await.is_ok();
            if cleaned {
                cluster.master.process.kill();
            } else {
                let _killed = cluster.master.process.ended(SOON).await;
            }
            cluster.master.start().await;
            let log = cluster.client().messages().await.expect("a master that leads shows its log");
            assert!(!cleaned || log.is_empty(), "{id}: it was told that the log is empty, and shows {log:?}");
            finished += usize::from(!cleaned && log.is_empty());
        }
    }
    assert!(finished > 0, "no start found a clean that it had to finish");
    cluster.secondary(2).start().await;
    cluster.client().append(json!({"message": "all", "w": 3})).await.expect_ok(3);
    cluster.equal_logs(SOON).await;
}
