//! `cargo xtask bench`: starts nats-server and the nodes, and measures them against an echo and against a
//! JetStream stream of three replicas in the same run.
//!
//! Everything runs on this machine, the load and the broker too, so a figure alone says little: the echo's
//! rate stands beside each, and the ratio is what can be compared.

mod cluster;
mod jetstream;
mod memory;
mod slow_disk;
mod tails;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{process::Program, tools};
use cluster::{Binaries, Cluster, Echo};

/// Measure the nodes against an echo and against JetStream on this machine.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds of load for each row.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Entries of the rows about long logs.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Only rows whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Where the nodes keep their logs; the stream of the comparison likewise, synced at every write.
    #[arg(long, value_enum, default_value_t = Durability::Memory)]
    durability: Durability,
}

/// The level at which everything is measured.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Durability {
    /// In memory.
    Memory,
    /// On disk, synced before anything is acknowledged.
    Disk,
}

/// Bytes of the JSON string that each message is.
const PAYLOAD_BYTES: u64 = 100;

/// Memory that is touched before anything is measured.
const WARM_BYTES: usize = 4 << 30;

/// How long a catching-up node may take in all.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(120);

/// A row's load.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    target: &'static str,
    clients: u32,
    w: u32,
    batch: u32,
    /// Clients that follow the log meanwhile.
    tails: u32,
    /// Whether JetStream is measured beside it.
    compared: bool,
    /// What is to be reached in memory.
    reach: &'static str,
    /// … and on disk.
    reach_on_disk: &'static str,
}

const APPEND: Load = Load {
    name: "append",
    target: "append",
    clients: 64,
    w: 3,
    batch: 1,
    tails: 0,
    compared: false,
    reach: "",
    reach_on_disk: "",
};

const LOADS: [Load; 7] = [
    Load {
        name: "w=3, one client",
        clients: 1,
        compared: true,
        reach: "p50 <= 330 us",
        reach_on_disk: "p50 <= 800 us",
        ..APPEND
    },
    Load {
        name: "w=3, 64 clients",
        compared: true,
        reach: ">= 50,000, 2.5 of JetStream",
        reach_on_disk: ">= 28,000, 2 of JetStream",
        ..APPEND
    },
    Load {
        name: "w=3, 256 clients",
        clients: 256,
        compared: true,
        reach: ">= 60,000, 2.5 of JetStream",
        reach_on_disk: ">= 40,000, 2 of JetStream",
        ..APPEND
    },
    Load {
        name: "w=3, batches of 100",
        clients: 16,
        batch: 100,
        compared: true,
        reach: ">= 500,000",
        reach_on_disk: ">= 250,000",
        ..APPEND
    },
    Load {
        name: "w=1, batches of 100",
        clients: 16,
        w: 1,
        batch: 100,
        reach_on_disk: ">= 600,000",
        ..APPEND
    },
    Load { name: "w=2, 64 clients", w: 2, ..APPEND },
    Load { name: "w=1, 64 clients", w: 1, reach: ">= 0.8 of the echo", ..APPEND },
];

const ECHO: Load = Load { name: "echo, 64 clients", target: "echo", w: 1, ..APPEND };

/// Builds what is measured, measures, prints the table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let nats_server = tools::nats_server()?;
    Program::new("cargo")
        .args([
            "build",
            "--release",
            "-p",
            "replog-master",
            "-p",
            "replog-secondary",
            "-p",
            "replog-cli",
            "-p",
            "replog-echo",
        ])
        .run()?;
    // On its own, so that the nodes are built with their own features.
    Program::new("cargo").args(["build", "--release", "-p", "replog-jetstream"]).run()?;
    let binaries = Binaries::release();
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| name.contains(only));
    memory::warm(WARM_BYTES);
    println!(
        "\n{:<28} {:>10} {:>9} {:>9} {:>8} {:>13}  reach",
        "work", "msg/s", "p50 us", "p99 us", "of echo", "of JetStream"
    );
    for load in LOADS.iter().filter(|load| wanted(load.name)) {
        measure_load(args, &binaries, &nats_server, load)?;
    }
    if wanted("long log") {
        measure_long_log(args, &binaries, &nats_server)?;
    }
    if wanted("tails") {
        tails::measure(args, &binaries, &nats_server)?;
    }
    if wanted("slow disk") {
        slow_disk::measure(args, &binaries, &nats_server)?;
    }
    Ok(())
}

