//! A process that may open few files: clients take what is left over, and the log has what it needs.

use replog_tests::harness::{Answer, Cluster, Node, Options, SOON, eventually, wait_until};
use serde_json::json;
use tokio::net::TcpStream;

/// More connections than a process of 1,024 files can have.
const CROWD: usize = 1_100;

/// Lets a node start with these limits from its next start on.
fn limit(node: &mut Node, limits: &str) {
    let args = ["-c".into(), format!("{limits} && exec \"$@\"").into(), "sh".into()];
    node.process.run_under("/bin/sh".into(), args.into());
}

/// A cluster of one secondary, on disk, of which each node has these limits.
async fn cluster(limits: &str) -> Cluster {
    let mut cluster = Cluster::idle(Options { secondaries: 1, ..Options::on_disk() }).await;
    limit(&mut cluster.master, limits);
    limit(cluster.secondary(1), limits);
    cluster.secondary(1).process.start();
    cluster.master.start().await;
    cluster.all_healthy().await;
    cluster
}

/// Idle connections, as many as a crowd wants; how many of them were refused.
async fn crowd(address: &str) -> (Vec<TcpStream>, usize) {
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(TcpStream::connect(address).await.expect("the node takes connections"));
    }
    // The node has looked at all of them once it refuses another, or answers it.
    let last = replog_tests::harness::raw::exchange(address, b"GET /livez HTTP/1.0\r\n\r\n", SOON).await;
    last.expect("an answer comes");
    let mut refused = 0;
    for connection in &mut crowd {
        let mut word = [0; 12];
        let told = connection.try_read(&mut word).is_ok_and(|count| count > 0);
        refused += usize::from(told);
    }
    (crowd, refused)
}

/// Appends until the log has several segments more.
async fn append_much(client: &replog_tests::harness::Client) {
    let text = "x".repeat(500_000);
    for _ in 0..6 {
        client.append(json!({"message": text, "w": 2})).await.expect_ok(2);
    }
}

#[tokio::test]
async fn a_crowd_of_idle_clients_leaves_the_log_what_it_needs() {
    let mut cluster = cluster("ulimit -n 1024").await;
    for process in [&cluster.master.process, &cluster.secondaries[0].process] {
        let log = process.log();
        assert!(log.contains("takes fewer connections than --max-connections says"), "{log}");
        assert!(log.contains("connections=960") && log.contains("open_files=1024"), "{log}");
    }
    let client = cluster.client();
    // This one has its connection before the crowd comes.
    client.write("first", 2).await;
    let (at_master, refused) = crowd(&cluster.master.address).await;
    assert!(refused >= CROWD - 960, "{refused} were refused");
    let (at_secondary, _) = crowd(&cluster.secondary(1).address.clone()).await;
    append_much(&client).await;
    assert!(cluster.master.process.is_running() && cluster.secondary(1).process.is_running());
    for process in [&cluster.master.process, &cluster.secondaries[0].process] {
        let log = process.log();
        assert!(!log.contains("Too many open files") && !log.contains("storage failed"), "{log}");
    }
    drop((at_master, at_secondary));
    wait_until("there is room again", SOON, async || client.is_ready().await).await;
    cluster.equal_logs(SOON).await;
}

#[tokio::test]
async fn a_low_limit_that_may_be_raised_is_raised() {
    let mut cluster = cluster("ulimit -Sn 64 && ulimit -Hn 20000").await;
    let id = cluster.master.process.id();
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).expect("the process has limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("of files, too");
    assert_eq!(files.split_whitespace().nth(3), Some("20000"), "{files}");
    let (at_master, refused) = crowd(&cluster.master.address).await;
    assert_eq!(refused, 0);
    let (at_secondary, refused) = crowd(&cluster.secondary(1).address.clone()).await;
    assert_eq!(refused, 0);
    append_much(&cluster.client()).await;
    assert!(!cluster.master.process.log().contains("takes fewer connections"));
    drop((at_master, at_secondary));
    cluster.equal_logs(SOON).await;
}

#[tokio::test]
async fn with_very_few_descriptors_a_node_works_all_the_same() {
    let mut cluster = cluster("ulimit -n 64").await;
    let client = cluster.client();
    client.write("first", 2).await;
    let (held, refused) = crowd(&cluster.master.address).await;
    assert!(refused >= CROWD - 32, "{refused} were refused");
    append_much(&client).await;
    assert!(cluster.master.process.is_running() && cluster.secondary(1).process.is_running());
    drop(held);
    let answer: Answer =
        eventually("there is room again", SOON, async || client.try_get("/health").await.ok()).await;
    assert_eq!(answer.status, 200);
    cluster.equal_logs(SOON).await;
}
