//! Clients that mean harm, against real nodes: each costs an answer or a connection, and an honest client notices nothing.

use std::{
    io::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use replog_tests::harness::{Client, Cluster, SOON, raw, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::timeout,
};

/// What a write may take while the node is busy with others, on a machine that is busy, too.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that appends without a pause, at w = 3.
struct Honest {
    client: Client,
    task: JoinHandle<(usize, Duration)>,
    done: tokio::sync::watch::Sender<bool>,
}

impl Honest {
    fn new(client: Client) -> Honest {
        let (done, until) = tokio::sync::watch::channel(false);
        let writer = client.clone();
        let task = tokio::spawn(async move {
            let (mut writes, mut slowest) = (0, Duration::ZERO);
            while !*until.borrow() {
                let asked = Instant::now();
                writer.write(&format!("honest {writes}"), 3).await;
                slowest = slowest.max(asked.elapsed());
                writes += 1;
            }
            (writes, slowest)
        });
        Honest { client, task, done }
    }

    /// How many writes were answered; each of them within [`PATIENCE`].
    async fn stop(self) -> usize {
        self.client.write("one more", 3).await;
        self.done.send(true).expect("it still writes");
        let (writes, slowest) = self.task.await.expect("every write is answered by ok");
        assert!(slowest < PATIENCE, "a write took {slowest:?}");
        assert!(writes > 0, "nothing was written meanwhile");
        writes + 1
    }
}

fn post(path: &str, media_type: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn get(target: &str, more: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n{more}Connection: close\r\n\r\n").into_bytes()
}

/// A body of 16 MiB in a few KiB.
fn bomb(coding: &str) -> Vec<u8> {
    let text = [br#"{"message": ""#, &vec![b'x'; 16 << 20][..], br#""}"#].concat();
    match coding {
        "zstd" => zstd::bulk::compress(&text, 1).expect("it can be compressed"),
        _ => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&text).expect("it can be compressed");
            encoder.finish().expect("it can be compressed")
        }
    }
}

/// Not a word: the connection is closed.
const CLOSED: u16 = 0;

/// Requests, and the status that each must meet; all of them are refused.
fn hostile() -> Vec<(&'static str, Vec<u8>, u16)> {
    let (json, lines) = ("application/json", "application/x-ndjson");
    let many = (0..12_000).map(|nth| format!("{nth:x}")).collect::<Vec<_>>().join("&");
    let brackets = "[".repeat(100_000);
    let inside = |open: &str| format!(r#"{{"messages": [{{"message": {}"#, open.repeat(100_000));
    let batch = "/messages/batch";
    vec![
        ("a query beyond a head", get(&format!("/messages?from={}", "1".repeat(80_000)), ""), 431),
        ("a query as large as may be", get(&format!("/messages?from={}", "1".repeat(60_000)), ""), 400),
        ("a query of thousands", get(&format!("/messages?{many}"), ""), 400),
        ("a path as large as may be", get(&format!("/{}", "x".repeat(60_000)), ""), 404),
        ("escapes that are none", get(&format!("/messages?from={}", "%".repeat(60_000)), ""), 400),
        (
            "thousands of wishes",
            get("/nowhere", &format!("Accept: {}text/csv\r\n", "a/b,".repeat(15_000))),
            404,
        ),
        (
            "a traceparent that is none",
            get("/nowhere", &format!("Traceparent: {}\r\n", "0-".repeat(30_000))),
            404,
        ),
        ("a batch of brackets", post(batch, json, "", brackets.as_bytes()), 400),
        ("a batch of brackets inside", post(batch, json, "", inside("[").as_bytes()), 400),
        ("a batch of braces inside", post(batch, json, "", inside("{\"a\":").as_bytes()), 400),
        ("lines of brackets", post(batch, lines, "", brackets.as_bytes()), 400),
        (
            "a line without end",
            post(batch, lines, "", &[b"{\"message\": \"", &vec![b'x'; 7 << 20][..]].concat()),
            400,
        ),
        ("a line beyond a body", post(batch, lines, "", &vec![b'x'; 9 << 20]), 413),
        ("lines of nothing", post(batch, lines, "", &vec![b'\n'; 7 << 20]), 400),
        ("too many lines", post(batch, lines, "", "{\"message\":1}\n".repeat(10_001).as_bytes()), 400),
        ("lines that are no UTF-8", post(batch, lines, "", b"{\"message\": \"\xff\"}\n"), 400),
        (
            "a name without end",
            post("/messages", json, "", format!("{{\"{}\": 1}}", "x".repeat(7 << 20)).as_bytes()),
            400,
        ),
        (
            "digits without end",
            post(
                "/messages",
                json,
                "",
                format!("{{\"message\": 1, \"w\": {}}}", "9".repeat(7 << 20)).as_bytes(),
            ),
            400,
        ),
        (
            "an id without end",
            post(
                "/messages",
                json,
                "",
                format!("{{\"message\": 1, \"id\": \"{}\"}}", "x".repeat(7 << 20)).as_bytes(),
            ),
            400,
        ),
        ("a bomb of gzip", post("/messages", json, "Content-Encoding: gzip\r\n", &bomb("gzip")), 400),
        ("a bomb of zstd", post(batch, lines, "Content-Encoding: zstd\r\n", &bomb("zstd")), 400),
        ("a handshake of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\xff\r\n\r\n".to_vec(), 400),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), CLOSED),
    ]
}