/// One load on a fresh cluster, the echo and JetStream right before it.
fn measure_load(args: &Args, binaries: &Binaries, nats_server: &std::path::Path, load: &Load) -> Result<()> {
    let echo = Echo::start(binaries)?;
    let baseline = bench(binaries, &echo.url(), &ECHO, args.seconds)?;
    drop(echo);
    let others = if load.compared { jetstream::measure(binaries, nats_server, load, args)? } else { vec![] };
    let mut cluster = Cluster::start(binaries, nats_server, args.durability)?;
    cluster.start_secondary(1)?;
    cluster.start_secondary(2)?;
    cluster.wait_until_streaming(&["secondary1", "secondary2"])?;
    let report = bench(binaries, &cluster.master_url(), load, args.seconds)?;
    let compared_with = others.first().map(|(_, report)| rate(report));
    let reach = if args.durability == Durability::Disk { load.reach_on_disk } else { load.reach };
    print_row(load.name, &report, Some(rate(&baseline)), compared_with, reach);
    for (name, other) in &others {
        print_row(name, other, None, None, "");
    }
    print_row("  echo", &baseline, None, None, "");
    Ok(())
}

/// A million entries that one secondary lacks: what they cost, whether they slow others, how fast it follows.
fn measure_long_log(args: &Args, binaries: &Binaries, nats_server: &std::path::Path) -> Result<()> {
    let mut cluster = Cluster::start(binaries, nats_server, args.durability)?;
    cluster.start_secondary(1)?;
    cluster.wait_until_streaming(&["secondary1"])?;
    let one = Load { w: 1, ..APPEND };
    let two = Load { w: 2, ..APPEND };
    let before = [
        bench(binaries, &cluster.master_url(), &one, args.seconds)?,
        bench(binaries, &cluster.master_url(), &two, args.seconds)?,
    ];
    let (length, rss) = (cluster.master_length()?, cluster.master_rss_bytes()?);
    bench_count(binaries, &cluster.master_url(), args.entries)?;
    let added = cluster.master_length()? - length;
    let grown = cluster.master_rss_bytes()?.saturating_sub(rss);
    let overhead = (grown as f64 / added as f64) - PAYLOAD_BYTES as f64;
    println!("{:<28} {overhead:>14.0} bytes an entry beyond the payload  (<= 160)", "memory of the master");
    for (load, before) in [(&one, &before[0]), (&two, &before[1])] {
        let after = bench(binaries, &cluster.master_url(), load, args.seconds)?;
        let ratio = rate(&after) / rate(before);
        println!(
            "w={} with {added} entries pending for a dead node: {:.2} of the rate before (>= 0.90)",
            load.w, ratio
        );
    }
    measure_catch_up(&mut cluster)
}

fn measure_catch_up(cluster: &mut Cluster) -> Result<()> {
    let length = cluster.master_length()?;
    let started = Instant::now();
    cluster.start_secondary(2)?;
    while cluster.secondary_length(2)? < length {
        if started.elapsed() > CATCH_UP_LIMIT {
            bail!("the fresh secondary did not catch up within {} s", CATCH_UP_LIMIT.as_secs());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = length as f64 / seconds;
    println!(
        "{:<28} {rate:>14.0} entries/s: {length} in {seconds:.2} s from process start  (>= 1,000,000)",
        "fresh secondary"
    );
    Ok(())
}

fn bench(binaries: &Binaries, url: &str, load: &Load, seconds: u64) -> Result<Value> {
    let text = |number: u32| number.to_string();
    let mut program = Program::new(&binaries.replog)
        .args(["bench", "--json", "--url", url, "--target", load.target])
        .args(["--size", &PAYLOAD_BYTES.to_string(), "--clients", &text(load.clients)])
        .args(["--seconds", &seconds.to_string(), "--warmup-seconds", "1"]);
    if load.target == APPEND.target {
        program = program.args(["--w", &text(load.w), "--batch", &text(load.batch)]);
        program = program.args(["--tails", &text(load.tails)]);
    }
    serde_json::from_str(&program.read()?).context("the load's report is not JSON")
}

/// Appends `entries` messages in batches, w = 1.
fn bench_count(binaries: &Binaries, url: &str, entries: u64) -> Result<()> {
    let requests = (entries / 100).to_string();
    Program::new(&binaries.replog)
        .args([
            "bench",
            "--json",
            "--url",
            url,
            "--size",
            &PAYLOAD_BYTES.to_string(),
            "--clients",
            "8",
            "--w",
            "1",
        ])
        .args(["--batch", "100", "--warmup-seconds", "0", "--count", &requests])
        .read()
        .map(drop)
}

fn rate(report: &Value) -> f64 {
    report["messages_per_second"].as_f64().unwrap_or_default()
}

fn print_row(name: &str, report: &Value, echo: Option<f64>, jetstream: Option<f64>, reach: &str) {
    let latency = |which: &str| report["latency_us"][which].as_f64().unwrap_or_default();
    let ratio = |of: Option<f64>| of.map_or_else(String::new, |of| format!("{:.2}", rate(report) / of));
    println!(
        "{name:<28} {:>10.0} {:>9.0} {:>9.0} {:>8} {:>13}  {reach}",
        rate(report),
        latency("p50"),
        latency("p99"),
        ratio(echo),
        ratio(jetstream),
    );
    if let Some(errors) = report["errors"].as_object().filter(|errors| !errors.is_empty()) {
        println!("{:<28} errors: {errors:?}", "");
    }
}
