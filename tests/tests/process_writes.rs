//! Writes as their clients see them: time-outs, hang-ups, batches, retries, conditions, emptying the log.

use std::time::Duration;

use replog_tests::harness::{Client, Cluster, Options, SOON, eventually, raw, wait_until};
use serde_json::{Value, json};

/// The bare messages once there are `count` of them.
async fn messages(client: &Client, count: usize) -> Vec<Value> {
    let shown = async || client.messages().await.filter(|messages| messages.len() == count);
    eventually("a node shows all of them", SOON, shown).await
}

#[tokio::test]
async fn a_timeout_ends_the_wait_and_not_the_entry() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    cluster.secondary(2).process.kill();
    let answer = client.append(json!({"message": "patient", "id": "p", "w": 3, "timeout_ms": 200})).await;
    answer.expect_problem(504, "unconfirmed", true);
    assert_eq!(answer.order(), 0);
    assert_eq!(messages(&cluster.reader(1), 1).await, [json!("patient")]);

    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.get("/messages/0?w=3").await }
    });
    cluster.secondary(2).start().await;
    let answer = waiting.await.expect("the client does not panic");
    assert_eq!((answer.status, answer.nodes().len()), (200, 3), "{answer:?}");
    assert_eq!(messages(&cluster.reader(2), 1).await, [json!("patient")]);
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_its_entry_and_no_pending_write() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    cluster.secondary(2).process.kill();
    let body = r#"{"message": "hung up", "id": "h", "w": 3}"#;
    let head = "POST /messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length";
    let request = format!("{head}: {}\r\n\r\n{body}", body.len());
    let given_up =
        raw::exchange(&cluster.master.address, request.as_bytes(), Duration::from_millis(300)).await;
    assert!(given_up.is_err(), "w=3 was answered with two of three nodes: {given_up:?}");
    let forgotten = async || client.health().await["pending_writes"] == 0;
    wait_until("the master forgets the write of a client that hung up", SOON, forgotten).await;

    cluster.secondary(2).start().await;
    let again = client.append(json!({"message": "hung up", "id": "h", "w": 3})).await.expect_ok(3);
    assert_eq!((again.order(), again.body["duplicate"].clone()), (0, json!(true)));
    assert_eq!(cluster.equal_logs(SOON).await.len(), 1);
}

#[tokio::test]
async fn a_retry_finds_its_place_and_waits_for_its_own_w() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    let first = client.append(json!({"message": {"a": [1, 2.5]}, "id": "x", "w": 1})).await.expect_ok(1);
    assert_eq!(first.body["message_id"], "x");
    client.write("between", 3).await;
    cluster.secondary(2).process.kill();
    let retry = client.append(json!({"message": {"a": [1, 2.5]}, "id": "x", "w": 2})).await.expect_ok(2);
    assert_eq!((retry.order(), retry.body["duplicate"].clone()), (first.order(), json!(true)));
    // secondary2 held it and died with its memory; the master may count it until it hears of the new process.
    let other = client.append(json!({"message": {"a": [1, 3]}, "id": "x", "w": 1})).await;
    other.expect_problem(409, "conflict", false);
    cluster.secondary(2).start().await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 2);
}

#[tokio::test]
async fn many_clients_that_send_the_same_id_get_one_place() {
    let cluster = Cluster::running().await;
    let writers: Vec<_> = (0..24)
        .map(|nth| {
            let client = cluster.client();
            tokio::spawn(async move {
                let w = 1 + nth % 3;
                client.append(json!({"message": "same", "id": "same", "w": w})).await.expect_ok(w)
            })
        })
        .collect();
    let mut fresh = 0;
    for writer in writers {
        let answer = writer.await.expect("the client does not panic");
        assert_eq!(answer.order(), 0);
        fresh += usize::from(answer.body["duplicate"] == false);
    }
    assert_eq!(fresh, 1, "exactly one of them is the first");
    assert_eq!(cluster.equal_logs(SOON).await.len(), 1);
}

#[tokio::test]
async fn a_batch_takes_one_unbroken_run_or_nothing() {
    let cluster = Cluster::running().await;
    let client = cluster.client();
    client.write("before", 1).await;
    let batch: Vec<Value> = (0..100).map(|nth| json!({"message": nth, "id": format!("b{nth}")})).collect();
    let answer = client.post("/messages/batch", json!({"messages": batch, "w": 3})).await.expect_ok(3);
    assert_eq!((answer.body["first_order"].clone(), answer.body["count"].clone()), (json!(1), json!(100)));
    assert_eq!(answer.body["message_ids"][99], "b99");
    let again = client.post("/messages/batch", json!({"messages": batch, "w": 3})).await.expect_ok(3);
    assert_eq!((again.body["first_order"].clone(), again.body["duplicate"].clone()), (json!(1), json!(true)));

    let spoilt = json!({"messages": [{"message": "new", "id": "new"}, {"message": "other", "id": "b7"}]});
    client.post("/messages/batch", spoilt).await.expect_problem(409, "conflict", false);
    let log = cluster.equal_logs(SOON).await;
    assert_eq!(log.len(), 101);
    assert!(log[1..].iter().zip(0..).all(|(entry, nth)| entry.message == json!(nth)));
}

