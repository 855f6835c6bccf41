//! The nats-server configuration that is shipped: under it a cluster runs, and nobody speaks in another's name.

use std::{ffi::OsString, fs, path::Path, process::Command};

use futures_util::StreamExt as _;
use replog_tests::harness::{Cluster, FrontDoor, Options, Process, SOON, programs, wait_until};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Who has a key: the nodes, and a client that is none.
const USERS: [&str; 4] = ["master", "secondary1", "secondary2", "app"];

/// A key as `replog nkey new` makes it, and all that it prints, which is what a node is given.
struct Key {
    printed: String,
    seed: String,
    public: String,
}

impl Key {
    fn new() -> Key {
        let output = Command::new(programs::node("replog")).args(["nkey", "new"]).output();
        let printed = String::from_utf8(output.expect("the command can be started").stdout);
        let printed = printed.expect("it prints text");
        let (seed, public) = printed.trim_end().split_once('\n').expect("it prints two lines");
        Key { seed: seed.to_owned(), public: public.to_owned(), printed }
    }
}

/// A cluster under the shipped file, with keys of its own.
struct Guarded {
    cluster: Cluster,
    keys: Vec<Key>,
    _folder: TempDir,
}

impl Guarded {
    async fn start() -> Guarded {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let keys: Vec<Key> = USERS.iter().map(|_| Key::new()).collect();
        let mut cluster = Cluster::idle(Options::default()).await;
        cluster.nats.kill();
        cluster.nats = nats(&cluster, &write_config(folder.path(), &keys));
        cluster.start_nats().await;
        let seed = |nth: usize| write_seed(folder.path(), USERS[nth], &keys[nth]);
        let master_args = ["--secondaries", "secondary1,secondary2", "--nats-nkey", &seed(0)];
        cluster.master = cluster.node("master", "replog-master", &master_args);
        cluster.secondaries = (1..=2)
            .map(|nth| cluster.node(USERS[nth], "replog-secondary", &["--nats-nkey", &seed(nth)]))
            .collect();
        for secondary in &mut cluster.secondaries {
            secondary.process.start();
        }
        cluster.master.start().await;
        cluster.all_healthy().await;
        Guarded { cluster, keys, _folder: folder }
    }

    /// A client that shows this user's key, and listens for answers below this.
    async fn client(&self, user: &str, inbox: &str) -> Intruder {
        let (told, refusals) = mpsc::channel(1_000);
        let options = async_nats::ConnectOptions::with_nkey(self.key_of(user).seed.clone()).event_callback(
            move |event| {
                let told = told.clone();
                async move {
                    if let async_nats::Event::ServerError(error) = event {
                        told.send(error.to_string()).await.expect("the test listens");
                    }
                }
            },
        );
        let client = options.custom_inbox_prefix(inbox).connect(self.cluster.nats_address()).await;
        Intruder { client: client.expect("the key is a good one"), refusals }
    }

    fn key_of(&self, user: &str) -> &Key {
        let mut keys = USERS.iter().zip(&self.keys);
        keys.find_map(|(name, key)| (*name == user).then_some(key)).expect("this user has a key")
    }
}

/// The shipped file with these keys; what else it says is what is shipped.
fn write_config(folder: &Path, keys: &[Key]) -> OsString {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nats/nats.conf");
    let mut config = fs::read_to_string(shipped).expect("the file is shipped");
    for (name, key) in USERS.iter().zip(keys) {
        let placeholder = format!("PUBLIC_NKEY_OF_{}", name.to_uppercase());
        assert_eq!(config.matches(&placeholder).count(), 1);
        config = config.replace(&placeholder, &key.public);
    }
    let path = folder.join("nats.conf");
    fs::write(&path, config).expect("a temporary file can be written");
    path.into_os_string()
}

fn write_seed(folder: &Path, name: &str, key: &Key) -> String {
    let path = folder.join(format!("{name}.nk"));
    fs::write(&path, &key.printed).expect("a temporary file can be written");
    path.to_string_lossy().into_owned()
}

