//! What nodes do when NATS changes its mind: rights taken and given back, limits lowered and raised, streams over their
//! subjects, names that are not configured; and what they say of it.

use std::{ffi::OsString, fs, path::PathBuf};

use replog_tests::harness::{Client, Cluster, Options, Process, SOON, programs, wait_until};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A cluster of one secondary over a server whose configuration changes while it runs. Nothing else runs yet.
struct Changing {
    cluster: Cluster,
    config: PathBuf,
}

impl Changing {
    async fn idle(config: &str) -> Changing {
        let mut cluster = Cluster::idle(Options { secondaries: 1, ..Options::default() }).await;
        cluster.nats.kill();
        let path = cluster.directory("nats.conf");
        fs::write(&path, config).expect("a temporary file can be written");
        let address = cluster.nats_address();
        let port = address.rsplit(':').next().expect("an address has a port");
        let args: Vec<OsString> =
            ["--addr", "127.0.0.1", "--port", port, "--config"].map(OsString::from).into();
        let args = args.into_iter().chain([path.clone().into_os_string()]).collect();
        let log = cluster.nats.log_path().to_owned();
        cluster.nats = Process::new("nats", programs::nats_server(), args, log);
        cluster.start_nats().await;
        Changing { cluster, config: path }
    }

    async fn running(config: &str) -> Changing {
        let mut changing = Changing::idle(config).await;
        changing.cluster.secondary(1).process.start();
        changing.cluster.master.start().await;
        changing.cluster.all_healthy().await;
        changing
    }

    /// nats-server reads another configuration while it runs.
    async fn reload(&self, config: &str) {
        let reloads = || self.cluster.nats.log().matches("Reloaded server configuration").count();
        let before = reloads();
        fs::write(&self.config, config).expect("a temporary file can be written");
        self.cluster.nats.hang_up();
        wait_until("nats-server has read it", SOON, async || reloads() > before).await;
    }
}

/// Each node and client may do anything but this.
fn all_but(denied: &str) -> String {
    format!(
        "accounts {{ A: {{ users: [ {{ user: any, password: any, permissions: {{ {denied} }} }} ] }} }}\n\
         no_auth_user: any"
    )
}

const ALL: &str = r#"publish: { deny: "nothing.>" }, subscribe: { deny: "nothing.>" }"#;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn says(client: &Client, member: &str, words: &[&str]) {
    let mut last = Value::Null;
    let said = async || {
        last = client.health().await;
        words.iter().all(|word| text(&last[member]).contains(word))
    };
    wait_until(&format!("/health has {words:?} in {member}"), SOON, said).await;
}

/// Ids a request asks again with, so that nothing is appended twice.
async fn confirmed(client: &Client, body: &Value) {
    let body = body.clone();
    wait_until("it is confirmed", SOON, async || client.append(body.clone()).await.status == 200).await;
}

