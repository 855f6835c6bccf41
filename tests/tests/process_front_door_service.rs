//! Appends over NATS as a NATS service: who finds it, who answers, and who is not heard.

use std::{fs, time::Duration};

use async_nats::RequestErrorKind;
use replog_tests::harness::{Answer, Cluster, FrontDoor, Node, Options, SOON, wait_until};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Waits until somebody takes appends.
async fn opens(door: &FrontDoor) {
    wait_until("the door is open", SOON, async || door.is_open().await).await;
}

/// Waits until nobody takes appends: NATS itself says so.
async fn closes(door: &FrontDoor) {
    wait_until("the door is closed", SOON, async || door.is_closed().await).await;
}

/// What a service answers to a question about itself.
async fn ask(door: &FrontDoor, subject: String) -> Value {
    let answer = door.client().request(subject, "".into()).await.expect("a service answers");
    serde_json::from_slice(&answer.payload).expect("the answer is JSON")
}

/// The value of a figure of the node; none if it has none of that name and labels.
async fn figure(node: &Node, name: &str) -> Option<String> {
    let answer = node.client.get("/metrics").await;
    let text = answer.body.as_str().expect("a text");
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

#[tokio::test]
async fn it_is_found_as_nats_finds_services() {
    let cluster = Cluster::running().await;
    let door = cluster.front_door().await;
    opens(&door).await;
    let ping = ask(&door, "$SRV.PING".to_owned()).await;
    assert_eq!(
        (&ping["type"], &ping["name"]),
        (&json!("io.nats.micro.v1.ping_response"), &json!("replog-main"))
    );
    assert_eq!(ping["metadata"], json!({"log": "main", "node": "master"}));
    let id = ping["id"].as_str().expect("a text");

    door.append(json!({"message": "x", "w": 1})).await.expect_ok(1);
    door.append(json!({"massage": "x"})).await.expect_problem(400, "invalid_field", false);
    for to in ["".to_owned(), ".replog-main".to_owned(), format!(".replog-main.{id}")] {
        for verb in ["PING", "INFO", "STATS"] {
            let found = ask(&door, format!("$SRV.{verb}{to}")).await;
            assert_eq!((&found["id"], &found["version"]), (&ping["id"], &json!(env!("CARGO_PKG_VERSION"))));
        }
    }
    let info = &ask(&door, "$SRV.INFO".to_owned()).await["endpoints"][0];
    let (name, subject) = (&json!("append"), &json!(FrontDoor::SUBJECT));
    assert_eq!((&info["name"], &info["subject"], &info["queue_group"]), (name, subject, &json!("")));
    let stats = &ask(&door, "$SRV.STATS".to_owned()).await["endpoints"][0];
    assert!(stats["num_requests"].as_u64() >= Some(2) && stats["num_errors"].as_u64() >= Some(1), "{stats}");
    assert!(stats["processing_time"].as_u64() > Some(0), "{stats}");
    assert_eq!(stats["last_error"], "400:invalid_field", "{stats}");

    // Who looks for another service is told that it is not there.
    let other = door.client().request("$SRV.PING.other", "".into()).await;
    assert_eq!(other.expect_err("nobody is there").kind(), RequestErrorKind::NoResponders);
}

#[tokio::test]
async fn a_master_that_does_not_lead_is_not_there() {
    let mut cluster = Cluster::idle(Options::default()).await;
    let door = cluster.front_door().await;
    cluster.master.process.start();
    wait_until("the master waits for the others", SOON, async || {
        cluster.client().health().await["status"] == "recovering"
    })
    .await;
    assert!(door.is_closed().await);
    for secondary in &mut cluster.secondaries {
        secondary.process.start();
    }
    opens(&door).await;
    let log = cluster.master.process.log();
    let (leads, takes) = (log.find("this node leads"), log.find("takes appends over NATS"));
    assert!(leads.is_some() && leads < takes, "{log}");
    cluster.master.process.kill();
    closes(&door).await;
}

#[tokio::test]
async fn a_clean_does_not_shut_the_door() {
    let cluster = Cluster::start(Options::on_disk()).await;
    let door = cluster.front_door().await;
    opens(&door).await;
    for round in 0..10 {
        assert_eq!(cluster.client().post("/clean", json!({"w": 3})).await.status, 200);
        let answer = door.append(json!({"message": round, "w": 3})).await;
        assert_eq!((answer.status, answer.order()), (200, 0), "{answer:?}");
    }
    assert!(!cluster.master.process.log().contains("takes no appends over NATS any more"));
}

#[tokio::test]
async fn a_master_that_hangs_or_is_superseded_takes_nothing_from_the_one_that_leads() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let door = cluster.front_door().await;
    opens(&door).await;
    cluster.client().append_range(0..3, 3).await;
    // NATS takes a process that hangs for alive, as it does one whose host is gone without a word.
    cluster.master.process.pause();
    cluster.secondary(1).process.stop().await;
    let args = ["--secondaries", "master,secondary2", "--promote", "--reach", "2"];
    let mut leader = cluster.node("secondary1", "replog-master", &args);
    leader.start().await;
    let append = async |id: u64| {
        let body = json!({"message": id, "id": format!("id{id}"), "w": 2});
        let answer = timeout(Duration::from_secs(5), door.append(body)).await;
        answer.expect("the one that leads answers")
    };
    opens(&door).await;
    for id in 3..23 {
        let answer = of_master(append(id).await, "secondary1");
        assert_eq!((answer.order(), &answer.body["duplicate"]), (id, &json!(false)), "{answer:?}");
    }

    cluster.master.process.resume();
    wait_until("the old one knows", SOON, async || cluster.client().health().await["status"] == "fenced")
        .await;
    wait_until("the old door is closed", SOON, async || {
        cluster.master.process.log().contains("takes no appends over NATS any more")
    })
    .await;
    for id in 23..43 {
        assert_eq!(of_master(append(id).await, "secondary1").order(), id);
    }
    assert_eq!(ask(&door, "$SRV.PING".to_owned()).await["metadata"]["node"], "secondary1");
    leader.process.kill();
    closes(&door).await;
}

