//! A JetStream stream of three replicas, in memory, under the same load.

use std::{fs, net::TcpStream, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    Args, Durability, Load, PAYLOAD_BYTES,
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
    args: &Args,
) -> Result<Vec<(&'static str, Value)>> {
    let cluster = Servers::start(nats_server, args.durability)?;
    let mut rows = vec![("  JetStream R3", cluster.bench(binaries, load, args.seconds, load.clients)?)];
    if load.clients > 1 {
        rows.push(("  JetStream R3, 1 connection", cluster.bench(binaries, load, args.seconds, 1)?));
    }
    Ok(rows)
}

struct Servers {
    url: String,
    storage: &'static str,
    _servers: Vec<Process>,
}

impl Servers {
    fn start(nats_server: &Path, durability: Durability) -> Result<Servers> {
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
            let config = folder.join(format!("{name}.conf")).display().to_string();
            fs::create_dir_all(&folder)?;
            fs::write(&config, configuration(&folder.join(&name), durability))?;
            let args = ["-a", "127.0.0.1", "-p", &port, "-n", &name, "-c", &config];
            let cluster = ["--cluster_name", "comparison", "--cluster", peer, "--routes", &peers.join(",")];
            servers.push(Process::start(nats_server, &[&args[..], &cluster].concat())?);
        }
        wait_until("nats-server listens", || Ok(TcpStream::connect(("127.0.0.1", clients[0])).is_ok()))?;
        let storage = if durability == Durability::Disk { "file" } else { "memory" };
        Ok(Servers { url: format!("nats://127.0.0.1:{}", clients[0]), storage, _servers: servers })
    }

    fn bench(&self, binaries: &Binaries, load: &Load, seconds: u64, connections: u32) -> Result<Value> {
        let output = Program::new(&binaries.jetstream)
            .args(["--url", &self.url, "--replicas", &SERVERS.to_string()])
            .args(["--clients", &load.clients.to_string(), "--batch", &load.batch.to_string()])
            .args(["--connections", &connections.to_string(), "--size", &PAYLOAD_BYTES.to_string()])
            .args(["--seconds", &seconds.to_string(), "--storage", self.storage])
            .read()?;
        serde_json::from_str(&output).context("JetStream's report is not JSON")
    }
}

/// On disk a server syncs at every write, as the nodes do before they acknowledge.
fn configuration(store: &Path, durability: Durability) -> String {
    let sync = if durability == Durability::Disk { ", sync_interval: always" } else { "" };
    format!("jetstream {{ store_dir: {:?}{sync} }}\n", store.display().to_string())
}