#[tokio::test]
async fn acks_that_were_denied_count_again_when_they_are_allowed() {
    let changing = Changing::running(&all_but(ALL)).await;
    let client = changing.cluster.client();
    client.write("before", 2).await;
    changing.reload(&all_but(r#"subscribe: { deny: "replog.main.acks.*" }"#)).await;
    says(&client, "nats_denied", &["Subscription", "replog.main.acks.*"]).await;
    says(&client, "reason", &["replog.main.acks.*"]).await;
    let body = json!({"message": "meanwhile", "id": "m", "w": 2, "timeout_ms": 300});
    assert_eq!(client.append(body.clone()).await.status, 504);
    changing.reload(&all_but(ALL)).await;
    confirmed(&client, &body).await;
    wait_until("nothing is wrong", SOON, async || {
        let health = client.health().await;
        health["status"] == "ok" && health["nats_denied"].is_null()
    })
    .await;
}

#[tokio::test]
async fn a_secondary_that_may_not_hear_its_master_says_so_and_joins_when_it_may() {
    let mut changing = Changing::idle(&all_but(r#"subscribe: { deny: "replog.main.heartbeat" }"#)).await;
    changing.cluster.secondary(1).process.start();
    changing.cluster.master.start().await;
    let reader = changing.cluster.reader(1);
    for member in ["nats_denied", "reason"] {
        says(&reader, member, &["Subscription", "replog.main.heartbeat"]).await;
    }
    // The master needs that one only to hear of a rival, and says so, too.
    says(&changing.cluster.client(), "nats_denied", &["replog.main.heartbeat"]).await;
    changing.reload(&all_but(ALL)).await;
    changing.cluster.all_healthy().await;
    changing.cluster.client().write("x", 2).await;
}

#[tokio::test]
async fn a_master_that_hears_nobody_since_it_may_not_says_so() {
    let denied = r#"publish: { deny: "replog.main.ask" }"#;
    let mut changing = Changing::idle(&all_but(denied)).await;
    changing.cluster.master.process.start();
    says(&changing.cluster.client(), "nats_denied", &["Publish", "replog.main.ask"]).await;
    says(&changing.cluster.client(), "reason", &["replog.main.ask"]).await;
}

#[tokio::test]
async fn requests_over_nats_are_heard_again_when_they_are_allowed() {
    let changing = Changing::running(&all_but(ALL)).await;
    let client = changing.cluster.client();
    let door = changing.cluster.front_door().await;
    wait_until("the door is open", SOON, async || door.is_open().await).await;
    changing.reload(&all_but(r#"subscribe: { deny: "replog.main.append" }"#)).await;
    says(&client, "nats_denied", &["replog.main.append"]).await;
    changing.reload(&all_but(ALL)).await;
    wait_until("nothing is denied", SOON, async || client.health().await["nats_denied"].is_null()).await;
    door.append(json!({"message": "x", "w": 2})).await.expect_ok(2);
}

#[tokio::test]
async fn a_limit_of_nats_that_is_lowered_and_raised_is_known_without_a_restart() {
    let changing = Changing::running("max_payload: 100000").await;
    let client = changing.cluster.client();
    let large = json!({"message": "x".repeat(60_000), "id": "large", "w": 2, "timeout_ms": 300});

    // Nothing is sent that would tell of the lower limit.
    changing.reload("max_payload: 30000").await;
    let master_log = || changing.cluster.master.process.log();
    wait_until("the lower limit is known", SOON, async || master_log().contains("max_payload_bytes=30000"))
        .await;
    changing.cluster.all_healthy().await;
    client.append(large.clone()).await.expect_problem(413, "message_too_large", false);
    changing.reload("max_payload: 200000").await;
    confirmed(&client, &large).await;
    let larger = json!({"message": "x".repeat(150_000), "id": "larger", "w": 2, "timeout_ms": 300});
    confirmed(&client, &larger).await;
}

#[tokio::test]
async fn an_entry_that_became_too_large_is_sent_once_the_limit_is_raised() {
    let changing = Changing::running("max_payload: 100000").await;
    let client = changing.cluster.client();
    let mut body = json!({"message": "x".repeat(60_000), "w": 2, "timeout_ms": 300});
    for attempt in 0.. {
        body["id"] = json!(format!("large {attempt}"));
        changing.reload("max_payload: 30000").await;
        // At once, before the node asks again: the server ends the connection over it.
        let answer = client.append(body.clone()).await;
        if answer.status == 504 {
            break;
        }
        answer.expect_problem(413, "message_too_large", false);
        assert!(attempt < 5, "the node always knew before");
        changing.reload("max_payload: 100000").await;
        confirmed(&client, &body).await;
    }
    says(&client, "reason", &["max_payload"]).await;
    changing.reload("max_payload: 100000").await;
    confirmed(&client, &body).await;
    changing.cluster.all_healthy().await;
}

#[tokio::test]
async fn a_stream_over_the_logs_subjects_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let jetstream = format!("jetstream {{ store_dir: {:?} }}", folder.path());
    let changing = Changing::running(&jetstream).await;
    let client = changing.cluster.client();
    let nats = async_nats::connect(changing.cluster.nats_address()).await.expect("the server is there");
    let ask = async |what: &str, subjects: &str| {
        let body = json!({"name": "CAPTURE", "subjects": [subjects]}).to_string();
        let asked = nats.request(format!("$JS.API.STREAM.{what}.CAPTURE"), body.into()).await;
        assert!(!String::from_utf8_lossy(&asked.expect("it answers").payload).contains("\"error\""));
    };
    ask("CREATE", "replog.*.append").await;
    says(&client, "reason", &["CAPTURE", "narrow its subjects"]).await;
    assert_eq!(client.health().await["nats_streams"], json!(["CAPTURE"]));
    assert_eq!(changing.cluster.master.process.log().matches("JetStream stream answers").count(), 1);
    // What the reason says to do helps.
    ask("UPDATE", "audit.>").await;
    changing.cluster.all_healthy().await;
    assert!(client.health().await["nats_streams"].is_null());
}

#[tokio::test]
async fn a_name_that_the_master_does_not_have_is_told_on_both_sides() {
    let mut cluster = Cluster::running().await;
    let mut stranger = cluster.node("secondry1", "replog-secondary", &[]);
    stranger.process.start();
    let names = ["secondary1", "secondary2"];
    says(&stranger.client, "reason", &names).await;
    assert_eq!(stranger.client.health().await["master"]["secondaries"], json!(names));
    says(&cluster.client(), "reason", &["secondry1", "not configured", "secondary1, secondary2"]).await;
    assert_eq!(cluster.client().health().await["unknown_nodes"], json!(["secondry1"]));
    let told = |log: String| log.lines().filter(|line| line.contains("secondary1, secondary2")).count();
    assert_eq!(told(stranger.process.log()), 1, "{}", stranger.process.log());
    assert_eq!(told(cluster.master.process.log()), 1);
    // Under a name that the master has it is taken.
    stranger.process.kill();
    cluster.secondary(1).process.kill();
    let mut renamed = cluster.node("secondary1", "replog-secondary", &[]);
    renamed.start().await;
    cluster.client().write("x", 3).await;
    wait_until("it is forgotten", SOON, async || cluster.client().health().await["unknown_nodes"].is_null())
        .await;
}

#[tokio::test]
async fn a_port_that_accepts_and_closes_is_told_once_and_then_counted() {
    let mut cluster = Cluster::idle(Options { secondaries: 1, ..Options::default() }).await;
    cluster.nats.kill();
    let address = cluster.nats_address();
    let listener = TcpListener::bind(&address).await.expect("the port is free now");
    let closes = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    cluster.secondary(1).process.start();
    cluster.master.process.start();
    let attempts = |health: &Value| {
        let why = text(&health["nats_unreachable"]);
        why.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0)
    };
    for client in [cluster.client(), cluster.reader(1)] {
        wait_until("attempts are counted", SOON, async || attempts(&client.health().await) >= 5).await;
        says(&client, "nats_unreachable", &[&address, "closes it without a word"]).await;
    }
    says(&cluster.reader(1), "reason", &[&address]).await;
    for node in [&cluster.master, &cluster.secondaries[0]] {
        let log = node.process.log();
        assert_eq!(log.lines().filter(|line| line.contains("NATS cannot be reached")).count(), 1, "{log}");
        assert!(log.contains(&address) && !log.contains("expected INFO, got nothing\n"), "{log}");
    }
    // What was said to check, mended: a nats-server listens there.
    closes.abort();
    let _aborted = closes.await;
    cluster.start_nats().await;
    cluster.all_healthy().await;
    assert!(cluster.client().health().await["nats_unreachable"].is_null());
}
