//! A nats-server of a test's own: a process on a port of its own, with its files in a directory of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::wait_until;

/// Below the range that the system hands out by itself, so that a port stays free while its server is down.
const PORTS: std::ops::Range<u16> = 12_000..30_000;

/// A running or stopped nats-server. It keeps its port and its directory over restarts; dropping it kills it.
pub(crate) struct NatsServer {
    directory: TempDir,
    config: String,
    port: u16,
    process: Option<Child>,
}

impl NatsServer {
    /// A server with its defaults.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| String::new()).await
    }

    /// A server with more lines in its configuration, made by `config` from the server's directory.
    pub(crate) async fn start_with(config: impl FnOnce(&Path) -> String) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let config = config(directory.path());
        let mut server = Self { directory, config, port: 0, process: None };
        loop {
            server.port = fastrand::u16(PORTS);
            if server.try_start().await {
                return server;
            }
        }
    }

    /// Starts it again on the same port.
    pub(crate) async fn start_again(&mut self) {
        self.kill();
        assert!(self.try_start().await, "the port was taken meanwhile");
    }

    /// Starts it again on the same port with another configuration.
    pub(crate) async fn start_again_with(&mut self, config: &str) {
        config.clone_into(&mut self.config);
        self.start_again().await;
    }

    /// Has it read another configuration while it runs, and waits until it has.
    pub(crate) async fn reload_with(&mut self, config: &str) {
        config.clone_into(&mut self.config);
        let reloads = || self.log().matches("Reloaded server configuration").count();
        let before = reloads();
        self.write_config();
        kill_process(self.pid(), Signal::HUP).expect("a nats-server takes signals");
        wait_until("the configuration is read again", || (reloads() > before).then_some(())).await;
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("a nats-server can be killed");
            process.wait().expect("a killed process ends");
        }
    }

    /// It keeps its connections and does nothing any more.
    pub(crate) fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).expect("a nats-server can be stopped");
    }

    /// Where it listens, as people write it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// What it has logged since it started.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("nats.log")).unwrap_or_default()
    }

    /// A file in the server's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file into the server's directory.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a temporary file can be written");
        path
    }

    fn write_config(&self) -> PathBuf {
        self.file("nats.conf", &format!("listen: 127.0.0.1:{}\n{}", self.port, self.config))
    }

    fn pid(&self) -> Pid {
        let process = self.process.as_ref().expect("the server runs");
        Pid::from_child(process)
    }

    /// False if the port is taken.
    async fn try_start(&mut self) -> bool {
        let config = self.write_config();
        let log = self.path("nats.log");
        let output = File::create(&log).expect("a temporary file can be created");
        let process = Command::new(binary()).arg("-c").arg(config).stderr(output).spawn();
        self.process = Some(process.expect("nats-server can be started"));
        wait_until("nats-server is ready or has given up", || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            if log.contains("Server is ready") {
                return Some(true);
            }
            let process = self.process.as_mut().expect("just started");
            let ended = process.try_wait().expect("its state can be asked for").is_some();
            assert!(!ended || log.contains("address already in use"), "nats-server ended: {log}");
            ended.then_some(false)
        })
        .await
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `NATS_SERVER_BIN`, else what `cargo xtask tools` put into the target directory, else one on PATH.
fn binary() -> PathBuf {
    let given = std::env::var_os("NATS_SERVER_BIN").map(PathBuf::from);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/nats-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|directory| directory.join("nats-server"));
    let mut places = given.into_iter().chain([target]).chain(on_path);
    places.find(|place| place.is_file()).expect("there is no nats-server here: run `cargo xtask tools`")
}
