//! Secrets: nodes are given some that can be recognised, at the highest level of logging, and everything that comes
//! out of them is searched.

use std::{fs, path::Path, process::Command};

use nkeys::KeyPair;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use replog_host::auth::Token;
use replog_tests::harness::{Client, Cluster, Options, Process, SOON, programs, wait_until};
use serde_json::json;

const PASSWORD: &str = "S3CRET-password-of-the-master";
const WRONG: &str = "S3CRET-nobody-knows-this-token";
/// Where a login has no place.
const URL: &str = "nats://someone:S3CRET-in-a-url@127.0.0.1:4222";

/// Everything that came out, and what must not be in it.
struct Search {
    secrets: Vec<String>,
    found_in: Vec<(String, String)>,
}

impl Search {
    fn look_at(&mut self, name: &str, text: impl Into<String>) {
        self.found_in.push((name.to_owned(), text.into()));
    }

    fn expect_nothing(&self) {
        for (name, text) in &self.found_in {
            assert!(!text.is_empty(), "{name} is empty: nothing was searched");
            for secret in &self.secrets {
                let line = text.lines().find(|line| line.contains(secret));
                assert!(line.is_none(), "{name} shows a secret: {}", line.unwrap_or_default());
            }
        }
    }
}

/// A server to which the master logs in by a password, and the secondary by an nkey.
fn nats(cluster: &Cluster, folder: &Path, password: &str, key: &KeyPair) -> Process {
    let users = format!(
        "authorization {{ users: [ {{ user: replog, password: {password:?} }}, {{ nkey: {} }} ] }}",
        key.public_key()
    );
    let (config, address) = (folder.join("nats.conf"), cluster.nats_address());
    fs::write(&config, format!("listen: {address:?}\n{users}\n")).expect("a temporary file can be written");
    let args = ["--config".into(), config.into_os_string()].into();
    Process::new("nats", programs::nats_server(), args, cluster.nats.log_path().to_owned())
}

/// What a program says that is called with these arguments and variables.
fn said(program: &str, args: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(programs::node(program));
    let output = command.args(args).env_clear().envs(variables.iter().copied()).output();
    let output = output.expect("the program can be started");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Requests that are refused in every way in which a token can be wrong, and one that fails behind it.
async fn provoke(client: &Client, token: &str, search: &mut Search) {
    for (name, client) in [
        ("no token", client.clone()),
        ("another token", client.with_token(WRONG)),
        ("a token", client.with_token(token)),
    ] {
        for path in ["/health", "/metrics", "/faults", "/messages/99999", "/nothing"] {
            let answer = client.get(path).await;
            search.look_at(&format!("GET {path} with {name}"), format!("{answer:?}"));
        }
        let answer = client.append(json!({"message": 1, "w": "S"})).await;
        search.look_at(&format!("an append with {name}"), format!("{answer:?}"));
    }
}

#[tokio::test]
async fn no_secret_comes_out_of_a_node_or_of_the_command() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("a temporary file can be written");
        path.to_string_lossy().into_owned()
    };
    let (key, token) = (KeyPair::new_user(), Token::random().expect("random numbers"));
    let seed = key.seed().expect("it was made here");
    let certificate = generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let CertifiedKey { cert, signing_key } = certificate;
    let tls_key = signing_key.serialize_pem();
    let tls_key_line = tls_key.lines().nth(1).expect("a PEM file has lines").to_owned();
    let secret = token.secret();
    let secrets = ["S3CRET".to_owned(), secret.to_owned(), seed.clone(), tls_key_line];
    let mut search = Search { secrets: secrets.into(), found_in: Vec::new() };

    let mut cluster = Cluster::idle(Options { secondaries: 1, ..Options::default() }).await;
    cluster.nats.kill();
    cluster.nats = nats(&cluster, folder.path(), PASSWORD, &key);
    cluster.start_nats().await;
    let line = format!("all append,read,admin {}\n", token.hash());
    let tokens = write("tokens", &line);
    let password_file = write("password", PASSWORD);
    let login = ["--nats-user", "replog", "--nats-password-file", &password_file];
    let master_args = [&["--tokens-file", &tokens, "--secondaries", "secondary1"], &login[..]].concat();
    let seed_file = write("seed", &seed);
    let secondary_args = ["--tokens-file", &tokens, "--nats-nkey", &seed_file, "--allow-faults"];
    cluster.master = cluster.node("master", "replog-master", &master_args);
    cluster.secondaries = vec![cluster.node("secondary1", "replog-secondary", &secondary_args)];
    let (cert, key_file) = (write("cert", &cert.pem()), write("key", &tls_key));
    let mut secured =
        cluster.node("secured", "replog-master", &["--tls-cert", &cert, "--tls-key", &key_file]);
    let trace = || ("env".into(), vec!["RUST_LOG=trace".into()]);
    for node in [&mut cluster.master, &mut cluster.secondaries[0], &mut secured] {
        let (tool, args) = trace();
        node.process.run_under(tool, args);
    }
    secured.process.start();
    cluster.secondary(1).start().await;
    cluster.master.start().await;
    cluster.client().with_token(secret).write("x", 2).await;
    for client in [cluster.client(), cluster.reader(1)] {
        provoke(&client, secret, &mut search).await;
    }

    // Files that go wrong while the nodes run: a token where its hash should be, half a key.
    write("tokens", &format!("{line}new read {secret}\n"));
    write("key", &tls_key[..tls_key.len() / 2]);
    cluster.master.process.hang_up();
    secured.process.hang_up();
    let master_log = cluster.master.process.log_path().to_owned();
    let log = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    wait_until("the tokens are wrong", SOON, async || log(&master_log).contains("tokens file is not used"))
        .await;
    wait_until("the key is wrong", SOON, async || secured.process.log().contains("certificate is not used"))
        .await;
    // A server that takes the password no more.
    cluster.nats.kill();
    cluster.nats = nats(&cluster, folder.path(), "other", &key);
    cluster.start_nats().await;
    wait_until("the master is denied", SOON, async || {
        log(&master_log).to_lowercase().contains("authorization violation")
    })
    .await;

    let variables =
        [("REPLOG_TOKEN", secret), ("NATS_URL", URL), ("REPLOG_URL", "http://a:S3CRET-in-a-url@127.0.0.1")];
    for program in ["replog-master", "replog-secondary"] {
        search.look_at(program, said(program, &["--help"], &variables));
        search.look_at(program, said(program, &["--durability", "memory", "--name", "n"], &variables));
    }
    for command in ["append", "read", "status", "verify", "probe", "bench", "dev", "token"] {
        search.look_at(command, said("replog", &[command, "--help"], &variables));
    }
    let url = cluster.client().url("");
    let with_url = [("REPLOG_URL", url.as_str()), ("REPLOG_TOKEN", WRONG)];
    search.look_at("replog append", said("replog", &["append", "x"], &with_url));
    search.look_at("replog append", said("replog", &["append", "x"], &[("REPLOG_TOKEN", "S3CRET S3CRET")]));
    for process in [&cluster.master.process, &cluster.secondaries[0].process, &secured.process] {
        assert!(process.log().contains("TRACE") || process.log().contains("DEBUG"), "the level was not set");
        search.look_at(process.name(), process.log());
    }
    search.expect_nothing();
}
