//! The append load of the benchmarks, sent to a JetStream stream: what the same messages cost there.

mod stream;

use std::{
    cell::RefCell,
    io::Write as _,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Parser;
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::{JoinSet, LocalSet};

use stream::{Storage, Stream};

/// Publishes to a JetStream stream in a closed loop and prints the rate and the latencies as JSON.
#[derive(Parser)]
#[command(name = "replog-jetstream", version)]
struct Args {
    /// A nats-server with JetStream.
    #[arg(long, default_value = "nats://127.0.0.1:4222")]
    url: String,
    /// Clients, each with one request or one batch at a time.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Connections that the clients share; none given: each client has one of its own, as over HTTP.
    #[arg(long)]
    connections: Option<usize>,
    /// Messages that a client publishes before it waits for their acks.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Bytes of a message.
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Replicas of the stream.
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// Where the stream keeps its messages.
    #[arg(long, value_enum, default_value_t = Storage::Memory)]
    storage: Storage,
    /// Seconds of load that are measured, after one that is not.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// Load before anything is measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// What all clients of a run count into. They live on one thread.
struct Tally {
    from: Instant,
    until: Instant,
    /// Microseconds from publish to ack; for a batch, to its last ack.
    latencies: RefCell<Histogram<u64>>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(run(args)))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let first = Stream::create(&args.url, args.replicas, args.storage).await?;
    let mut streams = vec![Rc::new(first)];
    for _ in 1..args.connections.unwrap_or(args.clients).max(1) {
        streams.push(Rc::new(Stream::connect(&args.url).await?));
    }
    let from = Instant::now() + WARM_UP;
    let until = from + Duration::try_from_secs_f64(args.seconds).context("--seconds")?;
    let tally = Rc::new(Tally { from, until, latencies: RefCell::new(Histogram::new(3)?) });
    let payload = vec![b'x'; args.size];
    let mut clients = JoinSet::new();
    for stream in streams.iter().cycle().take(args.clients) {
        clients.spawn_local(client(stream.clone(), tally.clone(), payload.clone(), args.batch));
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    report(&args, &tally.latencies.borrow())
}

async fn client(stream: Rc<Stream>, tally: Rc<Tally>, payload: Vec<u8>, batch: usize) -> anyhow::Result<()> {
    let mut began = Instant::now();
    while began < tally.until {
        try_join_all((0..batch).map(|_| stream.publish(payload.clone()))).await?;
        let now = Instant::now();
        if began >= tally.from && now < tally.until {
            tally.latencies.borrow_mut().record((now - began).as_micros() as u64)?;
        }
        began = now;
    }
    Ok(())
}

/// The members that `replog bench --json` prints, as far as they mean something here.
fn report(args: &Args, latencies: &Histogram<u64>) -> anyhow::Result<()> {
    let messages = latencies.len() * args.batch as u64;
    let report = json!({
        "clients": args.clients,
        "connections": args.connections.unwrap_or(args.clients),
        "batch": args.batch,
        "messages": messages,
        "messages_per_second": messages as f64 / args.seconds,
        "latency_us": {"p50": latencies.value_at_quantile(0.5), "p99": latencies.value_at_quantile(0.99)},
    });
    Ok(writeln!(std::io::stdout(), "{report}")?)
}
