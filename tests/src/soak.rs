//! A long run: clients at work, and whatever can happen to processes and wires happens, at moments drawn from a seed.
//!
//! A seed repeats what is done and in which order; when exactly it hits, the machine decides.

mod fault;

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

use fastrand::Rng;

use self::fault::Fault;
use crate::{
    harness::{Client, Cluster, Load, Options, Pace, add_logs, wait_until},
    history::Violation,
};

/// Pauses and reads that leave a log of some thousand entries behind a round.
const PACE: Pace = Pace {
    clients: 12,
    appends: usize::MAX,
    longest_pause: Duration::from_millis(60),
    read_interval: Duration::from_millis(300),
};

/// Faults that come at once, at most.
const FAULTS_AT_ONCE: usize = 3;

/// The longest time that a fault lasts: longer than it takes until a silent node is called unhealthy.
const LONGEST_FAULT: Duration = Duration::from_millis(2_500);

/// Appends that must be acknowledged in a round at least, or it proves nothing.
const ACKNOWLEDGED: usize = 100;

/// How long logs may take to become equal once all is well again.
const HEAL_LIMIT: Duration = Duration::from_secs(60);

/// What a round did and found.
#[derive(Debug)]
pub struct Round {
    faults: BTreeMap<&'static str, usize>,
    acknowledged: usize,
    reads: usize,
    /// The rules that were broken.
    pub violations: Vec<Violation>,
    /// Why it proves nothing, if it does not.
    pub invalid: Option<String>,
    /// Where directories and log lines of all processes are, if something was found.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} appends acknowledged, {} reads; ", self.acknowledged, self.reads)?;
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        write!(f, "{}", faults.join(", "))
    }
}

/// Runs one round over a new cluster.
///
/// # Panics
/// The cluster does not come back from what was done to it.
pub async fn round(seed: u64, length: Duration) -> Round {
    let mut random = Rng::with_seed(seed);
    let mut cluster = Cluster::start(Options { proxied: true, ..Options::on_disk() }).await;
    let nodes = nodes(&cluster);
    let load = Load::start(PACE, &[cluster.client()], &nodes);
    let (started, mut faults) = (Instant::now(), BTreeMap::new());
    while started.elapsed() < length {
        load_goes_on(&load, random.usize(1..200)).await;
        for kind in trouble(&mut cluster, &mut random).await {
            *faults.entry(kind).or_default() += 1;
        }
    }
    cluster.all_healthy().await;
    let acknowledged = load.acknowledged();
    let mut history = load.finish().await;
    cluster.equal_logs(HEAL_LIMIT).await;
    add_logs(&mut history, &nodes).await;
    let violations = history.violations();
    let invalid = history.check_validity(ACKNOWLEDGED).err().map(|invalid| invalid.to_string());
    let kept = (!violations.is_empty() || invalid.is_some()).then(|| cluster.keep());
    Round { faults, acknowledged, reads: history.reads.len(), violations, invalid, kept }
}

fn nodes(cluster: &Cluster) -> [(&'static str, Client); 3] {
    [("master", cluster.client()), ("secondary1", cluster.reader(1)), ("secondary2", cluster.reader(2))]
}

/// As [`Load::goes_on`], in the time that a cluster may need to heal.
async fn load_goes_on(load: &Load, further: usize) {
    let enough = load.acknowledged() + further;
    wait_until("appends are acknowledged again", HEAL_LIMIT, async || load.acknowledged() >= enough).await;
}

/// Some faults begin one after the other, last a while, and end.
async fn trouble(cluster: &mut Cluster, random: &mut Rng) -> Vec<&'static str> {
    let mut faults: Vec<Fault> = Vec::new();
    for _ in 0..random.usize(1..=FAULTS_AT_ONCE) {
        let fault = Fault::draw(random);
        // Who is dead cannot be paused as well.
        if faults.iter().all(|other| !other.meets(fault)) {
            fault.begin(cluster).await;
            faults.push(fault);
            tokio::time::sleep(Duration::from_millis(random.u64(..100))).await;
        }
    }
    tokio::time::sleep(LONGEST_FAULT.mul_f32(random.f32().powi(2))).await;
    for fault in &faults {
        fault.end(cluster).await;
    }
    faults.iter().map(|fault| fault.kind()).collect()
}
