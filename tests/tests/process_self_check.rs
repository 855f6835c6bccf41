//! The acceptance list's self-check, on real processes: a secondary that the master has never seen blocks only the
//! writes that need it, and gets everything once it comes.

use replog_tests::harness::{Cluster, Options, SOON, eventually, wait_until};
use serde_json::json;

#[tokio::test]
async fn a_secondary_never_seen_blocks_only_what_needs_it_and_then_gets_everything() {
    let mut cluster = Cluster::idle(Options::default()).await;
    cluster.master.start().await;
    cluster.secondary(1).start().await;
    let client = cluster.client();

    client.write("Msg1", 1).await;
    client.write("Msg2", 2).await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.append(json!({"message": "Msg3", "w": 3})).await }
    });
    let shows_msg3 =
        async || client.messages().await.is_some_and(|messages| messages.contains(&json!("Msg3")));
    wait_until("the master shows Msg3", SOON, shows_msg3).await;
    client.write("Msg4", 1).await;
    client.write("Msg5", 2).await;
    assert!(!waiting.is_finished(), "w=3 was answered while one of three nodes had never been seen");
    assert_eq!(cluster.health_of(2).await["acked_through"], 0);

    cluster.secondary(2).start().await;
    let answer = waiting.await.expect("the client does not panic").expect_ok(3);
    assert_eq!((answer.order(), answer.body["duplicate"].clone()), (2, json!(false)));
    let all: Vec<_> = ["Msg1", "Msg2", "Msg3", "Msg4", "Msg5"].map(|message| json!(message)).into();
    for reader in [client, cluster.reader(1), cluster.reader(2)] {
        let shown = async || reader.messages().await.filter(|messages| messages.len() == all.len());
        assert_eq!(eventually("a node shows all five", SOON, shown).await, all);
    }
}

#[tokio::test]
async fn without_w_every_configured_node_must_hold_it() {
    let mut cluster = Cluster::idle(Options::default()).await;
    cluster.master.start().await;
    cluster.secondary(1).start().await;
    let client = cluster.client();
    let answer = client.append(json!({"message": "all", "timeout_ms": 300})).await;
    answer.expect_problem(504, "unconfirmed", true);
    cluster.secondary(2).start().await;
    let answer = client.append(json!({"message": "all of them"})).await.expect_ok(3);
    assert_eq!((answer.nodes().len(), answer.body["w"].clone()), (3, json!(3)));
}

#[tokio::test]
async fn a_master_without_secondaries_answers_alone() {
    let cluster = Cluster::start(Options { secondaries: 0, ..Options::default() }).await;
    let answer = cluster.client().append(json!({"message": "alone"})).await.expect_ok(1);
    assert_eq!((answer.order(), answer.nodes().len()), (0, 1));
    let refused = cluster.client().append(json!({"message": "too many", "w": 2})).await;
    refused.expect_problem(400, "invalid_field", false);
}
