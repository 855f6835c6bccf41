//! A start that is refused, that only reports, or that is stopped itself, leaves the data directory of a node that was
//! stopped well as it was.

use std::{fs, net::TcpListener, path::Path, time::Duration};

use replog_tests::harness::{
    Cluster, Node, Options, SOON,
    disk::{Segment, node_json, segments, truncate},
    strace::{Fate, Fault, inject},
    wait_until,
};
use serde_json::{Value, json};

/// The number of `rename` on x86-64.
const RENAME: [&str; 1] = ["82"];

/// What a start must not change: what the node must not forget, and the log.
fn kept(directory: &Path) -> (Value, Vec<Vec<u8>>) {
    let content = |path| fs::read(path).expect("a segment can be read");
    (node_json(directory), segments(directory).into_iter().map(content).collect())
}

/// A start that ends by itself.
struct Start {
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    port_is_taken: bool,
    code: i32,
    says: &'static str,
}

const PROMOTE: [&str; 3] = ["--secondaries", "master,secondary2", "--promote"];

const STARTS: [Start; 8] = [
    Start {
        name: "secondary1",
        program: "replog-master",
        args: &[PROMOTE[0], PROMOTE[1], PROMOTE[2], "--dry-run", "--reach", "2"],
        port_is_taken: false,
        code: 0,
        says: "nothing was changed",
    },
    Start {
        name: "secondary1",
        program: "replog-master",
        args: &[PROMOTE[0], PROMOTE[1], PROMOTE[2], "--reach", "2"],
        port_is_taken: false,
        code: 1,
        says: "reaches 1 whole nodes of the 2",
    },
    Start {
        name: "secondary1",
        program: "replog-master",
        args: &PROMOTE,
        port_is_taken: true,
        code: 1,
        says: "cannot listen on",
    },
    Start {
        name: "secondary1",
        program: "replog-master",
        args: &["--secondaries", "master,secondary2"],
        port_is_taken: false,
        code: 1,
        says: "master reigns over this node's log",
    },
    Start {
        name: "secondary1",
        program: "replog-secondary",
        args: &[],
        port_is_taken: true,
        code: 1,
        says: "cannot listen on",
    },
    Start {
        name: "secondary1",
        program: "replog-secondary",
        args: &["--tokens-file", "/nonexistent"],
        port_is_taken: false,
        code: 2,
        says: "--tokens-file",
    },
    Start {
        name: "secondary2",
        program: "replog-secondary",
        args: &[],
        port_is_taken: false,
        code: 1,
        says: "belongs to node secondary1",
    },
    Start {
        name: "master",
        program: "replog-master",
        args: &["--secondaries", "secondary1,secondary2"],
        port_is_taken: true,
        code: 1,
        says: "cannot listen on",
    },
];

/// The node of a start. One of another name than its directory is one that was started in the wrong place.
fn node_of(cluster: &Cluster, start: &Start) -> (Node, &'static str) {
    let directory = if start.name == "master" { "master" } else { "secondary1" };
    (cluster.twin(start.name, directory, start.program, start.args), directory)
}

/// Waits out a promotion that reaches too few.
const LONG: Duration = Duration::from_secs(60);

/// A cluster with a log on disk, of which all nodes were stopped well.
async fn stopped() -> Cluster {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..20, 3).await;
    cluster.equal_logs(SOON).await;
    cluster.master.process.stop().await;
    for secondary in &mut cluster.secondaries {
        secondary.process.stop().await;
    }
    cluster
}

#[tokio::test]
async fn a_start_that_is_refused_or_only_reports_leaves_a_stopped_node_as_it_was() {
    let cluster = stopped().await;
    for start in &STARTS {
        let (mut node, directory) = node_of(&cluster, start);
        let case = format!("{} {} {:?}", start.name, start.program, start.args);
        let directory = cluster.directory(directory);
        let before = kept(&directory);
        assert_eq!(before.0["clean_stop"], true, "{case}");
        let port = start.port_is_taken.then(|| TcpListener::bind(&node.address).expect("the port is free"));
        // The nodes of one directory write to one file.
        let written = node.process.log().len();
        node.process.start();
        let status = node.process.ended(LONG).await;
        drop(port);
        let log = node.process.log().split_off(written);
        assert_eq!(status.code(), Some(start.code), "{case}: {log}");
        assert!(log.contains(start.says), "{case}: {log}");
        assert!(kept(&directory) == before, "{case}: {:#} was {:#}", node_json(&directory), before.0);
    }
    // What is missing of the log is missed by the next start.
    let directory = cluster.directory("secondary1");
    let segment = segments(&directory).pop().expect("the log has a segment");
    truncate(&segment, Segment::read(segment.clone()).last_frame().start);
    let mut node = cluster.node("secondary1", "replog-master", &PROMOTE);
    node.process.start();
    node.process.gives_up(SOON).await;
    assert!(node.process.log().contains("when its node was stopped it had 20"), "{}", node.process.log());
}

