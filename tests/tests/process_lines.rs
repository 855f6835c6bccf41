//! One JSON value a line: reads, batches, and whole logs into files and back.

use std::{ffi::OsString, fs, path::Path};

use replog_tests::harness::{Client, Cluster, Process, SOON, programs};
use reqwest::Method;
use serde_json::{Value, json};

/// What `GET path` answers who wants lines.
async fn lines(client: &Client, path: &str) -> Vec<Value> {
    let request = client.request(Method::GET, path).header("accept", "application/x-ndjson");
    let answer = request.send().await.expect("the node answers");
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let text = answer.text().await.expect("the answer comes whole");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// What the node answers to a batch of lines.
async fn batch(client: &Client, query: &str, body: &'static str) -> (u16, Value) {
    let request = client.request(Method::POST, &format!("/messages/batch{query}"));
    let request = request.header("content-type", "application/x-ndjson").body(body);
    let answer = request.send().await.expect("the node answers");
    (answer.status().as_u16(), answer.json().await.expect("the answer is JSON"))
}

#[tokio::test]
async fn lines_go_in_and_come_out_as_they_are() {
    let cluster = Cluster::running().await;
    let (client, text) =
        (cluster.client(), "{\"message\": {\"b\": 1, \"a\": 2}}\n\n{\"message\": \"x\", \"id\": \"i\"}");
    let (status, answer) = batch(&client, "?w=3&expect_order=0", text).await;
    assert_eq!((status, &answer["first_order"], &answer["count"]), (200, &json!(0), &json!(2)), "{answer}");
    assert_eq!(answer["message_ids"][1], "i");
    for client in [client, cluster.reader(1)] {
        assert_eq!(lines(&client, "/messages").await, [json!({"b": 1, "a": 2}), json!("x")]);
        let full = lines(&client, "/full_messages?from=1").await;
        let at = &full[0]["at"];
        assert!(at.is_u64(), "{full:?}");
        assert_eq!(full, [json!({"order": 1, "epoch": "1.0", "at": at, "id": "i", "message": "x"})]);
        let first = lines(&client, "/full_messages?limit=1").await.remove(0);
        assert_eq!((&first["more"], &first["at"]), (&json!(true), at), "the batch goes on, at the same time");
    }
}

#[tokio::test]
async fn a_refused_batch_names_the_line_and_stores_nothing() {
    let cluster = Cluster::running().await;
    let client = cluster.client();
    for (query, body, field, line) in [
        ("", "{\"message\": 1}\n\n{\"massage\": 2}", json!("massage"), json!(3)),
        ("", "{\"message\": 1}\n{\"message\": 2, \"id\": \"\"}", json!("id"), json!(2)),
        ("", "{\"message\": 1, \"id\": \"a\"}\n{\"message\": 2, \"id\": \"a\"}", json!("id"), json!(2)),
        ("", "{\"message\": 1}\n{", Value::Null, json!(2)),
        ("?w=4", "{\"message\": 1}", json!("w"), Value::Null),
        ("?id=4", "{\"message\": 1}", json!("id"), Value::Null),
        ("", "\n", json!("messages"), Value::Null),
    ] {
        let (status, problem) = batch(&client, query, body).await;
        assert_eq!((status, &problem["field"], &problem["line"]), (400, &field, &line), "{body}: {problem}");
    }
    assert_eq!(client.messages().await, Some(vec![]));
}

/// Runs `replog` to its end, and gives its exit code and all that it wrote.
async fn replog(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let args = args.iter().map(OsString::from).collect();
    let log = folder.join("replog.log");
    // Each run has a log of its own.
    let _none_yet = fs::remove_file(&log);
    let mut process = Process::new("replog", programs::replog(), args, log);
    process.start();
    (process.ended(SOON).await.code(), process.log())
}

#[tokio::test]
async fn an_exported_log_imports_into_the_same_log_and_twice_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (source, target) = (Cluster::running().await, Cluster::running().await);
    source.client().append_range(0..300, 3).await;
    let (from, to) = (source.client().url(""), target.client().url(""));

    assert_eq!(replog(folder.path(), &["export", "--url", &from, &path("log")]).await.0, Some(0));
    let exported = fs::read_to_string(path("log")).expect("the file is there");
    for duplicates in ["0", "300"] {
        let args = ["import", "--url", &to, "--batch", "70", &path("log")];
        let (code, said) = replog(folder.path(), &args).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("300 messages are in the log, {duplicates} of them")), "{said}");
    }
    // Batches that are cut otherwise are known in part.
    let (code, said) = replog(folder.path(), &["import", "--url", &to, "--batch", "90", &path("log")]).await;
    assert!(code == Some(0) && said.contains("300 of them"), "{said}");
    let entries = |cluster: &Cluster| cluster.client();
    assert_eq!(entries(&target).entries().await, entries(&source).entries().await);

    // An export that was cut off in the middle of a line goes on.
    fs::write(path("torn"), &exported[..exported.len() / 2]).expect("a file can be written");
    let (code, said) = replog(folder.path(), &["export", "--url", &from, "--resume", &path("torn")]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_to_string(path("torn")).expect("the file is there"), exported);
    // Into a log that is another one now it does not.
    assert_eq!(source.client().post("/clean", json!({"w": 3})).await.status, 200);
    let (code, said) = replog(folder.path(), &["export", "--url", &from, "--resume", &path("torn")]).await;
    assert_eq!(code, Some(1), "{said}");
}

#[tokio::test]
async fn lines_without_ids_are_imported_once_however_often() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let cluster = Cluster::running().await;
    let file = folder.path().join("events.ndjson").display().to_string();
    let args = ["import", "--bare", "--url", &cluster.client().url(""), &file];
    for text in ["1\n1\n{\"a\": \"b\"}\n", "1\n1\n{\"a\": \"b\"}\n", "1\n1\n{\"a\": \"b\"}\n4\n"] {
        fs::write(&file, text).expect("a file can be written");
        let (code, said) = replog(folder.path(), &args).await;
        assert_eq!(code, Some(0), "{said}");
    }
    let expected = vec![json!(1), json!(1), json!({"a": "b"}), json!(4)];
    assert_eq!(cluster.client().messages().await, Some(expected));
    fs::write(&file, "5\n{\n").expect("a file can be written");
    let (code, said) = replog(folder.path(), &args).await;
    assert!(code == Some(2) && said.contains("line 2 of the input"), "{said}");
}
