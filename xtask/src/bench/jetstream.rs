//! A JetStream stream of three replicas, in memory, under the same load.

use std::{fs, net::TcpStream, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    Load, PAYLOAD_BYTES,
    cluster::{Binaries, Process, free_port, wait_until},
};
use crate::{process::Program, workspace};

/// Servers, and replicas of the stream.
const SERVERS: usize = 3;

/// Measures the load with a connection for each client, as over HTTP, and, where there are many, on one
/// connection that all share, as one program would do it.
pub(super) fn measure(
    binaries: &Binaries,
    nats_server: &Path,
    load: &Load,
    seconds: u64,
) -> Result<Vec<(&'static str, Value)>> {
    let cluster = Servers::start(nats_server)?;
    let mut rows = vec![("  JetStream R3", cluster.bench(binaries, load, seconds, load.clients)?)];
    if load.clients > 1 {
        rows.push(("  JetStream R3, 1 connection", cluster.bench(binaries, load, seconds, 1)?));
    }
    Ok(rows)
}

struct Servers {
    url: String,
    _servers: Vec<Process>,
}

impl Servers {
    fn start(nats_server: &Path) -> Result<Servers> {
        let folder = workspace::target().join("bench-jetstream");
        if folder.exists() {
            fs::remove_dir_all(&folder).context("the stream of an earlier run")?;
        }
        let ports = (0..2 * SERVERS).map(|_| free_port()).collect::<Result<Vec<_>>>()?;
        let (clients, routes) = ports.split_at(SERVERS);
        let peers: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let mut servers = Vec::new();
        for (number, (port, peer)) in clients.iter().zip(&peers).enumerate() {
            let (port, name) = (port.to_string(), format!("comparison{number}"));
            let store = folder.join(&name).display().to_string();
            let args = ["-a", "127.0.0.1", "-p", &port, "-n", &name, "-js", "-sd", &store];
            let cluster = ["--cluster_name", "comparison", "--cluster", peer, "--routes", &peers.join(",")];
            servers.push(Process::start(nats_server, &[&args[..], &cluster].concat())?);
        }
        wait_until("nats-server listens", || Ok(TcpStream::connect(("127.0.0.1", clients[0])).is_ok()))?;
        Ok(Servers { url: format!("nats://127.0.0.1:{}", clients[0]), _servers: servers })
    }

    fn bench(&self, binaries: &Binaries, load: &Load, seconds: u64, connections: u32) -> Result<Value> {
        let output = Program::new(&binaries.jetstream)
            .args(["--url", &self.url, "--replicas", &SERVERS.to_string()])
            .args(["--clients", &load.clients.to_string(), "--batch", &load.batch.to_string()])
            .args(["--connections", &connections.to_string(), "--size", &PAYLOAD_BYTES.to_string()])
            .args(["--seconds", &seconds.to_string()])
            .read()?;
        serde_json::from_str(&output).context("JetStream's report is not JSON")
    }
}
