//! A thousand clients that follow the log: whether appends feel them, and what memory each takes.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};

use super::{APPEND, Args, Load, bench, bench_count, cluster::Binaries, cluster::Cluster, rate};

/// How many follow.
const TAILS: u32 = 1_000;

/// Entries that nobody of them takes: more than the sockets of all hold, so that each waits with what it has.
const UNREAD_ENTRIES: u64 = 100_000;

/// Appends without, with, and again without those who follow, on one cluster; then their memory on another.
pub(super) fn measure(args: &Args, binaries: &Binaries, nats_server: &Path) -> Result<()> {
    let mut cluster = Cluster::start(binaries, nats_server, args.durability)?;
    cluster.start_secondary(1)?;
    cluster.start_secondary(2)?;
    cluster.wait_until_streaming(&["secondary1", "secondary2"])?;
    for load in [Load { w: 1, ..APPEND }, Load { w: 3, ..APPEND }] {
        let run = |tails| bench(binaries, &cluster.master_url(), &Load { tails, ..load }, args.seconds);
        let (before, with, after) = (run(0)?, run(TAILS)?, run(0)?);
        let without = f64::midpoint(rate(&before), rate(&after));
        let megabytes = with["tail_bytes"].as_f64().unwrap_or_default() / 1e6 / (args.seconds as f64 + 1.0);
        println!(
            "w={} with {TAILS} tails: {:.2} of the rate without ({:.0} of {without:.0}; >= 0.80), {megabytes:.0} MB/s to the tails",
            load.w,
            rate(&with) / without,
            rate(&with),
        );
    }
    measure_memory(args, binaries, nats_server)
}

/// What grows besides the log when clients follow it that read nothing: the worst that they can do.
fn measure_memory(args: &Args, binaries: &Binaries, nats_server: &Path) -> Result<()> {
    let cluster = Cluster::start(binaries, nats_server, args.durability)?;
    let url = cluster.master_url();
    // What the log takes, and what the load leaves behind.
    bench_count(binaries, &url, UNREAD_ENTRIES)?;
    let before = cluster.master_rss_bytes()?;
    bench_count(binaries, &url, UNREAD_ENTRIES)?;
    let log = cluster.master_rss_bytes()?.saturating_sub(before);
    let before = cluster.master_rss_bytes()?;
    let tails = (0..TAILS).map(|_| follow(cluster.master_port())).collect::<Result<Vec<_>>>()?;
    bench_count(binaries, &url, UNREAD_ENTRIES)?;
    let grown = cluster.master_rss_bytes()?.saturating_sub(before);
    drop(tails);
    println!(
        "{:<28} {:>14.1} KB a tail that reads nothing: {:.1} MB for {TAILS}, beside {:.1} MB for the log  (<= 64)",
        "memory of the master",
        grown.saturating_sub(log) as f64 / 1e3 / f64::from(TAILS),
        grown as f64 / 1e6,
        log as f64 / 1e6,
    );
    Ok(())
}

/// A client that is answered and reads no further.
fn follow(port: u16) -> Result<TcpStream> {
    const GOOD: &[u8] = b"HTTP/1.1 200";
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("no connection for a tail")?;
    stream.write_all(b"GET /tail HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut answer = [0; GOOD.len()];
    stream.read_exact(&mut answer)?;
    ensure!(answer == GOOD, "GET /tail is answered with {}", String::from_utf8_lossy(&answer));
    Ok(stream)
}
