//! Appends over NATS: what HTTP answers and promises, by another door.

use std::time::Duration;

use futures_util::{StreamExt as _, future::join_all};
use replog_tests::harness::{Answer, Client, Cluster, FrontDoor, Options, SOON, wait_until};
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Requests that wait at one time; one more is refused.
const PLACES: usize = 8_192;

/// How many of them may wait for other nodes.
const WAITS: usize = 6_553;

/// A client of the open door.
async fn door_of(cluster: &Cluster) -> FrontDoor {
    let door = cluster.front_door().await;
    wait_until("the door is open", SOON, async || door.is_open().await).await;
    door
}

/// What HTTP answers to the same text.
async fn over_http(client: &Client, body: Vec<u8>) -> Answer {
    let request = client.request(Method::POST, "/messages").header(CONTENT_TYPE, "application/json");
    let answer = request.body(body).send().await.expect("the node answers");
    Answer::of(answer).await.expect("the answer comes whole")
}

/// Everything that both doors say.
fn said(answer: &Answer) -> (u16, &str, &Option<String>, &Value) {
    (answer.status, &answer.content_type, &answer.retry_after, &answer.body)
}

#[tokio::test]
async fn both_doors_give_the_same_answers_and_share_one_order() {
    let cluster = Cluster::running().await;
    let (http, door) = (cluster.client(), door_of(&cluster).await);
    for w in 1..=3 {
        let body = |id: &str| json!({"message": {"w": w}, "w": w, "id": format!("{id}{w}")});
        let (by_http, by_nats) = (http.append(body("h")).await, door.append(body("n")).await);
        let first = 2 * (w as u64 - 1);
        assert_eq!((by_http.order(), by_nats.order()), (first, first + 1));
        let (by_http, by_nats) = (by_http.expect_ok(w), by_nats.expect_ok(w));
        let members =
            |answer: &Answer| answer.body.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_eq!(members(&by_http), members(&by_nats));
        assert_eq!(
            (&by_nats.body["message_id"], &by_nats.body["epoch"]),
            (&json!(format!("n{w}")), &by_http.body["epoch"])
        );
        assert_eq!((&by_nats.body["w"], &by_nats.body["duplicate"]), (&json!(w), &json!(false)));

        // Who comes back by the other door is recognised.
        for (again, order) in
            [(door.append(body("h")).await, first), (http.append(body("n")).await, first + 1)]
        {
            assert_eq!((again.order(), &again.body["duplicate"]), (order, &json!(true)), "{again:?}");
        }
    }
    let all_nodes = door.append(json!({"message": "no w"})).await.expect_ok(3);
    assert!(all_nodes.body["message_id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(cluster.equal_logs(SOON).await.len(), 7);
}

#[tokio::test]
async fn what_is_refused_is_refused_in_the_same_words() {
    let mut cluster = Cluster::running().await;
    let (http, door) = (cluster.client(), door_of(&cluster).await);
    http.append(json!({"message": "there", "id": "taken", "w": 3})).await.expect_ok(3);
    cluster.secondary(2).process.kill();
    cluster.wait_for_missing(2).await;
    let late = json!({"message": "late", "id": "late", "w": 3, "timeout_ms": 1}).to_string();
    assert_eq!(over_http(&http, late.clone().into()).await.status, 504);
    let deep = format!(r#"{{"message": {}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let large = json!({"message": "x".repeat(1_048_000), "id": "large", "w": 1}).to_string();

    for (body, status, code) in [
        ("".into(), 400, "invalid_json"),
        ("{".into(), 400, "invalid_json"),
        ("[]".into(), 400, "invalid_body"),
        (r#"{"message": NaN}"#.into(), 400, "invalid_json"),
        (r#"{"message": "\ud800"}"#.into(), 400, "invalid_field"),
        (r#"{"message": 1e999}"#.into(), 400, "invalid_field"),
        (b"{\"message\": \"\xff\"}".to_vec(), 400, "invalid_json"),
        (deep.into(), 400, "invalid_field"),
        (r#"{"w": 1}"#.into(), 400, "invalid_field"),
        (r#"{"message": 1, "w": 0}"#.into(), 400, "invalid_field"),
        (r#"{"message": 1, "w": 4}"#.into(), 400, "invalid_field"),
        (r#"{"message": 1, "w": null}"#.into(), 400, "invalid_field"),
        (r#"{"message": 1, "w": "2"}"#.into(), 400, "invalid_field"),
        (r#"{"message": 1, "w": 1, "w": 1}"#.into(), 400, "invalid_field"),
        (r#"{"message": 1, "massage": 1}"#.into(), 400, "invalid_field"),
        (r#"{"message": 1, "id": ""}"#.into(), 400, "invalid_field"),
        (r#"{"message": 1, "id": 7}"#.into(), 400, "invalid_field"),
        (r#"{"message": 1, "timeout_ms": -1}"#.into(), 400, "invalid_field"),
        (r#"{"message": "other", "id": "taken", "w": 1}"#.into(), 409, "conflict"),
        (r#"{"message": "x", "expect_order": 7, "w": 1}"#.into(), 412, "unexpected_order"),
        (large.into(), 413, "message_too_large"),
        (late.into(), 504, "unconfirmed"),
    ] {
        let body: Vec<u8> = body;
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let (by_http, by_nats) = (over_http(&http, body.clone()).await, door.send(body).await);
        assert_eq!(said(&by_http), said(&by_nats), "{shown}");
        by_nats.expect_problem(status, code, status == 504);
    }
    let log = http.messages().await.expect("the master answers");
    assert_eq!(log, ["there", "late"], "what is refused is not stored");
}

#[tokio::test]
async fn a_write_that_waits_delays_no_other_and_is_answered_when_its_node_is_back() {
    let mut cluster = Cluster::running().await;
    let door = door_of(&cluster).await;
    cluster.secondary(2).process.kill();
    let waits = tokio::spawn({
        let door = door.clone();
        async move { door.append(json!({"message": "all", "w": 3})).await }
    });
    wait_until("it waits", SOON, async || cluster.client().health().await["pending_writes"] == 1).await;
    for w in [1, 2, 1, 2] {
        door.append(json!({"message": "some", "w": w})).await.expect_ok(w);
    }
    assert!(!waits.is_finished());
    cluster.secondary(2).process.start();
    assert_eq!(waits.await.expect("the task ends").expect_ok(3).order(), 0);
}

#[tokio::test]
async fn requests_of_one_client_take_their_orders_as_they_were_sent() {
    let cluster = Cluster::running().await;
    let door = door_of(&cluster).await;
    let (client, inbox) = (door.client(), door.client().new_inbox());
    let mut answers = client.subscribe(format!("{inbox}.*")).await.expect("it is connected");
    for nth in 0..500 {
        let (reply, body) = (format!("{inbox}.{nth}"), json!({"message": nth, "w": 1 + nth % 3}).to_string());
        client.publish_with_reply(FrontDoor::SUBJECT, reply, body.into()).await.expect("it is connected");
    }
    for _ in 0..500 {
        let answer = timeout(SOON, answers.next()).await.expect("an answer comes").expect("it is connected");
        let body: Value = serde_json::from_slice(&answer.payload).expect("the answer is JSON");
        assert!(answer.subject.ends_with(&format!(".{}", body["order"])), "{}: {body}", answer.subject);
    }
}

#[tokio::test]
async fn a_node_that_stops_tells_who_waits() {
    let mut cluster = Cluster::running().await;
    let door = door_of(&cluster).await;
    cluster.secondary(2).process.kill();
    let waits = tokio::spawn({
        let door = door.clone();
        async move { door.append(json!({"message": "waits", "w": 3})).await }
    });
    wait_until("it waits", SOON, async || cluster.client().health().await["pending_writes"] == 1).await;
    cluster.master.process.stop().await;
    let told = waits.await.expect("the task ends");
    told.expect_problem(503, "stopping", true);
    assert_eq!((told.order(), told.retry_after.as_deref()), (0, Some("1")));
    assert!(door.is_closed().await, "nobody is there any more, and that is said at once");
}

#[tokio::test]
async fn every_message_is_there_once_over_restarts_of_nats_server_and_of_the_master() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let door = door_of(&cluster).await;
    let writers: Vec<_> = (0..4).map(|writer| tokio::spawn(write_all(door.clone(), writer))).collect();
    for round in 0..4 {
        let enough = 4 * 12 * (round + 1);
        wait_until("more is written", SOON, async || {
            cluster.client().health().await["length"].as_u64().is_some_and(|length| length >= enough)
        })
        .await;
        if round % 2 == 0 {
            cluster.nats.kill();
            cluster.start_nats().await;
        } else {
            cluster.master.process.kill();
            cluster.master.process.start();
        }
    }
    let mut orders = Vec::new();
    for writer in writers {
        orders.extend(writer.await.expect("a writer ends"));
    }
    let log = cluster.equal_logs(SOON).await;
    assert_eq!(log.len(), orders.len(), "one entry for each id, however often it was sent");
    for (id, order) in orders {
        assert_eq!(log[order as usize].id, id);
    }
}

/// Appends a hundred messages, each until it is acknowledged; gives their orders.
async fn write_all(door: FrontDoor, writer: u64) -> Vec<(String, u64)> {
    let mut orders = Vec::new();
    for nth in 0..100 {
        let id = format!("{writer}-{nth}");
        let body = json!({"message": nth, "id": id, "w": 1 + nth % 3, "timeout_ms": 500}).to_string();
        let order = loop {
            let sent = door.try_send(body.clone());
            match timeout(Duration::from_secs(1), sent).await {
                Ok(Ok(Some(answer))) if answer.status == 200 => break answer.order(),
                Ok(Ok(Some(answer))) => assert!([503, 504].contains(&answer.status), "{answer:?}"),
                // Nobody there, or nobody answers: the same again.
                Ok(Ok(None) | Err(_)) | Err(_) => tokio::task::yield_now().await,
            }
        };
        orders.push((id, order));
    }
    orders
}

#[tokio::test]
async fn a_full_door_refuses_one_more_that_would_wait_and_has_room_for_what_does_not() {
    let mut cluster = Cluster::running().await;
    let door = door_of(&cluster).await;
    cluster.secondary(2).process.kill();
    // Of all places four in five are for those that wait. Of those that would wait for ever, half do; the others are told
    // after a while that they are unconfirmed.
    let bodies = (0..PLACES).map(|nth| json!({"message": "waits", "id": format!("{nth}"), "w": 3}));
    let waiting = bodies.map(|body| {
        let door = door.clone();
        tokio::spawn(async move { door.append(body).await })
    });
    let waiting: Vec<_> = waiting.collect();
    let pending = async || cluster.client().health().await["pending_writes"] == WAITS;
    wait_until("as many wait as may", SOON, pending).await;
    let refused = door.append(json!({"message": "one more", "w": 2})).await;
    refused.expect_problem(503, "overloaded", false);
    assert_eq!(refused.retry_after.as_deref(), Some("1"));
    let room = door.append(json!({"message": "room", "id": "room", "w": 1})).await;
    assert_eq!(room.status, 200, "{room:?}");
    cluster.client().write("HTTP has room", 1).await;

    let late = json!({"message": "late", "w": 3, "timeout_ms": 1});
    let is_free = async || door.append(late.clone()).await.status == 504;
    wait_until("there is room again", SOON, is_free).await;
    let (ended, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|request| request.is_finished());
    assert!(others.len() >= PLACES / 2, "{} of them have ended", ended.len());
    let mut unconfirmed = 0;
    for told in join_all(ended).await {
        let told = told.expect("the task ends");
        if told.status == 504 {
            told.expect_problem(504, "unconfirmed", true);
            unconfirmed += 1;
        } else {
            told.expect_problem(503, "overloaded", false);
        }
    }
    assert!(unconfirmed > 0, "none was told that it waits no longer");
    cluster.secondary(2).process.start();
    let answers = join_all(others).await;
    let met =
        answers.iter().filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)).count();
    assert!(met >= PLACES / 2, "{met} were met");
}