#[tokio::test]
async fn what_is_huge_is_refused_and_an_honest_client_notices_nothing() {
    let cluster = Cluster::running().await;
    let honest = Honest::new(cluster.client());
    let mut failures = Vec::new();
    for (name, request, status) in hostile() {
        let answer = raw::exchange(&cluster.master.address, &request, SOON).await;
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        if status == CLOSED && answer.is_empty() {
            continue;
        }
        assert!(answer.len() < 100_000, "{name} is told of in {} bytes", answer.len());
        let is_problem = answer.to_ascii_lowercase().contains("content-type: application/problem+json");
        let parsed = raw::parse(&answer).filter(|(got, body)| *got == status && body["applied"] == false);
        if parsed.is_none() || !is_problem {
            let shown: String = answer.chars().take(400).collect();
            failures.push(format!("{name}: wanted {status}, got {shown}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let writes = honest.stop().await;
    let log = cluster.equal_logs(SOON).await;
    assert_eq!(log.len(), writes, "something that was refused is in the log");
}

/// Clients that ask and read nothing. More than there may be of each kind, where there is a limit.
const SLOW: [(&str, usize); 3] = [("/tail", 2_100), ("/events", 100), ("/metrics", 300)];

/// Followers and consoles that a node has at one time: see the README.
const MOST: usize = 2_000 + 64;

/// What a master may have in memory beside them.
const MOST_BYTES: u64 = 400 << 20;

/// A client with little room for what it is sent.
async fn slow_reader(address: SocketAddr, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("there are descriptors");
    socket.set_recv_buffer_size(4_096).expect("a socket can be small");
    let mut stream = socket.connect(address).await.expect("the node takes connections");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request can be sent");
    stream
}

/// The status of the answer that comes, of which no more is read.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut line = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut line))
        .await
        .expect("an answer begins in time")
        .expect("it is not closed");
    String::from_utf8_lossy(&line[9..]).parse().expect("an answer has a status")
}

fn allow_descriptors() {
    let needed = 4_096;
    let maximum = getrlimit(Resource::Nofile).maximum;
    assert!(
        maximum.is_none_or(|most| most >= needed),
        "at most {maximum:?} descriptors: too few for this test"
    );
    // The nodes are started with the same limit.
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })
        .expect("a limit below the maximum can be set");
}

/// The most memory that a process has had, as Linux tells.
fn peak_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
    kilobytes * 1_024
}

#[tokio::test]
async fn thousands_of_slow_readers_are_bounded_and_an_honest_client_notices_nothing() {
    allow_descriptors();
    let cluster = Cluster::running().await;
    let (client, text) = (cluster.client(), "x".repeat(100_000));
    for _ in 0..50 {
        client.write(&text, 3).await;
    }
    let address = cluster.master.address.parse().expect("an address");
    let honest = Honest::new(cluster.client());
    let (mut slow, mut refused) = (Vec::new(), 0);
    for (path, count) in SLOW {
        for _ in 0..count {
            slow.push((path, slow_reader(address, path).await));
        }
    }
    for (path, stream) in &mut slow {
        match status(stream).await {
            200 => {}
            503 if *path != "/metrics" => refused += 1,
            other => panic!("{path} was answered by {other}"),
        }
    }
    let asked: usize = SLOW.iter().map(|(_, count)| count).sum();
    assert_eq!(refused, asked - 300 - MOST, "followers and consoles have a limit each");
    let peak = peak_bytes(cluster.master.process.id());
    assert!(peak < MOST_BYTES, "{peak} bytes were needed");
    let writes = honest.stop().await;
    drop(slow);
    // Whoever leaves makes room.
    let room = async || status(&mut slow_reader(address, "/tail").await).await == 200;
    wait_until("there is a free place", SOON, room).await;
    assert_eq!(client.health().await["status"], json!("ok"));
    assert_eq!(cluster.equal_logs(SOON).await.len(), 50 + writes);
}
