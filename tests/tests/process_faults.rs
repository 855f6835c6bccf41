//! Slow, failing and losing secondaries, on purpose.

use std::time::{Duration, Instant};

use replog_tests::harness::{Cluster, Options, SOON, wait_until};
use serde_json::json;

#[tokio::test]
async fn a_slow_secondary_delays_only_writes_that_need_it() {
    let cluster = Cluster::running().await;
    let client = cluster.client();
    client.write("before", 3).await;
    let delay = Duration::from_secs(2);
    cluster.reader(2).set_faults(json!({"delay_ms": 2_000})).await;

    let started = Instant::now();
    let blocked = tokio::spawn({
        let client = client.clone();
        async move { client.write("needs all", 3).await }
    });
    for nth in 0..20 {
        client.write(&format!("quick {nth}"), 2).await;
    }
    assert!(started.elapsed() < delay, "w=2 took {:?}, as slow as the slow secondary", started.elapsed());
    assert!(!blocked.is_finished());
    let behind = cluster.reader(2).messages().await.expect("a slow secondary serves");
    assert!(behind.len() < 3, "the slow secondary shows {} messages already", behind.len());

    blocked.await.expect("the blocked write is answered");
    assert!(started.elapsed() >= delay, "w=3 was answered before the slow secondary could hold it");
    assert_eq!(cluster.equal_logs(SOON).await.len(), 22);
}

#[tokio::test]
async fn an_error_after_storing_is_no_ack_and_delivers_nothing_twice() {
    let cluster = Cluster::running().await;
    let (client, failing) = (cluster.client(), cluster.reader(2));
    failing.set_faults(json!({"error_rate": 1.0})).await;
    let blocked = tokio::spawn({
        let client = client.clone();
        async move { client.append(json!({"message": "Msg1", "id": "m1", "w": 3})).await }
    });
    let stored = async || failing.messages().await == Some(vec![json!("Msg1")]);
    wait_until("the failing secondary has stored it", SOON, stored).await;
    let delivered_again = async || failing.health().await["counters"]["duplicates"].as_u64() >= Some(2);
    wait_until("it was delivered twice more, as every answer was an error", SOON, delivered_again).await;
    assert!(!blocked.is_finished(), "an error was taken for an ack");
    client.write("Msg2", 2).await;
    assert_eq!(cluster.health_of(2).await["acked_through"], 0);

    failing.set_faults(json!({"error_rate": 0.0})).await;
    blocked.await.expect("the client does not panic").expect_ok(3);
    let log = cluster.equal_logs(SOON).await;
    assert_eq!(log.iter().map(|entry| &entry.message).collect::<Vec<_>>(), [&json!("Msg1"), &json!("Msg2")]);
}

#[tokio::test]
async fn lost_deliveries_under_load_neither_reorder_nor_repeat() {
    let cluster = Cluster::running().await;
    for number in [1, 2] {
        cluster.reader(number).set_faults(json!({"drop_rate": 0.5, "error_rate": 0.3, "delay_ms": 5})).await;
    }
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let client = cluster.client();
            tokio::spawn(async move {
                for nth in 0..25 {
                    client.write(&format!("{writer} {nth}"), 1 + nth % 3).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("all writes are answered in spite of lost deliveries");
    }
    let dropped = cluster.reader(1).health().await["counters"]["fault_drops"].as_u64();
    assert!(dropped > Some(0), "no delivery was lost: the test proves nothing");
    let log = cluster.equal_logs(SOON).await;
    assert_eq!(log.len(), 200);
    for writer in 0..8 {
        let own = log.iter().filter_map(|entry| entry.message.as_str()?.strip_prefix(&format!("{writer} ")));
        let expected: Vec<String> = (0..25).map(|nth| nth.to_string()).collect();
        assert_eq!(own.collect::<Vec<_>>(), expected, "the order of one writer's messages");
    }
}

#[tokio::test]
async fn faults_have_to_be_allowed() {
    let mut cluster = Cluster::idle(Options { secondary_args: Vec::new(), ..Options::default() }).await;
    cluster.secondary(1).start().await;
    let refused = cluster.reader(1).get("/faults").await;
    refused.expect_problem(403, "faults_not_allowed", false);
}