#[tokio::test]
async fn an_expected_order_is_a_condition_that_a_retry_passes() {
    let cluster = Cluster::running().await;
    let client = cluster.client();
    client.append(json!({"message": "a", "id": "a", "expect_order": 0})).await.expect_ok(3);
    let late = client.append(json!({"message": "b", "id": "b", "expect_order": 0})).await;
    late.expect_problem(412, "unexpected_order", false);
    assert_eq!(late.body["length"], 1);
    client.append(json!({"message": "a", "id": "a", "expect_order": 0})).await.expect_ok(3);
    assert_eq!(cluster.equal_logs(SOON).await.len(), 1);
}

#[tokio::test]
async fn pages_and_read_your_own_write() {
    let cluster = Cluster::running().await;
    let (client, reader) = (cluster.client(), cluster.reader(1));
    for nth in 0..10 {
        client.append(json!({"message": nth, "w": 1})).await.expect_ok(1);
    }
    for node in [&client, &reader] {
        let page = node.get("/messages?from=3&limit=4&min_order=9").await;
        assert_eq!(page.body, json!({"messages": [3, 4, 5, 6]}));
        assert_eq!(node.get("/messages?from=10").await.body, json!({"messages": []}));
        assert_eq!(node.get("/messages?min_order=10&timeout_ms=100").await.status, 504);
    }
    assert_eq!(client.get("/messages/10").await.status, 404);
    let waiting = tokio::spawn(async move { reader.get("/full_messages?from=10&min_order=10").await });
    client.write("eleventh", 1).await;
    let page = waiting.await.expect("the client does not panic");
    assert_eq!((page.status, &page.body["messages"][0]["order"]), (200, &json!(10)), "{page:?}");
}

#[tokio::test]
async fn a_cleaned_log_is_empty_also_on_a_node_that_was_down() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    client.append(json!({"message": "old", "id": "reused", "w": 3})).await.expect_ok(3);
    cluster.secondary(2).process.pause();
    client.post("/clean", json!({"w": 2})).await.expect_ok(2);
    assert_eq!(messages(&client, 0).await, [json!(null); 0]);
    let new = client.append(json!({"message": "new", "id": "reused", "w": 2})).await.expect_ok(2);
    assert_eq!((new.order(), new.body["duplicate"].clone()), (0, json!(false)));
    assert_eq!(messages(&cluster.reader(1), 1).await, [json!("new")]);

    cluster.secondary(2).process.resume();
    client.write("after", 3).await;
    assert_eq!(messages(&cluster.reader(2), 2).await, [json!("new"), json!("after")]);
}

#[tokio::test]
async fn a_clean_survives_a_restart_of_the_master() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    client.write("old", 3).await;
    client.post("/clean", json!({"w": 3})).await.expect_ok(3);
    client.write("new", 3).await;
    cluster.master.process.kill();
    cluster.master.start().await;
    client.write("after", 3).await;
    let log = cluster.equal_logs(SOON).await;
    assert_eq!(log.iter().map(|entry| &entry.message).collect::<Vec<_>>(), [&json!("new"), &json!("after")]);
}

#[tokio::test]
async fn read_only_without_a_majority() {
    let master_args = vec!["--read-only-without-majority"];
    let mut cluster = Cluster::start(Options { master_args, ..Options::default() }).await;
    let client = cluster.client();
    client.write("with all", 3).await;
    cluster.secondary(1).process.kill();
    client.write("with a majority", 2).await;
    cluster.secondary(2).process.kill();
    let read_only = async || client.health().await["status"] == "read_only";
    wait_until("the master is read-only", SOON, read_only).await;
    let refused = client.append(json!({"message": "alone", "w": 1})).await;
    refused.expect_problem(503, "read_only", false);
    assert!(refused.retry_after.is_some());
    assert_eq!(messages(&client, 2).await, [json!("with all"), json!("with a majority")]);

    cluster.secondary(2).start().await;
    wait_until("the master takes appends again", SOON, async || {
        client.append(json!({"message": "again", "id": "again", "w": 2})).await.status == 200
    })
    .await;
}
