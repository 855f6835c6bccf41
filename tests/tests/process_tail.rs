//! Following a log: live, over restarts and cleans, and at the cost of nobody else.

use std::{ffi::OsString, path::Path, time::Instant};

use replog_tests::harness::{Client, Cluster, Entry, Follower, Options, Process, SOON, programs, wait_until};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinHandle};

/// Follows a node until it has shown `count` entries, and comes back as often as the answer ends.
fn follow(client: Client, count: usize) -> JoinHandle<(Vec<Entry>, usize)> {
    tokio::spawn(async move {
        let (mut entries, mut connections): (Vec<Entry>, _) = (Vec::new(), 0);
        let mut last: Option<String> = None;
        while entries.len() < count {
            let mut follower = Follower::come_back(&client, "/tail", last.as_deref()).await;
            connections += 1;
            while entries.len() < count
                && let Some(event) = follower.next().await
            {
                entries.push(serde_json::from_str(&event.data).expect("an event is an entry"));
                last = Some(event.id);
            }
        }
        (entries, connections)
    })
}

#[tokio::test]
async fn who_follows_a_node_that_restarts_gets_every_entry_once() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    let followers = [follow(cluster.client(), 60), follow(cluster.reader(1), 60)];
    cluster.client().append_range(0..20, 3).await;
    cluster.master.process.stop().await;
    cluster.master.start().await;
    cluster.client().append_range(20..40, 3).await;
    cluster.secondary(1).process.kill();
    cluster.secondary(1).start().await;
    cluster.client().append_range(40..60, 3).await;
    let log = cluster.equal_logs(SOON).await;
    for follower in followers {
        let (entries, connections) = follower.await.expect("the follower ends");
        assert_eq!(entries, log);
        assert!(connections > 1, "the run is invalid: nobody had to come back");
    }
}

#[tokio::test]
async fn a_clean_ends_the_following_on_every_node_with_a_word() {
    let cluster = Cluster::running().await;
    cluster.client().append_range(0..3, 3).await;
    for client in [cluster.client(), cluster.reader(1)] {
        let mut follower =
            Follower::of(&client, "/tail?from=1", None).await.expect("the node can be followed");
        assert_eq!((follower.entry().await.order, follower.entry().await.order), (1, 2));
        assert_eq!(cluster.client().post("/clean", json!({"w": 3})).await.status, 200);
        let event = follower.next().await.expect("a last word comes");
        assert_eq!((event.event.as_str(), event.id.as_str()), ("cut", ""));
        assert_eq!(follower.next().await, None);
        cluster.client().append_range(0..3, 3).await;
    }
    // Who was away during the clean and has seen more than there is now is told the same.
    let mut late =
        Follower::of(&cluster.client(), "/tail", Some("7")).await.expect("the node can be followed");
    assert_eq!(late.next().await.map(|event| event.event), Some("cut".to_owned()));
}

#[tokio::test]
async fn who_comes_back_after_a_clean_is_told_so_and_gets_all_of_the_new_log() {
    let cluster = Cluster::running().await;
    cluster.client().append_range(0..5, 3).await;
    let clients = [cluster.client(), cluster.reader(1), cluster.reader(2)];
    let mut seen = Vec::new();
    for client in &clients {
        let mut follower =
            Follower::of(client, "/tail?from=4", None).await.expect("the node can be followed");
        seen.push(follower.next().await.expect("an entry comes").id);
    }
    assert_eq!(cluster.client().post("/clean", json!({"w": 3})).await.status, 200);
    cluster.client().append_range(0..7, 3).await;
    cluster.equal_logs(SOON).await;
    for (client, id) in clients.iter().zip(&seen) {
        assert_eq!(id, "1.0/4");
        let mut follower = Follower::of(client, "/tail", Some(id)).await.expect("the node can be followed");
        let cut = follower.next().await.expect("a word of the cut comes first");
        assert_eq!((cut.event.as_str(), cut.id.as_str()), ("cut", ""));
        for order in 0..7 {
            assert_eq!(follower.entry().await.order, order);
        }
        // An order alone is taken as well, and says nothing of the log that it was seen in.
        let mut plain = Follower::of(client, "/tail", Some("4")).await.expect("the node can be followed");
        assert_eq!(plain.entry().await.order, 5);
    }
}

/// A client that asks for everything and reads nothing.
async fn silent_reader(address: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.expect("the node takes connections");
    socket.write_all(b"GET /tail HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a request can be sent");
    socket
}

#[tokio::test]
async fn who_reads_nothing_delays_neither_appends_nor_a_stop() {
    let mut cluster = Cluster::running().await;
    let (client, text) = (cluster.client(), "x".repeat(100_000));
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(silent_reader(&cluster.master.address).await);
    }
    let mut follower = Follower::of(&client, "/tail", None).await.expect("the node can be followed");
    for order in 0..200 {
        client.write(&text, 3).await;
        assert_eq!(follower.entry().await.order, order);
    }
    cluster.master.process.terminate();
    let asked = Instant::now();
    assert_eq!(follower.next().await, None);
    cluster.master.process.ended(SOON).await;
    // The grace of running requests is 5 s.
    assert!(asked.elapsed().as_secs() < 4, "the stop took {:?}", asked.elapsed());
}

/// `replog` with these arguments, not started; its output is a file in `folder`.
fn command(folder: &Path, name: &str, args: &[&str]) -> Process {
    let args = args.iter().map(OsString::from).collect();
    Process::new(name, programs::replog(), args, folder.join(format!("{name}.log")))
}

#[tokio::test]
async fn the_command_follows_over_a_restart_and_ends_at_a_clean() {
    let mut cluster = Cluster::start(Options::on_disk()).await;
    cluster.client().append_range(0..20, 3).await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut tail = command(folder.path(), "tail", &["tail", "--follow", "--raw", &cluster.client().url("")]);
    tail.start();
    wait_until("the last message is printed", SOON, async || tail.log().contains("m19\n")).await;
    cluster.master.process.stop().await;
    cluster.master.start().await;
    cluster.client().append_range(20..30, 3).await;
    wait_until("what came after the restart is printed", SOON, async || tail.log().contains("m29\n")).await;
    let log = tail.log();
    let (said, printed): (Vec<_>, Vec<_>) = log.lines().partition(|line| line.starts_with("replog: "));
    let expected: Vec<String> = (10..30).map(|nth| format!("m{nth}")).collect();
    assert_eq!(printed, expected);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(cluster.client().post("/clean", json!({"w": 3})).await.status, 200);
    tail.gives_up(SOON).await;
    assert!(tail.log().contains("another history"), "{}", tail.log());
}
