//! The processes that are measured. All end when they are dropped.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Durability;
use crate::workspace;

/// How long a process may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(15);

/// The programs.
pub(super) struct Binaries {
    pub(super) replog: PathBuf,
    master: PathBuf,
    secondary: PathBuf,
    echo: PathBuf,
    pub(super) jetstream: PathBuf,
}

impl Binaries {
    pub(super) fn release() -> Binaries {
        let at = |name: &str| workspace::target().join("release").join(name);
        Binaries {
            replog: at("replog"),
            master: at("replog-master"),
            secondary: at("replog-secondary"),
            echo: at("replog-echo"),
            jetstream: at("replog-jetstream"),
        }
    }
}

/// A child process, killed when dropped.
pub(super) struct Process(Child);

impl Process {
    /// Starts it, unseen.
    pub(super) fn start(program: &Path, args: &[&str]) -> Result<Process> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Process(child))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// A port that nobody listens on at the moment.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The echo: the yardstick.
pub(super) struct Echo {
    _process: Process,
    port: u16,
}

impl Echo {
    pub(super) fn start(binaries: &Binaries) -> Result<Echo> {
        let port = free_port()?;
        let process = Process::start(
            &binaries.echo,
            &["serve", "--listen", &format!("127.0.0.1:{port}"), "--threads", "1"],
        )?;
        wait_until("the echo listens", || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()))?;
        Ok(Echo { _process: process, port })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A nats-server, a master and up to two secondaries.
pub(super) struct Cluster<'a> {
    binaries: &'a Binaries,
    nats_url: String,
    master_port: u16,
    master: Process,
    secondaries: Vec<(u16, Process)>,
    /// The folder of the nodes' logs; none in memory.
    data: Option<PathBuf>,
    _nats: Process,
}

impl<'a> Cluster<'a> {
    /// Starts the broker and the master, and waits until it leads.
    pub(super) fn start(
        binaries: &'a Binaries,
        nats_server: &Path,
        durability: Durability,
    ) -> Result<Cluster<'a>> {
        let data = (durability == Durability::Disk).then(|| workspace::target().join("bench-data"));
        if let Some(data) = data.as_ref().filter(|data| data.exists()) {
            fs::remove_dir_all(data).context("the logs of an earlier run")?;
        }
        let (nats_port, master_port) = (free_port()?, free_port()?);
        let nats = Process::start(nats_server, &["-a", "127.0.0.1", "-p", &nats_port.to_string()])?;
        let nats_url = format!("nats://127.0.0.1:{nats_port}");
        let listen = format!("127.0.0.1:{master_port}");
        let args = ["--listen", &listen, "--nats-url", &nats_url, "--secondaries", "secondary1,secondary2"];
        let storage = storage(data.as_deref(), "master");
        let storage: Vec<&str> = storage.iter().map(String::as_str).collect();
        let master = Process::start(&binaries.master, &[&args[..], &storage].concat())?;
        let secondaries = Vec::new();
        let cluster = Cluster { binaries, nats_url, master_port, master, secondaries, data, _nats: nats };
        wait_until("the master leads", || {
            Ok(cluster.health(master_port).is_ok_and(|health| !health["epoch"].is_null()))
        })?;
        Ok(cluster)
    }

    /// Starts secondary 1 or 2.
    pub(super) fn start_secondary(&mut self, number: usize) -> Result<()> {
        let port = free_port()?;
        let (listen, name) = (format!("127.0.0.1:{port}"), format!("secondary{number}"));
        let args = ["--listen", &listen, "--nats-url", &self.nats_url, "--name", &name];
        let storage = storage(self.data.as_deref(), &name);
        let storage: Vec<&str> = storage.iter().map(String::as_str).collect();
        let process = Process::start(&self.binaries.secondary, &[&args[..], &storage].concat())?;
        self.secondaries.push((port, process));
        Ok(())
    }

    /// Waits until the master pushes to these secondaries.
    pub(super) fn wait_until_streaming(&self, names: &[&str]) -> Result<()> {
        let streaming = |health: &Value, name: &&str| health["secondaries"][name]["stage"] == "streaming";
        wait_until("the secondaries are streaming", || {
            let health = self.health(self.master_port)?;
            Ok(names.iter().all(|name| streaming(&health, name)))
        })
    }

    pub(super) fn master_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.master_port)
    }

    pub(super) fn master_port(&self) -> u16 {
        self.master_port
    }

    pub(super) fn master_length(&self) -> Result<u64> {
        length(&self.health(self.master_port)?)
    }

    /// How long the secondary's log is; 0 while it does not answer yet.
    pub(super) fn secondary_length(&self, number: usize) -> Result<u64> {
        let (port, _) = self.secondary(number)?;
        self.health(*port).map_or(Ok(0), |health| length(&health))
    }

    /// Memory of the master's process.
    pub(super) fn master_rss_bytes(&self) -> Result<u64> {
        rss_bytes(self.master.0.id())
    }

    /// Memory of a secondary's process.
    pub(super) fn secondary_rss_bytes(&self, number: usize) -> Result<u64> {
        rss_bytes(self.secondary_id(number)?)
    }

    /// The id of a secondary's process.
    pub(super) fn secondary_id(&self, number: usize) -> Result<u32> {
        Ok(self.secondary(number)?.1.0.id())
    }

    fn secondary(&self, number: usize) -> Result<&(u16, Process)> {
        self.secondaries.get(number - 1).context("no such secondary was started")
    }

    /// Waits until a secondary says that it is alive.
    pub(super) fn wait_until_answering(&self, number: usize) -> Result<()> {
        wait_until("the secondary answers", || self.probe_secondary(number).map(|()| true))
    }

    /// Asks a secondary whether it is alive.
    pub(super) fn probe_secondary(&self, number: usize) -> Result<()> {
        let answer = get(self.secondary(number)?.0, "/livez")?;
        answer.starts_with("HTTP/1.1 200").then_some(()).with_context(|| format!("it is not alive: {answer}"))
    }

    fn health(&self, port: u16) -> Result<Value> {
        let answer = get(port, "/health")?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        serde_json::from_str(body).context("the health is not JSON")
    }
}

/// What a node answers to a `GET`, head and all.
fn get(port: u16, path: &str) -> Result<String> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

fn rss_bytes(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// The flags that say where a node keeps its log.
fn storage(data: Option<&Path>, name: &str) -> [String; 2] {
    match data {
        None => ["--durability", "memory"].map(str::to_owned),
        Some(data) => ["--data-dir".to_owned(), data.join(name).display().to_string()],
    }
}

fn length(health: &Value) -> Result<u64> {
    health["length"].as_u64().context("the health has no length")
}

/// Waits until a condition holds; an error counts as not yet.
pub(super) fn wait_until(what: &str, condition: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if condition().unwrap_or(false) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("waited {} s in vain until {what}", START_LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
