//! Clients in Python by others: httpx-sse follows the log, and openapi-python-client makes a client of the description.

use std::{fs, path::Path};

use replog_tests::harness::{
    Client, Cluster, SOON,
    clients::{call_nodes, description, python, script},
};
use serde_json::{Value, json};

/// The events that httpx-sse gives out.
async fn events(client: &Client, count: usize, seen: Option<&str>) -> Vec<Value> {
    let args = [script("follow.py"), client.url("/tail"), count.to_string()];
    let printed = python("python", args.into_iter().chain(seen.map(str::to_owned))).await;
    printed.lines().map(|line| serde_json::from_str(line).expect("it prints JSON")).collect()
}

#[tokio::test]
async fn httpx_sse_gives_out_nothing_but_entries_and_cuts() {
    let cluster = Cluster::running().await;
    cluster.client().append_range(0..5, 3).await;
    for client in [cluster.client(), cluster.reader(1)] {
        let read = events(&client, 5, None).await;
        assert!(read[0]["retry"].is_u64(), "how long to wait comes with the first entry: {read:?}");
        for (order, event) in read.iter().enumerate() {
            assert_eq!((&event["event"], &event["id"]), (&json!("message"), &json!(format!("1.0/{order}"))));
            let entry: Value =
                serde_json::from_str(event["data"].as_str().unwrap_or_default()).unwrap_or_default();
            assert_eq!(entry["order"], order, "{event}");
        }
        let resumed = events(&client, 1, Some("1.0/3")).await;
        assert_eq!(resumed[0]["id"], "1.0/4");
    }
    assert_eq!(cluster.client().post("/clean", json!({"w": 3})).await.status, 200);
    cluster.client().append_range(0..7, 3).await;
    cluster.equal_logs(SOON).await;
    for client in [cluster.client(), cluster.reader(1)] {
        let resumed = events(&client, 8, Some("1.0/4")).await;
        let ids: Vec<&str> = resumed.iter().filter_map(|event| event["id"].as_str()).collect();
        assert_eq!(resumed[0]["event"], "cut");
        assert_eq!(ids, ["", "1.1/0", "1.1/1", "1.1/2", "1.1/3", "1.1/4", "1.1/5", "1.1/6"]);
    }
}

/// Makes the package `name` of the description that a node serves.
async fn generate(client: &Client, folder: &Path, name: &str) {
    let [described, config] = [description(client, folder).await, folder.join("config.yml")];
    fs::write(&config, "post_hooks: []\n").expect("a temporary file can be written");
    let args = ["generate", "--meta", "none", "--path"].map(str::to_owned).into_iter();
    let [described, config, package] =
        [described, config, folder.join(name)].map(|path| path.to_string_lossy().into_owned());
    let more = [described, "--config".to_owned(), config, "--output-path".to_owned(), package];
    python("openapi-python-client", args.chain(more)).await;
}

#[tokio::test]
async fn openapi_python_client_makes_clients_of_both_descriptions_that_work() {
    let cluster = Cluster::running().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    generate(&cluster.client(), folder.path(), "replog_master").await;
    generate(&cluster.reader(1), folder.path(), "replog_secondary").await;
    call_nodes(&cluster, "openapi_python_client.py", folder.path(), None).await;
}
