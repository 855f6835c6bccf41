//! A whole master in this process, over HTTP. Its secondaries are configured and never there: only w = 1 is met.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod batches;
mod retries;
mod support;
mod waits;

use std::{fmt::Write as _, time::Duration};

use replog_master::Config;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use support::{Answer, DEADLINE, Master, ask, config, request, rest};

#[tokio::test]
async fn every_refused_value_is_told_with_what_is_allowed() {
    let master = Master::leading().await;
    let member = |member: &str| ("/messages", format!(r#"{{"message": 1, {member}}}"#));
    let of_batch = |body: &str| ("/messages/batch", body.to_owned());
    let (w, id) = ("a whole number from 1 to 3", "a string of 1 to 128 characters");
    let (number, batch) = ("a whole number from 0", "an array of 1 to 10000 messages");
    let mut cases = Vec::new();
    for value in ["null", "1.0", "1e0", "-0", "\"1\"", "18446744073709551616", "1e400", "0", "4", "true"] {
        cases.push((member(&format!(r#""w": {value}"#)), "w", w));
    }
    for value in ["7", "null", "\"\"", r#""\ud800""#, r#""\udfff""#, "[]"] {
        cases.push((member(&format!(r#""id": {value}"#)), "id", id));
    }
    for value in ["-1", "\"0\"", "null", "1.5"] {
        cases.push((member(&format!(r#""expect_order": {value}"#)), "expect_order", number));
        cases.push((member(&format!(r#""timeout_ms": {value}"#)), "timeout_ms", number));
    }
    cases.push((("/clean", r#"{"w": null}"#.to_owned()), "w", w));
    cases.push((of_batch(r#"{"messages": [], "w": 1}"#), "messages", batch));
    cases.push((of_batch(r#"{"messages": 1}"#), "messages", batch));
    cases.push((
        of_batch(r#"{"messages": [{"message": 1}, {"message": 1, "id": 1}]}"#),
        "messages[1].id",
        id,
    ));
    let mut failures = String::new();
    for ((path, body), field, allowed) in cases {
        let Answer { status, body: problem, .. } = master.post(path, &body).await;
        let told = (status, &problem["field"], &problem["allowed"], &problem["code"]);
        if told != (400, &json!(field), &json!(allowed), &json!("invalid_field")) {
            writeln!(failures, "{path} {body}: {told:?}").unwrap();
        }
    }
    assert_eq!(failures, "");
    assert_eq!(master.get("/messages").await.body, json!({"messages": []}));
}

#[tokio::test]
async fn a_message_that_its_readers_could_not_read_is_refused() {
    let master = Master::leading().await;
    for body in [r#"{"message": 1e400, "w": 1}"#, r#"{"message": "\ud800", "w": 1}"#, r#"{"w": 1}"#] {
        let answer = master.post("/messages", body).await;
        let problem = answer.problem(400, "invalid_field");
        assert_eq!(problem["field"], "message");
        assert!(problem["allowed"].as_str().unwrap().contains("any JSON value"), "{problem}");
    }
    let unknown = master.post("/messages", r#"{"message": 1, "W": 1}"#).await;
    assert_eq!(unknown.body["allowed"], json!(["message", "id", "w", "timeout_ms", "expect_order"]));
}

#[tokio::test]
async fn a_w_in_the_query_is_refused_with_the_nodes_there_are() {
    let master = Master::leading().await;
    master.post("/messages", r#"{"message": 1, "w": 1}"#).await;
    for w in ["abc", "0", "4", "-1", "1.0", "18446744073709551616", "", "%31%00"] {
        let answer = master.get(&format!("/messages/0?w={w}")).await;
        let problem = answer.problem(400, "invalid_parameter");
        assert_eq!(
            (&problem["field"], &problem["allowed"]),
            (&json!("w"), &json!("a whole number from 1 to 3"))
        );
    }
    let answer = master.get("/messages?from=x").await;
    assert_eq!(answer.problem(400, "invalid_parameter")["allowed"], "a whole number from 0");
}

#[tokio::test]
async fn an_order_in_the_path_is_written_in_one_way() {
    let master = Master::leading().await;
    for order in ["+0", "00", "%30", "-0", "0x0", "x", "%ff", "18446744073709551616"] {
        let answer = master.get(&format!("/messages/{order}")).await;
        let problem = answer.problem(400, "invalid_field");
        assert_eq!(problem["field"], "order", "{order}");
        assert!(problem["allowed"].as_str().unwrap().contains("decimal digits"), "{problem}");
    }
    master.get("/messages/0").await.problem(404, "no_such_order");
}

#[tokio::test]
async fn an_entry_is_read_with_the_epoch_of_the_answer() {
    let master = Master::leading().await;
    master.post("/messages", r#"{"message": 1, "w": 1}"#).await;
    master.post("/clean", r#"{"w": 1}"#).await;
    master.post("/messages", r#"{"message": 2, "w": 1, "id": "a"}"#).await;
    let answer = master.get("/messages/0").await;
    let at = &answer.body["at"];
    assert!(at.as_u64().is_some_and(|at| at > 1_764_412_800_000), "a time of day in milliseconds: {at}");
    let expected =
        json!({"order": 0, "epoch": "1.1", "at": at, "id": "a", "message": 2, "nodes": ["master"]});
    assert_eq!((answer.status, &answer.body), (200, &expected));
    assert!(
        answer.head.contains("replog-epoch: 1.1") && answer.head.contains("replog-log-id: "),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_clean_that_is_not_followed_in_time_speaks_of_the_clean() {
    let master = Master::leading().await;
    master.post("/messages", r#"{"message": 1, "w": 1}"#).await;
    let answer = master.post("/clean", r#"{"w": 2, "timeout_ms": 1}"#).await;
    let problem = answer.problem(504, "unconfirmed");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("The log is empty") && !detail.contains("order"), "{detail}");
    assert_eq!((&problem["applied"], &problem["w"], problem.get("order")), (&json!(true), &json!(2), None));
    // To ask again would empty what was appended since.
    assert_eq!(problem["retryable"], false);
}

#[tokio::test]
async fn a_clean_that_the_stop_interrupts_speaks_of_the_clean() {
    let master = Master::leading().await;
    let waiting = master.post_waiting("/clean", r#"{"w": 2}"#);
    master.pending_writes(1).await;
    master.running.stop().await.unwrap();
    let answer = waiting.await.unwrap();
    let problem = answer.problem(503, "stopping");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("log is empty") && problem.get("order").is_none(), "{problem}");
}

#[tokio::test]
async fn a_master_that_does_not_lead_yet_says_so_of_what_it_was_asked() {
    let master = Master::started(Config { recovery_wait: Duration::from_secs(3_600), ..config() }).await;
    for (method, path, words) in [
        ("POST", "/clean", "The log was not emptied"),
        ("GET", "/messages/0", "Which nodes hold it is not known"),
    ] {
        let answer = ask(master.addr, method, path, "").await;
        let problem = answer.problem(503, "recovering");
        assert!(problem["detail"].as_str().unwrap().starts_with(words), "{problem}");
        assert_eq!((&problem["applied"], &problem["retryable"]), (&json!(false), &json!(true)));
    }
    master.get("/readyz").await.problem(503, "not_ready");
}

#[tokio::test]
async fn who_waits_while_the_log_is_emptied_is_told_so() {
    let master = Master::leading().await;
    let write = master.post_waiting("/messages", r#"{"message": 1, "w": 2}"#);
    master.pending_writes(1).await;
    let clean = master.post_waiting("/clean", r#"{"w": 2, "timeout_ms": 500}"#);
    assert_eq!(write.await.unwrap().problem(409, "cleaned")["applied"], "unknown");
    master.pending_writes(1).await;
    master.post("/clean", r#"{"w": 1}"#).await;
    let unconfirmed = clean.await.unwrap();
    let unconfirmed = unconfirmed.problem(504, "unconfirmed");
    assert_eq!(
        unconfirmed["applied"], true,
        "a clean that another one follows goes on to wait for its nodes"
    );
    assert_eq!(unconfirmed["nodes"], json!(["master"]));
}

#[tokio::test]
async fn who_waits_to_be_shown_something_is_told_when_the_master_stops() {
    let master = Master::leading().await;
    let mut waiting = TcpStream::connect(master.addr).await.unwrap();
    waiting.write_all(request("GET", "/messages?min_order=3", "").as_bytes()).await.unwrap();
    // A later request is answered: the earlier connection was accepted before it.
    assert_eq!(master.get("/livez").await.status, 200);
    let stopping = tokio::spawn(master.running.stop());
    let answer = Answer::of(&rest(&mut waiting).await);
    assert_eq!(answer.problem(503, "stopping")["applied"], false);
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    timeout(DEADLINE, stopping).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_question_to_a_master_that_has_stopped_changes_nothing() {
    let master = Master::leading().await;
    let mut late = Vec::new();
    for path in ["/health", "/messages/0"] {
        let request = request("GET", path, "");
        let mut socket = TcpStream::connect(master.addr).await.unwrap();
        let (begun, rest) = request.split_at(20);
        socket.write_all(begun.as_bytes()).await.unwrap();
        late.push((socket, rest.to_owned()));
    }
    let write = master.post_waiting("/messages", r#"{"message": 1, "w": 2}"#);
    master.pending_writes(1).await;
    let stopping = tokio::spawn(master.running.stop());
    // From here on the node's task answers nobody.
    assert_eq!(write.await.unwrap().problem(503, "stopping")["applied"], true);
    for (mut socket, request) in late {
        socket.write_all(request.as_bytes()).await.unwrap();
        let answer = Answer::of(&rest(&mut socket).await);
        assert_eq!(answer.problem(503, "stopping")["applied"], false);
    }
    timeout(DEADLINE, stopping).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_master_that_is_dropped_stops() {
    let Master { running, addr } = Master::leading().await;
    drop(running);
    let gone = async { while TcpStream::connect(addr).await.is_ok() {} };
    timeout(DEADLINE, gone).await.expect("nobody listens any more");
}

#[tokio::test]
async fn probes_and_health_say_the_same_on_every_node() {
    let master = Master::leading().await;
    for path in ["/livez", "/readyz"] {
        let answer = master.get(path).await;
        assert_eq!((answer.status, &answer.body), (200, &json!({"status": "ok"})));
        assert!(answer.head.contains("content-type: application/json"), "{answer:?}");
    }
    let health = master.get("/health").await.body;
    assert_eq!((&health["status"], &health["role"]), (&json!("degraded"), &json!("master")));
    assert_eq!(health["reason"], "s1 is unhealthy, s2 is unhealthy");
}

#[tokio::test]
async fn head_and_options_are_answered() {
    let master = Master::leading().await;
    master.post("/messages", r#"{"message": 1, "w": 1}"#).await;
    for path in ["/messages", "/full_messages", "/messages/0", "/health", "/metrics", "/livez", "/readyz"] {
        let answer = ask(master.addr, "HEAD", path, "").await;
        assert_eq!((answer.status, answer.body), (200, Value::Null), "{path}");
    }
    ask(master.addr, "POST", "/metrics", "").await.problem(405, "method_not_allowed");
    let options = ask(master.addr, "OPTIONS", "/messages", "").await;
    options.problem(405, "method_not_allowed");
    assert!(options.head.contains("allow: ") && options.head.contains("POST"), "{options:?}");
}

#[tokio::test]
async fn what_a_batch_is_refused_for() {
    let master = Master::leading().await;
    let batch = |items: &str, more: &str| format!(r#"{{"messages": [{items}]{more}}}"#);
    let many = vec![r#"{"message": 1}"#; 10_001].join(",");
    let large = format!(r#"{{"message": "{}"}}"#, "x".repeat(1_100_000));
    let twice = r#"{"message": 1, "id": "a"}, {"message": 2, "id": "\u0061"}"#;
    let one = r#"{"message": 1}"#;
    for (body, status, code, member, value) in [
        (batch(&many, r#", "w": 1"#), 400, "invalid_field", "field", json!("messages")),
        (batch(&large, r#", "w": 1"#), 413, "message_too_large", "applied", json!(false)),
        (batch(one, r#", "w": 1, "expect_order": 9"#), 412, "unexpected_order", "length", json!(0)),
        (batch(twice, r#", "w": 1"#), 400, "invalid_field", "field", json!("messages[1].id")),
    ] {
        assert_eq!(master.post("/messages/batch", &body).await.problem(status, code)[member], value);
    }
    let (a, b, c) =
        (r#"{"message": 1, "id": "a"}"#, r#"{"message": 2, "id": "b"}"#, r#"{"message": 3, "id": "c"}"#);
    let two = batch(&format!("{a}, {b}"), r#", "w": 2, "timeout_ms": 1"#);
    let answer = master.post("/messages/batch", &two).await;
    assert_eq!(answer.problem(504, "unconfirmed")["applied"], true);
    assert_eq!(master.get("/messages").await.body, json!({"messages": [1, 2]}));
    let partly = batch(&format!("{b}, {c}"), r#", "w": 1"#);
    master.post("/messages/batch", &partly).await.problem(409, "conflict");
}

#[tokio::test]
async fn a_clean_is_asked_for_in_one_way() {
    let master = Master::leading().await;
    master.post("/messages", r#"{"message": 1, "w": 1}"#).await;
    for body in [r#"{"W": 1}"#, r#"{"w": 4}"#, r#"{"message": 1}"#] {
        master.post("/clean", body).await.problem(400, "invalid_field");
    }
    master.post("/clean", "[]").await.problem(400, "invalid_body");
    master.post("/clean", "{").await.problem(400, "invalid_json");
    master.post("/clean?w=1", "{}").await.problem(400, "unknown_parameter");
    assert_eq!(master.get("/messages").await.body, json!({"messages": [1]}));
    let careful = Master::leading_with(Config { allow_clean: false, ..config() }).await;
    careful.post("/clean", "{}").await.problem(403, "clean_not_allowed");
}

#[tokio::test]
async fn faults_live_in_the_secondaries() {
    let faults = r#"{"delay_ms": 1}"#;
    let master = Master::leading().await;
    master.get("/faults").await.problem(403, "faults_not_allowed");
    let willing = Master::leading_with(Config { allow_faults: true, ..config() }).await;
    let answer = ask(willing.addr, "PUT", "/faults", faults).await;
    assert_eq!(answer.problem(404, "no_faults_here")["secondaries"], json!(["s1", "s2"]));
}

#[tokio::test]
async fn the_limits_are_those_of_the_configuration() {
    let mut config = config();
    config.edge.limits.max_body_bytes = 2_000;
    let master = Master::leading_with(config).await;
    let answer = master.post("/messages", &format!(r#"{{"message": "{}"}}"#, "x".repeat(2_000))).await;
    assert_eq!(answer.problem(413, "body_too_large")["limit"], 2_000);
}

#[tokio::test]
async fn an_answer_tells_how_many_nodes_a_promotion_must_reach_to_keep_it() {
    let master = Master::leading().await;
    let answer = master.post("/messages", r#"{"message": 1, "w": 1}"#).await;
    assert_eq!(answer.body["kept_if_reached"], 3, "one of three nodes holds it, so all must be reached");
    master.running.stop().await.unwrap();
}
