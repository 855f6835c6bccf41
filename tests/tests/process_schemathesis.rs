//! The description of the API held against live nodes, by schemathesis: what it says is sent and comes back, and what it
//! does not say is refused.

use std::{fs, path::Path, process::Command};

use replog_tests::harness::{Cluster, Options, programs};
use serde_json::Value;

/// Of tokens for everything, as `replog token new` makes them: the token, and its line in a file.
fn token() -> (String, String) {
    let mut command = Command::new(programs::replog());
    command.args(["token", "new", "--name", "all", "--scopes", "append,read,admin", "--json"]);
    let output = command.output().expect("the command can be started");
    let made: Value = serde_json::from_slice(&output.stdout).expect("the command prints JSON");
    let text = |member: &str| made[member].as_str().expect("it is a text").to_owned();
    (text("token"), text("line") + "\n")
}

/// A master and two secondaries that let in who has the token.
async fn cluster(folder: &Path) -> (Cluster, String) {
    let (token, line) = token();
    let tokens = folder.join("tokens");
    fs::write(&tokens, line).expect("a temporary file can be written");
    let tokens: &'static str = tokens.to_string_lossy().into_owned().leak();
    let args = ["--tokens-file", tokens];
    let options = Options {
        master_args: [&args[..], &["--allow-clean"]].concat(),
        secondary_args: [&args[..], &["--allow-faults"]].concat(),
        ..Options::default()
    };
    let mut cluster = Cluster::idle(options).await;
    cluster.secondary(1).start().await;
    cluster.secondary(2).start().await;
    cluster.master.start().await;
    cluster.master.client = cluster.master.client.with_token(&token);
    cluster.all_healthy().await;
    (cluster, token)
}

/// Runs it against the description that a node serves.
///
/// # Panics
/// It finds something, or is not there.
fn hold_against_its_description(base: &str, token: &str, folder: &Path) {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis/schemathesis.toml");
    let mut command = Command::new(programs::schemathesis());
    command.arg("--config-file").arg(&config).args(["run", &format!("{base}/openapi.json")]);
    command.args(["--header", &format!("Authorization: Bearer {token}")]);
    // The hooks are beside the configuration. What it leaves behind goes elsewhere.
    command
        .current_dir(folder)
        .env("PYTHONPATH", config.with_file_name(""))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().expect("schemathesis is there (`cargo xtask tools`)");
    let [told, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "schemathesis found something:\n{told}\n{errors}");
}

#[tokio::test]
async fn nodes_do_what_their_descriptions_say_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (cluster, token) = cluster(folder.path()).await;
    // The secondary last: its faults are switched.
    for client in [cluster.client(), cluster.reader(1)] {
        let (base, token, place) = (client.url(""), token.clone(), folder.path().to_owned());
        let run = move || hold_against_its_description(&base, &token, &place);
        tokio::task::spawn_blocking(run).await.expect("schemathesis finds nothing");
    }
}
