//! A nats-server that belongs to this process.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Stdio,
};

use tokio::process::{Child, Command};

use crate::failure::Failure;

/// A child process, killed when dropped.
pub(super) struct NatsServer {
    child: Child,
    port: u16,
}

impl NatsServer {
    /// Starts it on a free port of this machine. The nodes connect as soon as it listens.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(program: &Path) -> Result<NatsServer, Failure> {
        let port = free_port()?;
        let child = Command::new(program)
            .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .map_err(|error| Failure::Bad(format!("cannot start {}: {error}", program.display())))?;
        Ok(NatsServer { child, port })
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends it.
    pub(super) async fn stop(&mut self) {
        // One that ended by itself needs no killing.
        let _already_gone = self.child.kill().await;
    }
}

/// A port that nobody uses at the moment.
fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
