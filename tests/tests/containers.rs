//! The same promises with every node in a container of its own, on a network of its own.

use replog_tests::harness::{Client, SOON, containers::Containers, wait_until};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Starts an append that cannot be answered now, and waits until the master shows it.
async fn blocked_write(client: &Client, message: &'static str, w: usize) -> JoinHandle<()> {
    let writer = client.clone();
    let task = tokio::spawn(async move {
        writer.write(message, w).await;
    });
    let shown = async || client.messages().await.is_some_and(|messages| messages.contains(&json!(message)));
    wait_until("the master shows a blocked write", SOON, shown).await;
    task
}

/// Waits until all nodes show exactly these messages.
async fn expect_everywhere(cluster: &Containers, messages: &[&str]) {
    let expected: Vec<Value> = messages.iter().map(|message| json!(message)).collect();
    let log = cluster.equal_logs().await;
    assert_eq!(log.into_iter().map(|entry| entry.message).collect::<Vec<_>>(), expected);
}

/// Self-check and the first two tests of the course task: w=3 waits until all secondaries are started and is then
/// delivered while others are served meanwhile; a node has all messages after its start.
#[tokio::test]
async fn the_self_check() {
    let mut cluster = Containers::idle().await;
    cluster.start_master().await;
    let client = cluster.client();
    client.write("Msg0", 1).await;
    let blocked = blocked_write(&client, "needs one", 2).await;
    cluster.start_secondary(1).await;
    blocked.await.expect("the write is answered once the first secondary is there");
    client.write("Msg2", 2).await;
    let blocked = blocked_write(&client, "needs all", 3).await;
    client.write("Msg4", 1).await;
    client.write("Msg5", 2).await;
    assert!(!blocked.is_finished(), "w=3 was answered while one of three nodes had never been seen");

    cluster.start_secondary(2).await;
    blocked.await.expect("the write is answered once all are there");
    expect_everywhere(&cluster, &["Msg0", "needs one", "Msg2", "needs all", "Msg4", "Msg5"]).await;
}

