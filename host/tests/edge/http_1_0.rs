//! HTTP/1.0, as nginx speaks it to what is behind it: there are no chunks, and an answer without a length ends with
//! its connection.

use replog_host::edge::EdgeLimits;

use crate::support::{SOON, Server, get_of, patient};

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.0\r\nHost: a\r\n{lines}\r\n")
}

const KEEP: &str = "Connection: keep-alive\r\n";

/// Head and body of an answer to a request, and whether the connection closed well behind it.
async fn until_close(server: &Server, request: String) -> (String, Vec<u8>, bool) {
    let mut client = server.connect().await;
    client.send(request).await;
    let (answer, closed_well) = client.rest_and_end().await;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    (head, answer[end..].to_vec(), closed_well)
}

#[tokio::test]
async fn an_answer_without_a_length_says_that_the_connection_closes() {
    let server = Server::start(patient()).await;
    for lines in [KEEP, "", "Connection: close\r\n", "Connection: Keep-Alive\r\nKeep-Alive: 5\r\n"] {
        let (head, body, closed_well) = until_close(&server, get("/streamed", lines)).await;
        assert!(head.contains("connection: close\r\n") && !head.contains("keep-alive"), "{head}");
        assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
        assert_eq!((&body[..], closed_well), (&b"[1,2,3]"[..], true), "a whole answer ends well");
    }
}

#[tokio::test]
async fn a_connection_is_kept_behind_an_answer_with_a_length() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    for path in ["/page?limit=1", "/large", "/order/7", "/page?limit=99", "/nothing"] {
        client.send(get(path, KEEP)).await;
        let answer = client.answer().await;
        assert_eq!(answer.header("connection"), Some("keep-alive"), "{path}");
    }
    client.send(get("/page", "")).await;
    assert_eq!(client.answer().await.status, 200);
    client.closed_well().await;
}

#[tokio::test]
async fn a_refusal_that_closes_says_so() {
    let server = Server::start(patient()).await;
    let (head, _, closed_well) = until_close(&server, get("/page", &format!("Host: b\r\n{KEEP}"))).await;
    assert!(head.starts_with("http/1.0 400"), "{head}");
    assert!(head.contains("connection: close\r\n") && !head.contains("keep-alive") && closed_well, "{head}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_a_reset() {
    let server = Server::start(patient()).await;
    for lines in [KEEP, ""] {
        let (_, body, closed_well) = until_close(&server, get("/broken", lines)).await;
        assert!(!closed_well, "{} bytes look like a whole answer", body.len());
    }
}

#[tokio::test]
async fn an_answer_that_a_stop_cuts_off_ends_with_a_reset() {
    let limits = EdgeLimits { grace: SOON, ..patient() };
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send(get("/endless", "")).await;
    client.takes(100_000).await;
    server.shutdown.cancel();
    server.stopped().await;
    assert!(!client.rest_and_end().await.1);
}

#[tokio::test]
async fn in_http_1_1_the_last_chunk_tells() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(get_of("/streamed").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
    let (answer, closed_well) = client.rest_and_end().await;
    assert!(closed_well && answer.ends_with(b"0\r\n\r\n"));
}
