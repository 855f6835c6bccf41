//! The next step that an answer names is taken, and leads where it says.

use std::{ffi::OsString, fs};

use replog_tests::harness::{Answer, Client, Cluster, Node, Options, Process, SOON, programs, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

/// The path behind `GET` in a sentence.
fn path_to_get(answer: &Answer) -> String {
    let detail = answer.body["detail"].as_str().expect("a problem has a detail");
    let path = detail.split("GET ").nth(1).unwrap_or_else(|| panic!("no step in {detail:?}"));
    path.split([' ', '.', ';']).next().unwrap_or_default().to_owned()
}

async fn send(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &str,
    body: impl Into<String>,
) -> Answer {
    let request = client.request(method, path).header("content-type", content_type).body(body.into());
    Answer::of(request.send().await.expect("the node answers")).await.expect("the answer comes whole")
}

/// A batch of 3,000 that is held in part is not taken for one that is held.
#[tokio::test]
async fn the_wait_that_a_504_names_waits_for_all_of_the_batch() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    cluster.secondary(2).process.kill();
    cluster.reader(1).set_faults(json!({"delay_ms": 1_500})).await;
    let messages: Vec<Value> = (0..3_000).map(|nth| json!({"message": nth})).collect();
    let answer =
        client.post("/messages/batch", json!({"messages": messages, "w": 2, "timeout_ms": 100})).await;
    answer.expect_problem(504, "unconfirmed", true);
    let told = ["first_order", "count", "order"].map(|name| answer.body[name].as_u64());
    assert_eq!(told, [Some(0), Some(3_000), Some(2_999)]);
    let path = path_to_get(&answer);
    assert_eq!(path, "/messages/2999?w=2");
    let held = client.get(&path).await;
    assert_eq!((held.status, held.order()), (200, 2_999), "{held:?}");
    assert_eq!(cluster.reader(1).messages().await.map(|shown| shown.len()), Some(3_000));
    let ids: Vec<Value> = answer.body["message_ids"].as_array().cloned().expect("the ids to retry with");
    let retry: Vec<Value> =
        ids.iter().enumerate().map(|(nth, id)| json!({"message": nth, "id": id})).collect();
    let again = client.post("/messages/batch", json!({"messages": retry, "w": 2})).await;
    assert_eq!((again.status, &again.body["duplicate"]), (200, &json!(true)));
}

