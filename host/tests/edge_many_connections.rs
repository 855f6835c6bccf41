//! Thousands of idle connections: a process of its own, because of the descriptors it takes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use replog_host::{
    edge::{self, Access, EdgeLimits, Routes},
    openapi::{Operation, Schemas, Tag},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(20);

/// Each takes two descriptors of this process.
const CONNECTIONS: usize = 3_000;

#[tokio::test]
async fn thousands_of_idle_connections_are_kept_and_delay_nobody() {
    let needed = 2 * CONNECTIONS as u64 + 100;
    let maximum = getrlimit(Resource::Nofile).maximum;
    assert!(
        maximum.is_none_or(|most| most >= needed),
        "at most {maximum:?} descriptors: too few for this test"
    );
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let describe = |_: &mut Schemas| Operation::new(Tag::Pages, "hello", "Hello");
    let routes = Routes::new().get("/", Access::Open, describe, async || "hello");
    let limits = EdgeLimits { max_connections: CONNECTIONS, ..EdgeLimits::default() };
    tokio::spawn(edge::serve(listener, routes, limits.into(), CancellationToken::new()));

    let mut idle = Vec::new();
    for _ in 1..CONNECTIONS {
        let mut client = TcpStream::connect(address).await.unwrap();
        ask(&mut client).await;
        idle.push(client);
    }
    // One more has a place, and is answered like the first; all the others are still there.
    ask(&mut TcpStream::connect(address).await.unwrap()).await;
    for client in &mut idle {
        ask(client).await;
    }
}

/// One request that leaves the connection open, and its answer.
async fn ask(client: &mut TcpStream) {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let read = timeout(DEADLINE, client.read_buf(&mut answer)).await.expect("an answer in time").unwrap();
        assert!(read > 0, "closed after: {}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}
