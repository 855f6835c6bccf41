//! Appends over NATS by a client library of others: nats-py.

use std::{fs, path::Path};

use replog_tests::harness::{Answer, Client, Cluster, SOON, programs, wait_until};
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::process::Command;

/// One each of what may become of a request.
const REQUESTS: [&str; 8] = [
    r#"{"message": "Msg1", "w": 1, "id": "one"}"#,
    r#"{"message": {"deep": ["\u00e4", 1e3]}, "w": 2, "id": "two"}"#,
    r#"{"message": "Msg3", "w": 3, "id": "three"}"#,
    r#"{"message": "Msg1", "w": 1, "id": "one"}"#,
    r#"{"message": "other", "w": 1, "id": "one"}"#,
    r#"{"message": "x", "w": 4}"#,
    r#"{"message": "x", "expect_order": 9}"#,
    r#"{"message":"#,
];

/// What the script prints, a line each.
async fn printed(cluster: &Cluster) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let requests = folder.path().join("requests");
    fs::write(&requests, REQUESTS.join("\n")).expect("a temporary file can be written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("nats_py/append.py");
    let mut command = Command::new(programs::nats_py());
    command.arg(script).arg(format!("nats://{}", cluster.nats_address())).arg(&requests).kill_on_drop(true);
    let output = command.output().await.expect("Python can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).expect("it prints text");
    lines.lines().map(|line| serde_json::from_str(line).expect("it prints JSON")).collect()
}

/// What HTTP answers to the same text.
async fn over_http(client: &Client, body: &'static str) -> Answer {
    let request = client.request(Method::POST, "/messages").header(CONTENT_TYPE, "application/json");
    let answer = request.body(body).send().await.expect("the node answers");
    Answer::of(answer).await.expect("the answer comes whole")
}

#[tokio::test]
async fn nats_py_is_answered_as_http_is_and_finds_the_service() {
    let cluster = Cluster::running().await;
    let door = cluster.front_door().await;
    wait_until("the door is open", SOON, async || door.is_open().await).await;
    let printed = printed(&cluster).await;
    let (about, answers) = printed.split_last().expect("it prints something");
    assert_eq!(answers.len(), REQUESTS.len());
    for (nth, (request, answer)) in REQUESTS.into_iter().zip(answers).enumerate() {
        let by_http = over_http(&cluster.client(), request).await;
        assert_eq!(answer["status"], by_http.status, "{request}: {answer}");
        if by_http.status == 200 {
            assert_eq!(
                (answer["body"]["order"].as_u64(), &answer["error"]),
                (Some(nth as u64 % 3), &json!(null))
            );
            assert_eq!(answer["body"]["message_id"], by_http.body["message_id"]);
            assert_eq!((&answer["body"]["duplicate"], by_http.order()), (&json!(nth == 3), nth as u64 % 3));
        } else {
            assert_eq!(
                (&answer["body"], &answer["error"]),
                (&by_http.body, &by_http.body["code"]),
                "{request}"
            );
        }
    }
    assert_eq!(cluster.equal_logs(SOON).await.len(), 3);

    let id = &about["ids"][0];
    assert!(id.is_string() && about["ids"] == json!([id, id, id]), "{about}");
    assert_eq!(
        (&about["version"], &about["subjects"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!(["replog.main.append"]))
    );
    assert_eq!(about["metadata"], json!({"log": "main", "node": "master"}));
    assert!(
        about["num_requests"][0].as_u64() >= Some(8) && about["num_errors"][0].as_u64() >= Some(4),
        "{about}"
    );
    assert!(about["started_in"].as_u64() >= Some(2024), "{about}");
}
