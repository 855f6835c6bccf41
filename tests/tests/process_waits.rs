//! Writes that wait for a dead node take neither the connections nor the words of those that do not.

use std::time::Duration;

use futures_util::future::join_all;
use replog_tests::harness::{Cluster, Options, SOON, wait_until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Fewer than the master takes connections, more than it lets wait.
const CALLERS: usize = 40;

/// Four in five of 45.
const WAITS: usize = 36;

#[tokio::test]
async fn callers_that_wait_for_a_dead_secondary_leave_room_for_everything_else() {
    let master_args = vec!["--allow-clean", "--max-connections", "45"];
    let mut cluster = Cluster::start(Options { master_args, ..Options::default() }).await;
    let client = cluster.client();
    cluster.secondary(2).process.kill();
    let callers = (0..CALLERS).map(|nth| {
        let client = client.clone();
        tokio::spawn(async move { client.append(json!({"message": nth, "id": format!("{nth}")})).await })
    });
    let callers: Vec<_> = callers.collect();
    let pending = async || client.health().await["pending_writes"] == WAITS;
    wait_until("as many wait as may", SOON, pending).await;

    let refused = async || callers.iter().filter(|caller| caller.is_finished()).count() == CALLERS - WAITS;
    wait_until("the others are refused", SOON, refused).await;
    let within = Duration::from_secs(5);
    for path in ["/livez", "/readyz", "/health", "/metrics", "/messages"] {
        let answer = timeout(within, client.get(path)).await.expect("there is room");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    timeout(within, client.write("w = 1", 1)).await.expect("there is room");
    let one_more = timeout(within, client.append(json!({"message": "one more", "w": 2}))).await;
    one_more.expect("an answer at once").expect_problem(503, "overloaded", false);
    assert_eq!(client.health().await["length"], WAITS + 1, "what was refused is not in the log");

    cluster.secondary(2).process.start();
    let (mut met, mut told) = (0, 0);
    for answer in join_all(callers).await {
        let answer = answer.expect("no panic");
        if answer.status == 200 {
            met += 1;
        } else {
            answer.expect_problem(503, "overloaded", false);
            // The step that it names: the same again, with its id.
            let again = client
                .append(json!({"message": answer_message(&answer.body), "id": answer.body["message_id"]}));
            assert_eq!(again.await.status, 200);
            told += 1;
        }
    }
    assert_eq!((met, told), (WAITS, CALLERS - WAITS));
    assert_eq!(cluster.equal_logs(SOON).await.len(), CALLERS + 1);
}

/// The message of a caller is its number, as its id is.
fn answer_message(problem: &Value) -> u64 {
    problem["message_id"].as_str().and_then(|id| id.parse().ok()).expect("the problem names the id")
}

#[tokio::test]
async fn an_id_that_is_in_the_log_is_never_called_absent() {
    let master_args = vec!["--allow-clean", "--max-requests-per-second", "50"];
    let mut cluster = Cluster::start(Options { master_args, ..Options::default() }).await;
    let message = || json!({"message": "x", "id": "x", "w": 1});
    assert_eq!(cluster.client().append(message()).await.status, 200);
    cluster.equal_logs(SOON).await;

    let elsewhere = cluster.reader(1).append(message()).await;
    elsewhere.expect_problem(421, "not_the_master", "unknown");
    cluster.reader(1).append(json!({"message": "x", "w": 1})).await.expect_problem(
        421,
        "not_the_master",
        false,
    );
    let lines = cluster.reader(1).request(Method::POST, "/messages/batch");
    let lines = lines.header("content-type", "application/x-ndjson").body("{\"message\": 1, \"id\": \"x\"}");
    let answer: Value = lines.send().await.expect("an answer").json().await.expect("a document");
    assert_eq!(answer["applied"], "unknown");

    let asked = async || {
        let client = cluster.client();
        let answers = join_all((0..60).map(|_| client.append(message()))).await;
        answers.into_iter().find(|answer| answer.status == 429)
    };
    let too_often = replog_tests::harness::eventually("a refusal", SOON, asked).await;
    too_often.expect_problem(429, "too_many_requests", "unknown");

    cluster.secondary(1).process.kill();
    cluster.master.process.kill();
    cluster.master.process.start();
    let recovers = async || cluster.client().health().await["status"] == "recovering";
    wait_until("the master recovers", SOON, recovers).await;
    let early = cluster.client().append(message()).await;
    early.expect_problem(503, "recovering", "unknown");
    assert_eq!(early.body["message_id"], "x");
}
