//! Nodes with their logs on disk die under load, at any moment: nothing acknowledged is lost.

use std::time::{Duration, Instant};

use replog_tests::{
    harness::{Client, Cluster, Load, Options, Pace, Process, SOON, add_logs},
    history::History,
};

/// How long things are killed at least. They are killed at random moments, so longer runs find more.
const KILLING: Duration = Duration::from_secs(12);

/// Each node and nats-server must have been killed this often at least.
const KILLS: usize = 4;

fn nodes(cluster: &Cluster) -> [(&'static str, Client); 3] {
    [("master", cluster.client()), ("secondary1", cluster.reader(1)), ("secondary2", cluster.reader(2))]
}

fn load(cluster: &Cluster) -> Load {
    Load::start(Pace::STEADY, &[cluster.client()], &nodes(cluster))
}

/// Any moment of the next half second.
async fn any_moment() {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(..500))).await;
}

/// Everything that can die: nats-server, then the nodes, the master first.
fn mortals(cluster: &mut Cluster) -> Vec<&mut Process> {
    let secondaries = cluster.secondaries.iter_mut().map(|node| &mut node.process);
    [&mut cluster.nats, &mut cluster.master.process].into_iter().chain(secondaries).collect()
}

/// Starts whatever does not run.
fn revive(cluster: &mut Cluster) {
    for mortal in mortals(cluster) {
        if !mortal.is_running() {
            mortal.start();
        }
    }
}

/// What the clients saw, once every node is there and shows the same.
async fn history(cluster: &Cluster, load: Load) -> History {
    cluster.all_healthy().await;
    let mut history = load.finish().await;
    cluster.equal_logs(SOON).await;
    add_logs(&mut history, &nodes(cluster)).await;
    history
}

#[tokio::test]
async fn whatever_is_killed_whenever_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let load = load(&cluster);
    let (started, mut killed) = (Instant::now(), [0; 4]);
    while started.elapsed() < KILLING || killed.iter().any(|times| *times < KILLS) {
        any_moment().await;
        for (mortal, killed) in mortals(&mut cluster).into_iter().zip(&mut killed) {
            if mortal.is_running() && fastrand::bool() {
                mortal.kill();
                *killed += 1;
            }
        }
        any_moment().await;
        if fastrand::bool() {
            revive(&mut cluster);
            load.goes_on(fastrand::usize(1..100)).await;
        }
    }
    revive(&mut cluster);
    let history = history(&cluster, load).await;
    assert_eq!(history.violations(), []);
    assert_eq!(history.check_validity(1_000), Ok(()));
}

/// Between an append's own sync and its first push, between the last ack that it needs and its answer, while
/// the log is opened: with so many deaths at random moments some are there.
#[tokio::test]
async fn a_master_that_dies_at_any_moment_of_an_append_neither_loses_nor_repeats_it() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let load = load(&cluster);
    for nth in 0..30 {
        if nth % 3 > 0 {
            load.goes_on(fastrand::usize(1..50)).await;
        }
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..20_000))).await;
        cluster.master.process.kill();
        cluster.master.process.start();
    }
    let history = history(&cluster, load).await;
    assert_eq!(history.violations(), []);
    assert_eq!(history.check_validity(500), Ok(()));
    let starts =
        cluster.client().health().await["epoch"].as_str().expect("a master that leads tells").to_owned();
    let starts: u64 =
        starts.strip_prefix("1.").expect("a restart begins no reign").parse().expect("a number");
    assert!(starts >= 20, "the run is invalid: the master led only {starts} times");
}

#[tokio::test]
async fn nodes_asked_to_stop_under_load_end_in_time_and_have_what_they_acknowledged() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let load = load(&cluster);
    for _ in 0..3 {
        load.goes_on(100).await;
        cluster.master.process.stop().await;
        cluster.master.process.start();
        load.goes_on(100).await;
        for secondary in &mut cluster.secondaries {
            secondary.process.stop().await;
            secondary.process.start();
        }
        load.goes_on(100).await;
        let asked = Instant::now();
        let mut nodes = mortals(&mut cluster).split_off(1);
        nodes.iter().for_each(|node| node.terminate());
        for node in &mut nodes {
            assert!(node.ended(SOON).await.success());
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "they stopped in {:?}", asked.elapsed());
        revive(&mut cluster);
    }
    let history = history(&cluster, load).await;
    assert_eq!(history.violations(), []);
    assert_eq!(history.check_validity(900), Ok(()));
}
