//! Requests that wait for other nodes leave room for those that do not.

use std::{future::Future, time::Duration};

use replog_master::Config;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinHandle, time::timeout};

use crate::support::{Answer, DEADLINE, Master, ask, config, request, rest};

/// Of twenty connections.
const WAITS: u64 = 16;

/// A master that serves twenty connections, and as many appends that wait as may.
async fn full() -> (Master, Vec<JoinHandle<Answer>>) {
    let mut config = config();
    config.edge.limits.max_connections = 20;
    full_with(config).await
}

async fn full_with(config: Config) -> (Master, Vec<JoinHandle<Answer>>) {
    let master = Master::leading_with(config).await;
    let body = |nth: u64| format!(r#"{{"message": {nth}, "id": "{nth}", "w": 2}}"#);
    let waiting = (0..WAITS).map(|nth| master.post_waiting("/messages", body(nth))).collect();
    master.pending_writes(WAITS).await;
    (master, waiting)
}

async fn within<T>(wait: impl Future<Output = T>) -> T {
    timeout(DEADLINE, wait).await.expect("an answer in time")
}

#[tokio::test]
async fn one_more_that_would_wait_is_refused_before_anything_is_appended() {
    let (master, _waiting) = full().await;
    for (path, body) in [
        ("/messages", r#"{"message": "more", "w": 2}"#),
        ("/messages", r#"{"message": "more", "id": "more", "w": 3}"#),
        ("/messages", r#"{"message": "more"}"#),
        ("/messages/batch", r#"{"messages": [{"message": "more"}], "w": 2}"#),
        ("/clean", r#"{"w": 2}"#),
    ] {
        let answer = within(master.post(path, body)).await;
        let problem = answer.problem(503, "overloaded");
        assert_eq!((&problem["applied"], &problem["retryable"]), (&json!(false), &json!(true)), "{problem}");
        assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    }
    assert_eq!(within(master.get("/health")).await.body["length"], WAITS);
}

#[tokio::test]
async fn what_does_not_wait_has_room() {
    let (master, _waiting) = full().await;
    for path in
        ["/livez", "/readyz", "/health", "/metrics", "/messages", "/messages/0", "/messages?min_order=15"]
    {
        assert_eq!(within(master.get(path)).await.status, 200, "{path}");
    }
    let answer = within(master.post("/messages", r#"{"message": "more", "w": 1}"#)).await;
    assert_eq!((answer.status, &answer.body["order"]), (200, &json!(WAITS)));
    // What is there already is answered, if it need not be waited for.
    let answer = within(master.post("/messages", r#"{"message": 3, "id": "3", "w": 1}"#)).await;
    assert_eq!((answer.status, &answer.body["order"]), (200, &json!(3)));
}

#[tokio::test]
async fn what_is_in_the_log_is_not_called_absent_for_want_of_room() {
    let (master, _waiting) = full().await;
    let answer = within(master.post("/messages", r#"{"message": 3, "id": "3", "w": 2}"#)).await;
    let problem = answer.problem(503, "overloaded");
    assert_eq!((&problem["applied"], &problem["order"]), (&json!(true), &json!(3)), "{problem}");
    assert_eq!(problem["message_id"], "3");
    let other = within(master.post("/messages", r#"{"message": "another", "id": "3", "w": 2}"#)).await;
    assert_eq!(other.problem(409, "conflict")["order"], 3);
    let problem = within(master.get("/messages/3?w=2")).await;
    assert_eq!(problem.problem(503, "overloaded")["applied"], true);
}

#[tokio::test]
async fn reads_that_wait_share_the_room() {
    let (master, waiting) = full().await;
    within(master.get("/messages?min_order=16")).await.problem(503, "overloaded");
    within(master.get("/tail")).await.problem(503, "too_many_tails");
    within(master.get("/events")).await.problem(503, "overloaded");
    waiting[0].abort();
    master.pending_writes(WAITS - 1).await;
    let (addr, shown) = (master.addr, r#"{"message": "shown", "w": 1}"#);
    let read = tokio::spawn(async move { ask(addr, "GET", "/messages?min_order=16&from=16", "").await });
    let answer = within(master.post("/messages", shown)).await;
    assert_eq!(answer.body["order"], WAITS);
    assert_eq!(within(read).await.expect("no panic").body, json!({"messages": ["shown"]}));
}

/// While a master starts, an append with w = 1 waits as well.
#[tokio::test]
async fn held_appends_leave_room_for_health() {
    let mut config = Config { recovery_wait: Duration::from_secs(3_600), ..config() };
    config.edge.limits.max_connections = 20;
    let master = Master::started(config).await;
    let body = |nth: u64| format!(r#"{{"message": {nth}, "w": 1}}"#);
    let held: Vec<_> = (0..WAITS).map(|nth| master.post_waiting("/messages", body(nth))).collect();
    within(async { while !all_are_held(&master).await {} }).await;
    let refused = within(master.post("/messages", r#"{"message": "more", "w": 1}"#)).await;
    assert_eq!(refused.problem(503, "recovering")["applied"], false);
    assert_eq!(within(master.get("/health")).await.body["status"], "recovering");
    held.iter().for_each(JoinHandle::abort);
}

async fn all_are_held(master: &Master) -> bool {
    let mut socket = TcpStream::connect(master.addr).await.expect("the master listens");
    socket.write_all(request("GET", "/metrics", "").as_bytes()).await.expect("it takes a request");
    let held = format!(" {WAITS}");
    let told = rest(&mut socket).await;
    told.lines().any(|line| line.contains("\"held_appends\"") && line.ends_with(&held))
}
