//! A cluster of processes: nats-server, master, secondaries.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    client::Client,
    front_door::FrontDoor,
    ports,
    process::Process,
    programs,
    proxy::Proxy,
    wait::{SOON, wait_until},
};

/// Between two heartbeats: shorter than the nodes' default, so that a test learns sooner who is down.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

/// How many lines of each log a failed test shows.
const SHOWN_LOG_LINES: usize = 40;

/// What is special about a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many secondaries are configured: `secondary1`, `secondary2`, …
    pub secondaries: usize,
    /// Between two heartbeats, and two acks of an idle secondary.
    pub heartbeat_interval: Duration,
    /// Whether each node keeps its log in a directory of its own, synced; else it is in memory.
    pub on_disk: bool,
    /// Whether each node reaches nats-server through a proxy of its own.
    pub proxied: bool,
    /// Further arguments of the master.
    pub master_args: Vec<&'static str>,
    /// Further arguments of each secondary.
    pub secondary_args: Vec<&'static str>,
}

impl Default for Options {
    /// Two secondaries; everything allowed that has to be allowed.
    fn default() -> Options {
        let (master_args, secondary_args) = (vec!["--allow-clean"], vec!["--allow-faults"]);
        let heartbeat_interval = HEARTBEAT_INTERVAL;
        Options {
            secondaries: 2,
            heartbeat_interval,
            on_disk: false,
            proxied: false,
            master_args,
            secondary_args,
        }
    }
}

impl Options {
    /// As the default, with logs on disk.
    pub fn on_disk() -> Options {
        Options { on_disk: true, ..Options::default() }
    }
}

/// One node: its process and a client of it.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The process.
    pub process: Process,
    /// A client of it.
    pub client: Client,
    /// Where its HTTP listens: host and port.
    pub address: String,
    /// Its wire to nats-server, if the cluster has such wires.
    proxy: Option<Proxy>,
}

impl Node {
    /// Starts it, and waits until it is ready.
    ///
    /// # Panics
    /// It runs already, or does not get ready.
    pub async fn start(&mut self) {
        self.process.start();
        let what = format!("{} is ready", self.name);
        wait_until(&what, SOON, async || self.client.is_ready().await).await;
    }

    /// Its wire to nats-server.
    ///
    /// # Panics
    /// The cluster's options do not say `proxied`.
    pub fn wire(&self) -> &Proxy {
        self.proxy.as_ref().expect("the nodes of this cluster have wires that can be cut")
    }
}

/// A cluster. Dropping it kills all its processes; if the test fails, it shows what they logged.
#[derive(Debug)]
pub struct Cluster {
    /// The NATS server.
    pub nats: Process,
    /// The master.
    pub master: Node,
    /// The secondaries, started or not.
    pub secondaries: Vec<Node>,
    nats_port: u16,
    options: Options,
    folder: TempDir,
}

impl Cluster {
    /// A cluster of which nothing runs but nats-server.
    pub async fn idle(options: Options) -> Cluster {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let nats_port = ports::free();
        let log = |name: &str| folder.path().join(format!("{name}.log"));
        let nats_args = ["--addr", "127.0.0.1", "--port", &nats_port.to_string()].map(OsString::from);
        let nats = Process::new("nats", programs::nats_server(), nats_args.into(), log("nats"));
        let names: Vec<String> = (1..=options.secondaries).map(|nth| format!("secondary{nth}")).collect();
        let place = Place { nats_port, options: &options, folder: folder.path() };
        let all_names = names.join(",");
        let master_args = [&["--secondaries", &all_names], &options.master_args[..]].concat();
        let master = place.node("master", "replog-master", &master_args);
        let secondary = |name: &String| place.node(name, "replog-secondary", &options.secondary_args);
        let secondaries = names.iter().map(secondary).collect();
        let mut cluster = Cluster { nats, master, secondaries, nats_port, options, folder };
        cluster.start_nats().await;
        cluster
    }

    /// A cluster of which everything runs and the master has admitted every secondary.
    pub async fn start(options: Options) -> Cluster {
        let mut cluster = Cluster::idle(options).await;
        for secondary in &mut cluster.secondaries {
            secondary.process.start();
        }
        cluster.master.start().await;
        cluster.all_healthy().await;
        cluster
    }

    /// A cluster of two secondaries, all running.
    pub async fn running() -> Cluster {
        Cluster::start(Options::default()).await
    }

    /// Starts nats-server, on the same port each time, and waits until it takes connections.
    ///
    /// # Panics
    /// It runs already, or does not come up.
    pub async fn start_nats(&mut self) {
        self.nats.start();
        let address = self.nats_address();
        let is_open = async || tokio::net::TcpStream::connect(&address).await.is_ok();
        wait_until("nats-server takes connections", SOON, is_open).await;
    }

    /// Host and port of nats-server.
    pub fn nats_address(&self) -> String {
        format!("127.0.0.1:{}", self.nats_port)
    }

    /// A node of this name in another role, or the same one again: over the same directory, on another port.
    /// It is not started yet.
    pub fn node(&self, name: &str, program: &str, args: &[&str]) -> Node {
        self.place().node(name, program, args)
    }