#[tokio::test]
async fn what_a_refused_append_says_to_do_is_taken() {
    let mut cluster = Cluster::running().await;
    let client = cluster.client();
    client.append(json!({"message": "first", "id": "first", "w": 1})).await;

    cluster.secondary(2).process.kill();
    let late = client.append(json!({"message": "late", "w": 3, "timeout_ms": 50})).await;
    late.expect_problem(504, "unconfirmed", true);
    cluster.secondary(2).process.start();
    let held = client.get(&path_to_get(&late)).await;
    assert_eq!((held.status, &held.body["id"]), (200, &late.body["message_id"]), "{held:?}");
    let retry = json!({"message": "late", "id": late.body["message_id"], "w": 3});
    assert_eq!(client.append(retry).await.body["duplicate"], true);

    let taken = client.append(json!({"message": "other", "id": "first", "w": 1})).await;
    taken.expect_problem(409, "conflict", false);
    assert!(
        taken.body["detail"].as_str().is_some_and(|detail| detail.contains("Use a new id for a new message"))
    );
    assert_eq!(client.append(json!({"message": "other", "id": "other", "w": 1})).await.status, 200);

    let expecting = client.append(json!({"message": "x", "w": 1, "expect_order": 77})).await;
    expecting.expect_problem(412, "unexpected_order", false);
    let next = json!({"message": "x", "w": 1, "expect_order": expecting.body["length"]});
    assert_eq!(client.append(next).await.status, 200);

    let large = client.append(json!({"message": "x".repeat(2_000_000), "w": 1})).await;
    large.expect_problem(413, "message_too_large", false);
    let limit = large.body["limit"].as_u64().expect("a limit") as usize;
    assert_eq!(client.append(json!({"message": "x".repeat(limit - 200), "w": 1})).await.status, 200);

    let form = send(&client, Method::POST, "/messages", "application/x-www-form-urlencoded", "{}").await;
    let detail = form.body["detail"].as_str().unwrap_or_default();
    let header = detail.split("-H 'Content-Type: ").nth(1).and_then(|rest| rest.split('\'').next());
    let again =
        send(&client, Method::POST, "/messages", header.expect("a header"), r#"{"message": 1, "w": 1}"#);
    assert_eq!(again.await.status, 200);

    let empty = send(&client, Method::POST, "/messages", "application/json", "").await;
    let detail = empty.body["detail"].as_str().unwrap_or_default();
    let example = detail.split("such as ").nth(1).and_then(|rest| rest.strip_suffix('.'));
    let again = send(&client, Method::POST, "/messages", "application/json", example.expect("an example"));
    assert_eq!(again.await.status, 200);
}

#[tokio::test]
async fn what_a_refused_request_says_to_do_is_taken() {
    let cluster = Cluster::running().await;
    let client = cluster.client();
    let missing = client.get("/no/such/path").await;
    missing.expect_problem(404, "not_found", false);
    assert_eq!(client.get(&path_to_get(&missing)).await.status, 200);

    let wrong = send(&client, Method::DELETE, "/messages", "application/json", "").await;
    wrong.expect_problem(405, "method_not_allowed", false);
    for method in wrong.body["allowed"].as_str().expect("the methods").split(',') {
        let method: Method = method.trim().parse().expect("a method");
        assert_ne!(send(&client, method, "/messages", "application/json", "").await.status, 405);
    }
    let unknown = client.get("/messages?form=0").await;
    let names = unknown.body["allowed"].as_array().cloned().expect("the parameters");
    assert!(
        names.contains(&json!("from")) && client.get("/messages?from=0").await.status == 200,
        "{unknown:?}"
    );

    let request = client.request(Method::GET, "/messages").header("accept", "text/csv").send().await;
    let refused = Answer::of(request.expect("an answer")).await.expect("it comes whole");
    let offered = refused.body["allowed"].as_array().cloned().expect("what is offered");
    for media_type in offered.iter().filter_map(Value::as_str) {
        let request = client.request(Method::GET, "/messages").header("accept", media_type).send().await;
        assert_eq!(request.expect("an answer").status(), 200, "{media_type}");
    }

    let beyond = client.get("/messages/7").await;
    assert_eq!(beyond.body["length"], 0);
    client.write("x", 1).await;
    assert_eq!(client.get(&format!("/messages/{}", beyond.body["length"])).await.status, 200);

    let early = cluster.reader(1).get("/messages?min_order=1&timeout_ms=1").await;
    early.expect_problem(504, "not_shown_yet", false);
    client.write("y", 3).await;
    assert_eq!(cluster.reader(1).get("/messages?min_order=1").await.status, 200);
}

#[tokio::test]
async fn a_secondary_sends_clients_to_where_the_master_is() {
    let mut cluster = Cluster::idle(Options::default()).await;
    let address = format!("http://{}", cluster.master.address);
    let args = ["--secondaries", "secondary1,secondary2", "--allow-faults", "--advertise-url", &address];
    let mut master: Node = cluster.node("master", "replog-master", &args);
    for secondary in &mut cluster.secondaries {
        secondary.process.start();
    }
    master.start().await;
    let told = async || {
        let refused = cluster.reader(1).append(json!({"message": "x"})).await;
        refused.expect_problem(421, "not_the_master", false);
        refused.body["master"] == address
    };
    wait_until("the secondary knows where the master is", SOON, told).await;

    let nowhere = master.client.get("/faults").await;
    nowhere.expect_problem(404, "no_faults_here", false);
    assert_eq!(nowhere.body["secondaries"], json!(["secondary1", "secondary2"]));
    assert_eq!(cluster.reader(1).get("/faults").await.status, 200);
}

#[tokio::test]
async fn flags_that_answers_name_allow_what_they_say() {
    let options =
        || Options { secondaries: 1, master_args: vec![], secondary_args: vec![], ..Options::default() };
    let mut cluster = Cluster::start(options()).await;
    let clean = cluster.client().post("/clean", json!({"w": 1})).await;
    clean.expect_problem(403, "clean_not_allowed", false);
    let faults = cluster.reader(1).get("/faults").await;
    faults.expect_problem(403, "faults_not_allowed", false);
    let flag_of = |answer: &Answer| {
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        let flag = detail.split_whitespace().find(|word| word.starts_with("--")).expect("a flag");
        flag.trim_end_matches([',', '.', ':']).to_owned()
    };
    let (clean_flag, faults_flag) = (flag_of(&clean), flag_of(&faults));
    cluster.master.process.kill();
    cluster.secondary(1).process.kill();
    let mut master = cluster.node("master", "replog-master", &["--secondaries", "secondary1", &clean_flag]);
    let mut secondary = cluster.node("secondary1", "replog-secondary", &[&faults_flag]);
    secondary.process.start();
    master.start().await;
    assert_eq!(master.client.post("/clean", json!({"w": 1})).await.status, 200);
    assert_eq!(secondary.client.get("/faults").await.status, 200);
}

/// Runs `replog` to its end, and gives its exit code and all that it wrote.
async fn replog(folder: &std::path::Path, args: &[&str]) -> (Option<i32>, String) {
    let log = folder.join("replog.log");
    // Each run has a log of its own.
    let _none_yet = fs::remove_file(&log);
    let args = args.iter().map(OsString::from).collect();
    let mut process = Process::new("replog", programs::replog(), args, log);
    process.start();
    (process.ended(SOON).await.code(), process.log())
}

#[tokio::test]
async fn what_the_command_line_says_to_do_is_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let url = cluster.client().url("");
    cluster.secondary(2).process.kill();

    // Not in time: it is in the log, under the id that is named.
    let args = ["append", "--url", &url, "-w", "3", "--timeout-ms", "50", "late"];
    let (code, said) = replog(folder.path(), &args).await;
    assert_eq!(code, Some(3), "{said}");
    let id =
        said.split(", id ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("the id is named");
    let (code, said) = replog(folder.path(), &["append", "--url", &url, "-w", "1", "--id", id, "late"]).await;
    assert!(code == Some(0) && said.contains("this id was in the log before"), "{said}");

    // Unknown: the node goes away while the answer is awaited.
    let args = ["append", "--url", &url, "-w", "3", "cut off"].map(OsString::from).to_vec();
    let mut waiting = Process::new("replog", programs::replog(), args, folder.path().join("waiting.log"));
    waiting.start();
    let pending = async || cluster.client().health().await["pending_writes"] == 1;
    wait_until("the append waits", SOON, pending).await;
    cluster.master.process.kill();
    assert_eq!(waiting.ended(SOON).await.code(), Some(5));
    let said = waiting.log();
    let id = said
        .split("add --id ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .expect("the id is named");
    cluster.master.start().await;
    let (code, said) =
        replog(folder.path(), &["append", "--url", &url, "-w", "1", "--id", id, "cut off"]).await;
    assert_eq!(code, Some(0), "{said}");

    // A line that is to blame is named by its place in the file.
    let file = folder.path().join("lines").display().to_string();
    let lines = |third: &str| {
        format!("{{\"message\":1,\"id\":\"a\"}}\n\n{{\"message\":\"other\",\"id\":\"{third}\"}}\n")
    };
    fs::write(&file, lines(id)).expect("a file can be written");
    let (code, said) = replog(folder.path(), &["import", "--url", &url, "-w", "1", &file]).await;
    assert!(code == Some(2) && said.contains("line 3 of the input is refused with 409"), "{said}");
    assert!(said.contains(id) && !said.contains("Line 2"), "{said}");
    fs::write(&file, lines("b")).expect("a file can be written");
    assert_eq!(replog(folder.path(), &["import", "--url", &url, "-w", "1", &file]).await.0, Some(0));

    // Lines without ids, from standard input and as messages themselves.
    fs::write(&file, "7\n").expect("a file can be written");
    let (code, said) = replog(folder.path(), &["import", "--url", &url, "-w", "1", &file]).await;
    assert!(code == Some(2) && said.contains("with --bare a message"), "{said}");
    assert_eq!(
        replog(folder.path(), &["import", "--url", &url, "-w", "1", "--bare", &file]).await.0,
        Some(0)
    );
}