/// A server over this file, where the cluster expects one.
fn nats(cluster: &Cluster, config: &OsString) -> Process {
    let address = cluster.nats_address();
    let port = address.rsplit(':').next().expect("an address has a port");
    let args = ["--config".into(), config.clone(), "--addr".into(), "127.0.0.1".into(), "--port".into()];
    let args = args.into_iter().chain([port.into()]).collect();
    Process::new("nats", programs::nats_server(), args, cluster.nats.log_path().to_owned())
}

struct Intruder {
    client: async_nats::Client,
    refusals: mpsc::Receiver<String>,
}

impl Intruder {
    /// The next thing that the server refuses, which must be this.
    async fn refused(&mut self, what: &str, subject: &str) {
        let told = tokio::time::timeout(SOON, self.refusals.recv()).await;
        let told = told.unwrap_or_else(|_| panic!("{what} {subject} was allowed")).expect("it is connected");
        assert!(told.contains(what) && told.contains(&format!("{subject:?}")), "{what} {subject}: {told}");
    }

    async fn cannot_publish(&mut self, subject: &str) {
        self.client.publish(subject.to_owned(), "{}".into()).await.expect("the server alone refuses");
        self.refused("Publish", subject).await;
    }

    async fn cannot_subscribe(&mut self, subject: &str) {
        let _subscriber = self.client.subscribe(subject.to_owned()).await.expect("the server alone refuses");
        self.refused("Subscription", subject).await;
    }
}

#[tokio::test]
async fn a_cluster_runs_under_the_shipped_permissions() {
    let mut guarded = Guarded::start().await;
    let cluster = &mut guarded.cluster;
    cluster.client().write("to all", 3).await;
    // A join, a fetch, and the start of a master that lost its memory need what pushing does not.
    cluster.secondary(2).process.kill();
    cluster.client().write("missed", 2).await;
    cluster.secondary(2).start().await;
    cluster.client().write("to all again", 3).await;
    cluster.master.process.kill();
    cluster.master.start().await;
    cluster.all_healthy().await;
    cluster.client().write("after a restart", 3).await;
    let app = FrontDoor::over(guarded.client("app", "_INBOX.app").await.client);
    wait_until("the door is open", SOON, async || app.is_open().await).await;
    app.append(json!({"message": "by another door", "w": 3})).await.expect_ok(3);
    let cluster = &guarded.cluster;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 5);
    for client in [cluster.client(), cluster.reader(1), cluster.reader(2)] {
        let health = client.health().await;
        assert_eq!((&health["status"], &health["nats_denied"]), (&json!("ok"), &json!(null)), "{health}");
    }
    for node in [&cluster.master, &cluster.secondaries[0], &cluster.secondaries[1]] {
        let log = node.process.log();
        assert!(!log.contains("NATS refuses"), "{}: {log}", node.name);
    }
}

#[tokio::test]
async fn with_one_secondarys_key_nobody_speaks_or_listens_as_another_node() {
    let guarded = Guarded::start().await;
    let client = guarded.cluster.client();
    client.write("before", 3).await;
    let mut intruder = guarded.client("secondary1", "replog.main.inbox.secondary1").await;
    for token in [
        "entries.secondary1",
        "entries.secondary2",
        "acks.secondary2",
        "join.secondary2",
        "fetch.secondary2",
        "heartbeat",
        "ask",
        "promise.secondary2",
        "read.secondary2",
        "inbox.secondary2.join.1",
        "inbox.secondary2.fetch.1",
        "inbox.secondary2.probe",
        "inbox.master.probe",
        "append",
    ] {
        intruder.cannot_publish(&format!("replog.main.{token}")).await;
    }
    for token in [
        "inbox.secondary2.>",
        "inbox.master.>",
        "inbox.*.state.*",
        "entries.secondary2",
        "entries.*",
        "acks.secondary2",
        "acks.*",
        "join.*",
        "fetch.secondary2",
        "promise.secondary2",
        "read.secondary2",
        "append",
        ">",
    ] {
        intruder.cannot_subscribe(&format!("replog.main.{token}")).await;
    }
    for subject in [">", "_INBOX.>", "_INBOX.app.>", "$SRV.PING"] {
        intruder.cannot_subscribe(subject).await;
    }
    intruder.cannot_publish("_INBOX.app.x").await;

    // What is its own it may do, and of that nothing is refused.
    let mut own = intruder.client.subscribe("replog.main.inbox.secondary1.>").await.expect("connected");
    intruder.client.publish("replog.main.inbox.secondary1.probe", "mine".into()).await.expect("connected");
    assert_eq!(own.next().await.expect("it arrives").payload, "mine");
    assert!(intruder.refusals.is_empty());

    client.write("after", 3).await;
    assert_eq!(guarded.cluster.equal_logs(SOON).await.len(), 2);
    let health = client.health().await;
    assert_eq!((&health["status"], &health["refused_envelopes"]), (&json!("ok"), &json!({})), "{health}");
}