    /// A node of this name that is not the one in the cluster: over the directory of the name `directory`. It is
    /// not started yet.
    pub fn twin(&self, name: &str, directory: &str, program: &str, args: &[&str]) -> Node {
        self.place().node_in(name, directory, program, args)
    }

    fn place(&self) -> Place<'_> {
        Place { nats_port: self.nats_port, options: &self.options, folder: self.folder.path() }
    }

    /// Leaves the folder with all directories and log lines behind, and says where it is.
    pub fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// The directory of the node of this name.
    pub fn directory(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client of the master.
    pub fn client(&self) -> Client {
        self.master.client.clone()
    }

    /// The secondary of this number, counted from 1 as in its name.
    pub fn secondary(&mut self, number: usize) -> &mut Node {
        &mut self.secondaries[number - 1]
    }

    /// A client that appends over NATS.
    pub async fn front_door(&self) -> FrontDoor {
        FrontDoor::at(&self.nats_address()).await
    }

    /// A client of the secondary of this number, counted from 1 as in its name.
    pub fn reader(&self, number: usize) -> Client {
        self.secondaries[number - 1].client.clone()
    }

    /// What the master's health says of a secondary.
    pub async fn health_of(&self, number: usize) -> Value {
        self.master.client.health().await["secondaries"][&self.secondaries[number - 1].name].clone()
    }

    /// Waits until the master calls a secondary `status`.
    pub async fn wait_for_status(&self, number: usize, status: &str) {
        let what = format!("the master calls secondary{number} {status}");
        wait_until(&what, SOON, async || self.health_of(number).await["status"] == status).await;
    }

    /// Waits until the master misses a secondary: calls it suspected or worse.
    pub async fn wait_for_missing(&self, number: usize) {
        let what = format!("the master misses secondary{number}");
        wait_until(&what, SOON, async || self.health_of(number).await["status"] != "healthy").await;
    }

    /// Waits until the master calls every secondary healthy and counts its acks.
    pub async fn all_healthy(&self) {
        wait_until("every secondary is healthy", SOON, async || {
            self.client().health().await["status"] == "ok"
        })
        .await;
    }

    /// Waits until every secondary shows what the master shows, and gives that.
    ///
    /// # Panics
    /// The logs do not become equal within `limit`.
    pub async fn equal_logs(&self, limit: Duration) -> Vec<super::Entry> {
        let clients: Vec<Client> = self.secondaries.iter().map(|node| node.client.clone()).collect();
        equal_logs(&self.client(), &clients, limit).await
    }
}

/// Waits until all of `secondaries` show what `master` shows, and gives that.
///
/// # Panics
/// The logs do not become equal within `limit`.
pub async fn equal_logs(master: &Client, secondaries: &[Client], limit: Duration) -> Vec<super::Entry> {
    super::eventually("all logs are equal", limit, async || {
        let log = master.entries().await?;
        for secondary in secondaries {
            secondary.entries().await.filter(|entries| *entries == log)?;
        }
        Some(log)
    })
    .await
}

/// What all nodes of a cluster have in common.
struct Place<'a> {
    nats_port: u16,
    options: &'a Options,
    folder: &'a Path,
}

impl Place<'_> {
    fn node(&self, name: &str, program: &str, args: &[&str]) -> Node {
        self.node_in(name, name, program, args)
    }

    /// Of this name, over the directory of another name.
    fn node_in(&self, name: &str, directory: &str, program: &str, args: &[&str]) -> Node {
        let log = self.folder.join(format!("{directory}.log"));
        let address = format!("127.0.0.1:{}", ports::free());
        let proxy = self.options.proxied.then(|| Proxy::start(format!("127.0.0.1:{}", self.nats_port)));
        let nats_port = proxy.as_ref().map_or(self.nats_port, |proxy| proxy.port);
        let nats_url = format!("nats://127.0.0.1:{nats_port}");
        let interval = self.options.heartbeat_interval.as_millis().to_string();
        let directory = self.folder.join(directory).into_os_string();
        let memory = ["--durability", "memory"].map(OsString::from);
        let storage = if self.options.on_disk { ["--data-dir".into(), directory] } else { memory };
        let common = ["--name", name, "--listen", &address, "--nats-url", &nats_url];
        let pace = ["--heartbeat-interval-ms", &interval];
        let args = common.iter().chain(&pace).chain(args).map(OsString::from).chain(storage).collect();
        let process = Process::new(name, programs::node(program), args, log);
        let client = Client::new(format!("http://{address}"));
        Node { name: name.to_owned(), process, client, address, proxy }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let nodes = self.secondaries.iter().map(|node| &node.process);
            [&self.nats, &self.master.process].into_iter().chain(nodes).for_each(show_log);
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that fails shows there what its processes logged")]
fn show_log(process: &Process) {
    let log = process.log();
    let lines: Vec<&str> = log.lines().collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..];
    eprintln!("--- log of {}, its last {} lines ---\n{}", process.name(), shown.len(), shown.join("\n"));
}
