//! Which message of a batch a refusal is about, and what a batch is told to wait for.

use serde_json::{Value, json};

use crate::support::{Answer, Master, ask_with};

async fn post_lines(master: &Master, query: &str, lines: &str) -> Answer {
    ask_with(master.addr, "POST", &format!("/messages/batch?{query}"), "application/x-ndjson", lines).await
}

fn array(lines: &[String]) -> String {
    format!(r#"{{"messages": [{}], "w": 1}}"#, lines.join(","))
}

/// Sends a batch in both forms, and gives what is said of the message to blame: status, code, line, field, id.
async fn refused(master: &Master, lines: &[String]) -> [(u16, Value, Value, Value, Value); 2] {
    let by_array = master.post("/messages/batch", &array(lines)).await;
    // A blank line before each: it counts as a line of the body.
    let text: String = lines.iter().map(|line| format!("\n{line}\n")).collect();
    let by_lines = post_lines(master, "w=1", &text).await;
    [by_array, by_lines].map(|answer| {
        let of = |name: &str| answer.body[name].clone();
        (answer.status, of("code"), of("line"), of("field"), of("id"))
    })
}

#[tokio::test]
async fn the_message_to_blame_is_named_in_both_forms() {
    let master = Master::leading().await;
    master.post("/messages", r#"{"message": 1, "id": "taken", "w": 1}"#).await;
    let fine = || r#"{"message": 1, "id": "fine"}"#.to_owned();
    let large = format!(r#"{{"message": "{}", "id": "bad"}}"#, "x".repeat(1_100_000));
    for (second, status, code, field) in [
        (large.as_str(), 413, "message_too_large", "message"),
        (r#"{"message": 2, "id": "taken"}"#, 409, "conflict", "id"),
        (r#"{"message": 1, "id": "taken"}"#, 409, "conflict", "id"),
        (r#"{"message": 1, "id": "fine"}"#, 400, "invalid_field", "id"),
        (r#"{"message": 1, "id": "bad", "w": 1}"#, 400, "invalid_field", "w"),
        (r#"{"message": 1e400, "id": "bad"}"#, 400, "invalid_field", "message"),
        (r#"{"id": "bad"}"#, 400, "invalid_field", "message"),
    ] {
        let id: Value =
            serde_json::from_str::<Value>(second).map_or(json!("bad"), |value| value["id"].clone());
        let told = refused(&master, &[fine(), second.to_owned()]).await;
        let in_array = format!("messages[1].{field}");
        let expected = [(2, in_array.as_str()), (4, field)];
        for (told, (line, field)) in told.into_iter().zip(expected) {
            assert_eq!(told, (status, json!(code), json!(line), json!(field), id.clone()), "{second:.80}");
        }
    }
    assert_eq!(master.get("/messages").await.body, json!({"messages": [1]}));
}

#[tokio::test]
async fn one_message_is_named_by_its_field() {
    let master = Master::leading().await;
    master.post("/messages", r#"{"message": 1, "id": "taken", "w": 1}"#).await;
    let conflict = master.post("/messages", r#"{"message": 2, "id": "taken", "w": 1}"#).await;
    let problem = conflict.problem(409, "conflict");
    assert_eq!(
        (&problem["field"], &problem["id"], problem.get("line")),
        (&json!("id"), &json!("taken"), None)
    );
    let large = format!(r#"{{"message": "{}", "id": "large", "w": 1}}"#, "x".repeat(1_100_000));
    let answer = master.post("/messages", &large).await;
    let problem = answer.problem(413, "message_too_large");
    assert_eq!((&problem["field"], &problem["id"]), (&json!("message"), &json!("large")));
}

#[tokio::test]
async fn a_batch_that_is_not_held_in_time_names_its_last_order() {
    let master = Master::leading().await;
    master.post("/messages", r#"{"message": "before", "w": 1}"#).await;
    let lines = "{\"message\": 1}\n{\"message\": 2}\n{\"message\": 3}\n";
    let answer = post_lines(&master, "w=2&timeout_ms=1", lines).await;
    let problem = answer.problem(504, "unconfirmed");
    let told = ["order", "first_order", "count", "applied"].map(|name| problem[name].clone());
    assert_eq!(told, [json!(3), json!(1), json!(3), json!(true)], "{problem}");
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.contains("GET /messages/3?w=2 ")),
        "{problem}"
    );
    assert_eq!(problem["message_ids"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_batch_that_the_stop_interrupts_names_its_last_order() {
    let master = Master::leading().await;
    let waiting =
        master.post_waiting("/messages/batch", r#"{"messages": [{"message": 1}, {"message": 2}], "w": 2}"#);
    master.pending_writes(1).await;
    master.running.stop().await.expect("it stops");
    let answer = waiting.await.expect("no panic");
    let problem = answer.problem(503, "stopping");
    let told = ["order", "first_order", "count"].map(|name| problem[name].clone());
    assert_eq!(told, [json!(1), json!(0), json!(2)], "{problem}");
    assert_eq!(problem["message_ids"].as_array().map(Vec::len), Some(2));
}