#[tokio::test]
async fn with_a_clients_key_one_may_append_and_do_nothing_else() {
    let guarded = Guarded::start().await;
    let mut app = guarded.client("app", "_INBOX.app").await;
    let door = FrontDoor::over(app.client.clone());
    wait_until("the door is open", SOON, async || door.is_open().await).await;
    door.append(json!({"message": "allowed", "w": 3})).await.expect_ok(3);
    assert!(app.refusals.is_empty());
    for token in [
        "entries.secondary1",
        "acks.secondary1",
        "join.secondary1",
        "fetch.secondary1",
        "heartbeat",
        "ask",
        "promise.secondary1",
        "read.secondary1",
        "inbox.master.state.1",
        "inbox.secondary1.join.1",
    ] {
        app.cannot_publish(&format!("replog.main.{token}")).await;
    }
    for token in ["entries.secondary1", "acks.*", "join.*", "heartbeat", "inbox.master.>", "append", ">"] {
        app.cannot_subscribe(&format!("replog.main.{token}")).await;
    }
    for subject in [">", "_INBOX.>", "_INBOX.other.>", "$SRV.PING"] {
        app.cannot_subscribe(subject).await;
    }
    app.cannot_publish("_INBOX.other.x").await;
    app.cannot_publish("$SRV.PING").await;

    // Nor may the master be made to speak for it: on subjects of nodes it does not, on others NATS does not let it.
    for reply in ["replog.main.entries.secondary1", "replog.main.acks.secondary2", "elsewhere.x"] {
        let body = json!({"message": reply, "w": 1}).to_string();
        app.client.publish_with_reply(FrontDoor::SUBJECT, reply, body.into()).await.expect("it is connected");
    }
    door.append(json!({"message": "allowed again", "w": 3})).await.expect_ok(3);
    let log = guarded.cluster.equal_logs(SOON).await;
    let messages: Vec<_> = log.iter().map(|entry| entry.message.clone()).collect();
    assert_eq!(messages, ["allowed", "elsewhere.x", "allowed again"]);
    let said = async || guarded.cluster.master.process.log().contains("NATS refuses an answer");
    wait_until("it is said that nobody could be told", SOON, said).await;
    let health = guarded.cluster.client().health().await;
    assert_eq!((&health["status"], &health["nats_denied"]), (&json!("ok"), &json!(null)), "{health}");
    assert_eq!(health["refused_envelopes"], json!({}), "{health}");
}

#[tokio::test]
async fn without_a_key_nobody_is_let_in() {
    let guarded = Guarded::start().await;
    let address = guarded.cluster.nats_address();
    assert!(async_nats::connect(&address).await.is_err());
    assert!(async_nats::ConnectOptions::with_nkey(Key::new().seed).connect(&address).await.is_err());
    wait_until("the cluster is well", SOON, async || {
        guarded.cluster.client().health().await["status"] == "ok"
    })
    .await;
}