/// This answer, if it is a good one of this master.
fn of_master(answer: Answer, name: &str) -> Answer {
    assert_eq!((answer.status, &answer.body["nodes"][0]), (200, &json!(name)), "{answer:?}");
    answer
}

#[tokio::test]
async fn while_two_logs_of_one_name_have_masters_nobody_answers() {
    let cluster = Cluster::start(Options { secondaries: 0, ..Options::default() }).await;
    let door = cluster.front_door().await;
    opens(&door).await;
    let mut other = cluster.node("other", "replog-master", &[]);
    other.start().await;
    closes(&door).await;
    let said = "a master of another log of this name is heard";
    wait_until("it is said", SOON, async || cluster.master.process.log().contains(said)).await;
    cluster.client().write("HTTP tells them apart", 1).await;
    other.process.kill();
    opens(&door).await;
    door.append(json!({"message": "alone again"})).await.expect_ok(1);
}

#[tokio::test]
async fn who_cannot_be_told_is_not_heard() {
    let cluster = Cluster::running().await;
    let door = cluster.front_door().await;
    opens(&door).await;
    let client = door.client();
    let body = || json!({"message": "x", "w": 1}).to_string().into();
    client.publish(FrontDoor::SUBJECT, body()).await.expect("it is connected");
    let replies =
        ["replog.main.acks.secondary1", "replog.main.entries.secondary2", "replog.other.join.x", "$SRV.PING"];
    for reply in replies {
        client.publish_with_reply(FrontDoor::SUBJECT, reply, body()).await.expect("it is connected");
    }
    // What was sent before it has been looked at.
    assert_eq!(door.append(json!({"message": "heard", "w": 3})).await.expect_ok(3).order(), 0);
    let stats = &ask(&door, "$SRV.STATS".to_owned()).await["endpoints"][0];
    assert_eq!(stats["data"], json!({"ignored": 1 + replies.len()}), "{stats}");
    let log = cluster.master.process.log();
    assert_eq!(log.matches("ignored a request").count(), 1, "said once: {log}");
    let health = cluster.client().health().await;
    assert_eq!((&health["status"], &health["refused_envelopes"]), (&json!("ok"), &json!({})), "{health}");
}

/// Sends a request with this block of headers, as no client library would, and waits until the server has it.
async fn send_broken(address: &str, headers: &str) {
    let (subject, length) = (FrontDoor::SUBJECT, headers.len());
    let request = format!("HPUB {subject} _INBOX.x {length} {}\r\n{headers}{{}}\r\n", length + 2);
    let mut connection = BufReader::new(TcpStream::connect(address).await.expect("nats-server is there"));
    let sent = format!("CONNECT {{\"headers\":true,\"verbose\":false}}\r\n{request}PING\r\n");
    connection.write_all(sent.as_bytes()).await.expect("nats-server reads");
    let mut line = String::new();
    while line != "PONG\r\n" {
        line.clear();
        assert_ne!(connection.read_line(&mut line).await.expect("nats-server answers"), 0, "it closes");
    }
}

#[tokio::test]
async fn what_comes_broken_breaks_nothing_between_the_nodes() {
    let cluster = Cluster::running().await;
    let door = cluster.front_door().await;
    opens(&door).await;
    let connections = figure(&cluster.master, "replog_nats_connections_total").await;
    // A client library would not send these; a client without one can.
    send_broken(&cluster.nats_address(), "NATS/9.9\r\n\r\n").await;
    send_broken(&cluster.nats_address(), "NATS/1.0\r\nno colon\r\n\r\n").await;
    opens(&door).await;
    door.append(json!({"message": "x", "w": 3})).await.expect_ok(3);
    assert_eq!(figure(&cluster.master, "replog_nats_connections_total").await, connections);
}

#[tokio::test]
async fn tokens_close_it_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let tokens = folder.path().join("tokens");
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    fs::write(&tokens, format!("ci append sha256:{hash}\n")).expect("a temporary file can be written");
    let tokens = tokens.to_string_lossy().into_owned();
    let mut cluster = Cluster::idle(Options { secondaries: 0, ..Options::default() }).await;
    let door = cluster.front_door().await;
    for (args, why_not) in [
        (&["--tokens-file", &tokens][..], Some("NATS does not ask for the tokens of --tokens-file")),
        (&["--tokens-file", &tokens, "--nats-append"], None),
        (&["--nats-append=false"], Some("--nats-append is off")),
        (&[], None),
    ] {
        cluster.master = cluster.node("master", "replog-master", args);
        cluster.master.start().await;
        match why_not {
            None => opens(&door).await,
            Some(why) => {
                let log = cluster.master.process.log();
                let last_start = log.rsplit("master starts").next().expect("there is a part");
                assert!(last_start.contains(why) && !last_start.contains("takes appends over NATS"), "{log}");
                assert!(door.is_closed().await, "{args:?}");
            }
        }
        cluster.master.process.kill();
        closes(&door).await;
    }
}
