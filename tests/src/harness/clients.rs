//! Clients in Python that others make of the description of the API.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{Client, Cluster, programs};

/// Runs a program of the Python with generators, and gives what it prints.
///
/// # Panics
/// It is not there, or fails.
pub async fn python(program: &str, args: impl IntoIterator<Item = String>) -> String {
    let bin = programs::python_clients();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(bin.join(program));
    command.args(args).env("PATH", format!("{}:{path}", bin.display())).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.kill_on_drop(true).output().await;
    let output = output.expect("it can be started (`cargo xtask tools` fetches it)");
    let [printed, said] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{program} failed:\n{printed}\n{said}");
    printed
}

/// A script of these tests.
pub fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python_clients").join(name).to_string_lossy().into_owned()
}

/// Writes the description that a node serves into a folder: the file.
///
/// # Panics
/// There is none, or it cannot be written.
pub async fn description(client: &Client, folder: &Path) -> PathBuf {
    let described = client.get("/openapi.json").await.body;
    let path = folder.join("openapi.json");
    fs::write(&path, described.to_string()).expect("a temporary file can be written");
    path
}

/// Lets a script call the master and a secondary by the packages `replog_master` and `replog_secondary` in `folder`, and
/// holds what it prints against what nodes answer. The log is empty before.
///
/// # Panics
/// Something differs.
pub async fn call_nodes(cluster: &Cluster, name: &str, folder: &Path, token: Option<&str>) {
    // What waits for three nodes waits until the time that it gives is over.
    cluster.reader(2).set_faults(json!({"delay_ms": 60_000})).await;
    let urls = [cluster.client().url(""), cluster.reader(1).url("")];
    let args = [script(name), folder.to_string_lossy().into_owned()].into_iter().chain(urls);
    let printed = python("python", args.chain(token.map(str::to_owned))).await;
    let printed: Value = serde_json::from_str(&printed).expect("it prints JSON");
    let expected = json!({
        "first": [200, "Appended", 0, ["master", "secondary1"], "1.0"],
        "again": [200, 0, true],
        "batch": ["BatchAppended", 1],
        "conflict": [409, "Problem", "conflict", false, 0],
        "late": [504, "Problem", "unconfirmed", true, true],
        "unexpected": [412, "Problem", "unexpected_order", 3],
        "held": ["master", "secondary1"],
        "messages": [{"a": [1, null]}, "x", "late"],
        "ids": ["one"],
        "health": ["master", "memory"],
        "secondary": ["secondary", {"a": [1, null]}],
    });
    for (member, expected) in expected.as_object().into_iter().flatten() {
        assert_eq!(&printed[member], expected, "{member} of {printed:#}");
    }
}
