//! JetStream streams over the subjects of a log: they answer requests there.

use std::{path::Path, time::Duration};

use replog_host::bus::{Bus, BusEvent};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::server::NatsServer;
use crate::support::{asking, connecting, options, up};

fn jetstream(directory: &Path) -> String {
    format!("jetstream {{ store_dir: {:?} }}", directory.join("jetstream"))
}

/// Asks JetStream for something, as a client of its own.
async fn ask(server: &NatsServer, what: &str, body: Value) {
    let client = async_nats::connect(server.url()).await.expect("the server is there");
    let answer = client.request(format!("$JS.API.STREAM.{what}"), body.to_string().into()).await;
    let answer = answer.expect("JetStream answers").payload;
    assert!(!String::from_utf8_lossy(&answer).contains("\"error\""), "{answer:?}");
}

async fn streams(bus: &mut impl Bus, expected: &[&str]) {
    let seen = async {
        while bus.trouble().streams != expected {
            if let Ok(BusEvent::Message(packet)) = timeout(Duration::from_millis(20), bus.next()).await {
                bus.on_refused(&packet);
            }
        }
    };
    timeout(Duration::from_secs(60), seen).await.unwrap_or_else(|_| panic!("{:?}", bus.trouble()));
}

#[tokio::test]
async fn a_stream_over_one_subject_of_a_log_is_listed_until_its_subjects_are_narrowed() {
    let server = NatsServer::start_with(jetstream).await;
    let bus = connecting(options(&server), &["replog.main.acks.*"], "master").await;
    let mut bus = bus.looking_for_streams_over("replog.main.>".to_owned());
    up(&mut bus).await;
    ask(&server, "CREATE.APPENDS", json!({"name": "APPENDS", "subjects": ["replog.*.append"]})).await;
    ask(
        &server,
        "CREATE.QUIET",
        json!({"name": "QUIET", "subjects": ["replog.main.heartbeat"], "no_ack": true}),
    )
    .await;
    ask(&server, "CREATE.OTHER", json!({"name": "OTHER", "subjects": ["replog.other.heartbeat"]})).await;
    streams(&mut bus, &["APPENDS"]).await;
    ask(&server, "UPDATE.APPENDS", json!({"name": "APPENDS", "subjects": ["audit.>"]})).await;
    streams(&mut bus, &[]).await;
}

#[tokio::test]
async fn a_stream_that_answers_is_seen_where_jetstream_may_not_be_asked() {
    let server = NatsServer::start_with(|directory| {
        format!(
            "{}\nauthorization {{ users: [ {{ user: admin, password: admin }}, {{ user: node, password: node, \
             permissions: {{ publish: {{ deny: \"$JS.>\" }} }} }} ] }}\nno_auth_user: node",
            jetstream(directory)
        )
    })
    .await;
    let bus = connecting(options(&server), &["replog.main.acks.*"], "master").await;
    let mut bus = bus.looking_for_streams_over("replog.main.>".to_owned());
    up(&mut bus).await;
    let admin = async_nats::ConnectOptions::with_user_and_password("admin".to_owned(), "admin".to_owned());
    let admin = admin.connect(server.url()).await.expect("the server is there");
    let body = json!({"name": "ALL", "subjects": ["replog.>"]}).to_string();
    admin.request("$JS.API.STREAM.CREATE.ALL", body.into()).await.expect("JetStream answers");
    for _ in 0..3 {
        bus.send(asking("replog.main.entries.a", "replog.main.acks.a", "x")).expect("it is up");
    }
    streams(&mut bus, &["ALL"]).await;
    assert_eq!(bus.trouble().denied, None, "that it may not ask is no fault");
}
