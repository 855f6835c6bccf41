//! A secondary that catches up while each sync of its disk takes two seconds: how soon it answers, and what it takes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    Args, Durability, bench_count,
    cluster::{Binaries, Cluster, Process},
};
use crate::process;

/// Microseconds that each sync takes longer.
const SYNC_DELAY_US: u32 = 2_000_000;

/// Between two questions whether it is alive.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

/// Measures at level disk, whatever the other rows are measured at.
pub(super) fn measure(args: &Args, binaries: &Binaries, nats_server: &Path) -> Result<()> {
    let mut cluster = Cluster::start(binaries, nats_server, Durability::Disk)?;
    cluster.start_secondary(1)?;
    cluster.wait_until_streaming(&["secondary1"])?;
    bench_count(binaries, &cluster.master_url(), args.entries)?;
    cluster.start_secondary(2)?;
    cluster.wait_until_answering(2)?;
    let _slow = slow_down(cluster.secondary_id(2)?)?;
    let (begun, mut slowest, mut most) = (Instant::now(), Duration::ZERO, 0);
    while begun.elapsed() < Duration::from_secs(args.seconds.max(10)) {
        let asked = Instant::now();
        cluster.probe_secondary(2)?;
        slowest = slowest.max(asked.elapsed());
        most = most.max(cluster.secondary_rss_bytes(2)?);
        std::thread::sleep(PROBE_INTERVAL);
    }
    let (millis, mib) = (slowest.as_secs_f64() * 1e3, most >> 20);
    println!("{:<28} {millis:>14.1} ms until /livez answers, at worst  (<= 100)", "syncs of 2 s");
    println!("{:<28} {mib:>14} MiB of memory, at most  (<= 64)", "");
    Ok(())
}

/// Lets each sync of a process take longer, for as long as the answer is kept.
fn slow_down(process: u32) -> Result<Process> {
    let strace =
        process::find("strace").context("strace is not installed (Debian: `apt-get install strace`)")?;
    let inject = format!("inject=fsync,fdatasync:delay_exit={SYNC_DELAY_US}");
    let process = process.to_string();
    Process::start(&strace, &["-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", &inject, "-p", &process])
}
