//! What a refusal says to a client that wants to send the same again.

use std::time::Duration;

use replog_master::Config;
use serde_json::json;

use crate::support::{Master, config};

#[tokio::test]
async fn an_append_without_an_id_is_told_the_id_to_retry_with() {
    let master = Master::leading().await;
    let answer = master.post("/messages", r#"{"message": 1, "w": 2, "timeout_ms": 1}"#).await;
    let id = answer.problem(504, "unconfirmed")["message_id"].clone();
    let retry = json!({"message": 1, "w": 1, "id": id});
    let again = master.post("/messages", &retry.to_string()).await;
    assert_eq!((&again.body["duplicate"], &again.body["message_id"]), (&json!(true), &id), "{again:?}");

    let answer = master
        .post(
            "/messages/batch",
            r#"{"messages": [{"message": 2}, {"message": 3, "id": "x"}], "w": 2, "timeout_ms": 1}"#,
        )
        .await;
    let ids = answer.problem(504, "unconfirmed")["message_ids"].clone();
    assert_eq!(ids[1], "x");
    let retry = json!({"messages": [{"message": 2, "id": ids[0]}, {"message": 3, "id": "x"}], "w": 1});
    let again = master.post("/messages/batch", &retry.to_string()).await;
    assert_eq!(
        (&again.body["duplicate"], &again.body["first_order"]),
        (&json!(true), &json!(1)),
        "{again:?}"
    );
    assert_eq!(master.get("/messages").await.body, json!({"messages": [1, 2, 3]}));
}

#[tokio::test]
async fn what_may_be_retried_names_the_id_and_what_may_not_does_not() {
    let master = Master::leading_with(Config { read_only_without_majority: true, ..config() }).await;
    let read_only = master.post("/messages", r#"{"message": 1, "w": 1}"#).await;
    assert!(read_only.problem(503, "read_only")["message_id"].is_string(), "{read_only:?}");
    let wrong = master.post("/messages", r#"{"message": 1, "w": 1, "expect_order": 7}"#).await;
    assert_eq!(wrong.problem(412, "unexpected_order").get("message_id"), None);
}

/// The master's log has the message, but before it leads it does not look for it.
#[tokio::test]
async fn an_id_that_is_not_looked_up_is_not_called_absent() {
    let master = Master::started(Config { recovery_wait: Duration::from_secs(3_600), ..config() }).await;
    for (path, body, applied) in [
        ("/messages", r#"{"message": 1, "id": "a", "w": 1, "timeout_ms": 0}"#, json!("unknown")),
        ("/messages", r#"{"message": 1, "w": 1, "timeout_ms": 0}"#, json!(false)),
        (
            "/messages/batch",
            r#"{"messages": [{"message": 1}, {"message": 1, "id": "a"}], "w": 1, "timeout_ms": 0}"#,
            json!("unknown"),
        ),
        ("/messages/batch", r#"{"messages": [{"message": 1}], "w": 1, "timeout_ms": 0}"#, json!(false)),
    ] {
        let answer = master.post(path, body).await;
        let problem = answer.problem(503, "recovering");
        assert_eq!(problem["applied"], applied, "{body}");
        let names_ids = problem["message_id"].is_string() || problem["message_ids"].is_array();
        assert!(names_ids, "{problem}");
    }
}

#[tokio::test]
async fn an_id_that_is_looked_up_and_not_there_is_absent() {
    let master = Master::leading_with(Config { read_only_without_majority: true, ..config() }).await;
    let read_only = master.post("/messages", r#"{"message": 1, "id": "a", "w": 1}"#).await;
    assert_eq!(read_only.problem(503, "read_only")["applied"], false);
    let wrong = master.post("/messages", r#"{"message": 1, "id": "a", "w": 1, "expect_order": 7}"#).await;
    assert_eq!(wrong.problem(412, "unexpected_order")["applied"], false);
}

#[tokio::test]
async fn the_same_value_in_other_words_is_not_sent_away_with_a_new_id() {
    let master = Master::leading().await;
    for (nth, (one, other)) in
        [(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#), ("1", "1.0"), (r#""é""#, r#""\u00e9""#)]
            .into_iter()
            .enumerate()
    {
        let body = |message: &str| format!(r#"{{"message": {message}, "id": "{nth}", "w": 1}}"#);
        assert_eq!(master.post("/messages", &body(one)).await.body["order"], nth);
        let answer = master.post("/messages", &body(other)).await;
        let problem = answer.problem(409, "conflict");
        assert_eq!((&problem["order"], &problem["same_value"]), (&json!(nth), &json!(true)), "{problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("the same value in other words") && !detail.contains("new id"), "{detail}");
        // Of the text that was sent; the words say what is there.
        assert_eq!(problem["applied"], false);
        assert!(detail.contains("The value is in the log, and only this text of it is not"), "{detail}");
        // The step that it names.
        assert_eq!(master.get(&format!("/messages/{nth}")).await.body["id"], nth.to_string());
    }
    let other = master.post("/messages", r#"{"message": 2, "id": "1", "w": 1}"#).await;
    let problem = other.problem(409, "conflict");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("Use a new id")), "{problem}");
    assert_eq!(problem.get("same_value"), None);
    let items =
        r#"{"messages": [{"message": {"b": 2, "a": 1}, "id": "0"}, {"message": 1.0, "id": "1"}], "w": 1}"#;
    let answer = master.post("/messages/batch", items).await;
    let problem = answer.problem(409, "conflict");
    assert_eq!((&problem["same_value"], &problem["line"]), (&json!(true), &json!(1)), "{problem}");
}
