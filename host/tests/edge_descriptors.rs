//! No free file descriptor: a process of its own, because the limit is one of the process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::File,
    io, iter,
    sync::{Arc, Mutex},
    time::Duration,
};

use replog_host::{
    edge::{self, Access, EdgeOptions, Routes},
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

#[tokio::test]
async fn a_connection_that_finds_no_descriptor_is_served_when_there_is_one() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let describe = |_: &mut Schemas| Operation::new(Tag::Pages, "hello", "Hello");
    let routes = Routes::new().get("/", Access::Open, describe, async || "hello");
    tokio::spawn(edge::serve(listener, routes, EdgeOptions::default(), CancellationToken::new()));

    let mut taken = take_all_descriptors();
    taken.pop();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let failed = async {
        while log.count("no connection can be accepted") == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, failed).await.unwrap();

    drop(taken);
    let mut answer = String::new();
    timeout(DEADLINE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    assert_eq!(log.count("no connection can be accepted"), 1, "said once, however often it is tried");
}

/// What was logged, in memory: a file would need a descriptor.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn count(&self, words: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(words).count()
    }
}

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens files until there is no descriptor left.
fn take_all_descriptors() -> Vec<File> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
    iter::from_fn(|| File::open("/dev/null").ok()).collect()
}