#[tokio::test]
async fn a_node_that_was_refused_once_starts_as_after_a_clean_stop() {
    let mut options = Options::on_disk();
    options.secondary_args = vec!["--allow-faults", "--durability", "os"];
    let mut cluster = Cluster::start(options).await;
    cluster.client().append_range(0..20, 3).await;
    cluster.equal_logs(SOON).await;
    cluster.secondary(1).process.stop().await;
    let args = [&PROMOTE[..], &["--dry-run", "--durability", "os"]].concat();
    let mut node = cluster.node("secondary1", "replog-master", &args);
    node.process.start();
    assert_eq!(node.process.ended(LONG).await.code(), Some(0), "{}", node.process.log());
    let claims = node_json(&cluster.directory("secondary1"));
    assert_eq!((&claims["clean_stop"], &claims["whole"]), (&json!(true), &json!(true)), "{claims:#}");
    cluster.secondary(1).start().await;
    cluster.client().append_range(20..30, 3).await;
    assert_eq!(cluster.equal_logs(SOON).await.len(), 30);
}

/// Stops the master and a secondary while they start, once one of these system calls was slow; `opens` says whether the
/// log is opened all the same.
async fn stop_within_start(slow: Fault, opens: bool) {
    let mut cluster = stopped().await;
    let directories = ["master", "secondary1"].map(|name| cluster.directory(name));
    for (process, directory) in
        [&mut cluster.master.process, &mut cluster.secondaries[0].process].into_iter().zip(directories)
    {
        let (before, written) = (kept(&directory), process.log().len());
        let faults = inject(process, slow);
        process.start();
        wait_until("it opens its log", SOON, async || faults.have_struck()).await;
        process.stop().await;
        let log = process.log().split_off(written);
        assert_eq!(log.contains("opened the log"), opens, "{log}");
        faults.end(process);
        assert!(kept(&directory) == before, "{:#} was {:#}", node_json(&directory), before.0);
    }
    cluster.secondary(1).start().await;
    cluster.master.start().await;
    cluster.client().append_range(20..30, 2).await;
    let log = cluster.client().entries().await;
    assert_eq!(log.map(|log| log.len()), Some(30));
}

#[tokio::test]
async fn a_node_that_is_stopped_while_it_reads_its_log_ends_well_and_changes_nothing() {
    stop_within_start(Fault { calls: "pread64", fate: Fate::Delay(1_000_000), nth: 1 }, false).await;
}

#[tokio::test]
async fn a_node_that_is_stopped_while_it_takes_its_log_into_use_leaves_it_as_after_a_stop() {
    // The first sync is that of the folder that the directory is in, before anything is read.
    stop_within_start(Fault { calls: "fsync,fdatasync", fate: Fate::Delay(300_000), nth: 2 }, true).await;
}

#[tokio::test]
async fn a_node_whose_disk_stands_still_within_its_start_ends_in_time_when_asked_to() {
    let mut cluster = stopped().await;
    // What this start claims replaces what the stop before it left: the first change of the directory.
    let stuck = Fault { calls: "rename", fate: Fate::Delay(3_600_000_000), nth: 1 };
    let directory = cluster.directory("secondary1");
    let before = kept(&directory);
    let process = &mut cluster.secondary(1).process;
    let faults = inject(process, stuck);
    process.start();
    wait_until("it changes its directory", SOON, async || process.stands_in(&RENAME)).await;
    process.terminate();
    wait_until("it has ended but for the call that stands still", SOON * 2, async || process.has_ended())
        .await;
    let log = process.log();
    assert!(log.contains("stops without its disk") && log.contains("start this node as before"), "{log}");
    assert!(kept(&directory) == before, "the fault did not bite");
    faults.lift(process);
    process.gives_up(SOON).await;
    cluster.secondary(1).start().await;
    cluster.master.start().await;
    cluster.client().append_range(20..30, 2).await;
    assert_eq!(cluster.client().entries().await.map(|log| log.len()), Some(30));
}
