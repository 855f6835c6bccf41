//! What those who follow may cost.

use replog_host::edge::EdgeLimits;

use crate::support::{Server, patient, within};

/// More than the sockets of both ends take in.
const LARGE_LOG: (u64, usize) = (2_000, 16_000);

/// More than the line of an entry whose message is one character.
const SHORT_LINE_BYTES: usize = 100;

#[tokio::test]
async fn one_too_many_is_503_until_one_leaves() {
    let server = Server::start(EdgeLimits { max_tails: 1, ..patient() }).await;
    let mut first = server.follow("/tail", "").await;
    first.until("retry: ").await;
    let mut second = server.follow("/tail", "").await;
    second.until("\"code\":\"too_many_tails\"").await;
    assert!(second.text.starts_with("HTTP/1.1 503 ") && second.text.contains("retry-after: "));
    drop(first);
    let served = async {
        while !server.follow("/tail", "").await.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 ") {}
    };
    within("a free place", served).await;
}

#[tokio::test]
async fn a_stop_ends_every_answer_well_and_between_two_entries() {
    let mut server = Server::start(patient()).await;
    server.append(2, 1);
    let mut client = server.follow("/tail", "").await;
    client.until("id: 1.0/1\n").await;
    server.shutdown.cancel();
    let (text, ended) = client.rest().await;
    assert!(text.ends_with("}\n\n") && ended, "{text}");
    server.stopped().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_costs_no_memory_and_no_time() {
    let mut server = Server::start(patient()).await;
    server.append(LARGE_LOG.0, LARGE_LOG.1);
    let _slow = server.follow_slowly("/tail").await;
    let mut quick = server.follow("/tail?from=end", "").await;
    quick.until("retry: ").await;
    // As long as more is read than what the quick one gets, the sockets of the slow one have room.
    let full = async {
        let mut read = 0;
        while server.read_bytes() > read + SHORT_LINE_BYTES || read == 0 {
            read = server.read_bytes();
            server.append(1, 1);
            let last = server.length() - 1;
            quick.until(&format!("id: 1.0/{last}\n")).await;
        }
        read
    };
    let read = within("the sockets to be full", full).await;
    let (count, size) = LARGE_LOG;
    assert!(read < count as usize * size / 2, "{read} bytes were read for a client that reads nothing");
    server.shutdown.cancel();
    server.stopped().await;
}