/// The other two tests of the course task: no double delivery under errors after storing, the right order under
/// delivery errors.
#[tokio::test]
async fn delivery_errors_neither_repeat_nor_reorder() {
    let cluster = Containers::running().await;
    let client = cluster.client();
    for number in [1, 2] {
        let faults = json!({"error_rate": 0.5, "drop_rate": 0.3, "delay_ms": 10});
        cluster.secondary(number).client.set_faults(faults).await;
    }
    let names: Vec<String> = (0..30).map(|nth| format!("Msg{nth}")).collect();
    let writing = async {
        for (name, w) in names.iter().zip([1, 2, 3].into_iter().cycle()) {
            client.write(name, w).await;
        }
    };
    let (parts, ()) = futures_util::join!(read_until_all(&cluster.secondary(1).client, &names), writing);
    expect_everywhere(&cluster, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(parts > 1, "nothing was read while the faults were on");
    let counters = cluster.secondary(1).client.health().await["counters"].clone();
    let happened = |name: &str| counters[name].as_u64() > Some(0);
    assert!(
        happened("error_acks") && happened("fault_drops"),
        "no fault fired: the test proves nothing: {counters}"
    );
    assert!(
        happened("out_of_order") || happened("duplicates"),
        "nothing came early or twice: the test proves nothing: {counters}"
    );
    let retried = client.health().await["secondaries"]["secondary1"]["retries"].as_u64() > Some(0);
    assert!(retried || happened("fetches"), "nothing was sent again: {counters}");
}

/// Reads again and again until all is there, and checks that each read is a beginning of it, without repetition or hole.
/// How many reads of different length there were.
async fn read_until_all(reader: &Client, names: &[String]) -> usize {
    let mut lengths = std::collections::BTreeSet::new();
    wait_until("a reader has read everything", SOON, async || {
        let shown = reader.messages().await.unwrap_or_default();
        let expected: Vec<Value> = names.iter().take(shown.len()).map(|name| json!(name)).collect();
        assert_eq!(shown, expected, "a secondary shows something else than a beginning of the log");
        lengths.insert(shown.len());
        shown.len() == names.len()
    })
    .await;
    lengths.len()
}

#[tokio::test]
async fn a_secondary_stopped_paused_or_cut_off_blocks_only_what_needs_it() {
    let cluster = Containers::running().await;
    let (client, second) = (cluster.client(), cluster.secondary(2));
    client.write("before", 3).await;

    second.stop().await;
    let blocked = blocked_write(&client, "stopped", 3).await;
    client.write("others go on", 2).await;
    assert!(!blocked.is_finished());
    second.start_again().await;
    blocked.await.expect("the write is answered");

    second.pause().await;
    let blocked = blocked_write(&client, "paused", 3).await;
    cluster.wait_for_status(2, "unhealthy").await;
    client.write("others go on still", 2).await;
    assert!(!blocked.is_finished());
    second.resume().await;
    blocked.await.expect("the write is answered");

    second.disconnect();
    let blocked = blocked_write(&client, "cut off", 3).await;
    cluster.wait_for_status(2, "unhealthy").await;
    client.write("others do not notice", 2).await;
    assert!(!blocked.is_finished());
    second.connect();
    blocked.await.expect("the write is answered");

    let all = [
        "before",
        "stopped",
        "others go on",
        "paused",
        "others go on still",
        "cut off",
        "others do not notice",
    ];
    expect_everywhere(&cluster, &all).await;
    cluster.all_healthy().await;
}

#[tokio::test]
async fn nats_stopped_paused_or_cut_off_delays_and_loses_nothing() {
    let cluster = Containers::running().await;
    let client = cluster.client();
    client.write("before", 3).await;

    cluster.nats.stop().await;
    client.write("without nats", 1).await;
    let blocked = blocked_write(&client, "stopped", 2).await;
    cluster.nats.start_again().await;
    blocked.await.expect("the write is answered");

    cluster.nats.pause().await;
    let blocked = blocked_write(&client, "paused", 3).await;
    cluster.wait_for_status(1, "unhealthy").await;
    client.write("while nats hangs", 1).await;
    cluster.nats.resume().await;
    blocked.await.expect("the write is answered");

    cluster.nats.disconnect();
    let blocked = blocked_write(&client, "cut off", 3).await;
    cluster.wait_for_status(1, "unhealthy").await;
    client.write("while nats is cut off", 1).await;
    cluster.nats.connect();
    blocked.await.expect("the write is answered");

    let all = [
        "before",
        "without nats",
        "stopped",
        "paused",
        "while nats hangs",
        "cut off",
        "while nats is cut off",
    ];
    expect_everywhere(&cluster, &all).await;
}

#[tokio::test]
async fn a_master_stopped_paused_or_cut_off_comes_back_with_everything() {
    let cluster = Containers::running().await;
    let client = cluster.client();
    client.write("before", 3).await;

    cluster.master.stop().await;
    let shown = cluster.secondary(1).client.messages().await;
    assert_eq!(shown, Some(vec![json!("before")]), "a secondary serves without its master");
    cluster.master.start_again().await;
    client.write("started again", 3).await;

    cluster.master.pause().await;
    let reader = cluster.secondary(1).client.clone();
    let misses = async || reader.health().await["status"] == "degraded";
    wait_until("a secondary misses its master", SOON, misses).await;
    cluster.master.resume().await;
    client.write("after the pause", 3).await;

    cluster.master.disconnect();
    wait_until("a secondary misses its master", SOON, misses).await;
    cluster.master.connect();
    // Docker also cuts the published port, and opens it again.
    wait_until("the master can be reached", SOON, async || client.is_ready().await).await;
    client.write("after the cut", 3).await;
    expect_everywhere(&cluster, &["before", "started again", "after the pause", "after the cut"]).await;
}
