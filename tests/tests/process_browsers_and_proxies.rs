//! What comes to a real node through a browser, and what through a proxy that speaks HTTP/1.0.

use replog_tests::harness::{Answer, Cluster, Options, SOON, raw};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Requests that change something, by method, path and body, and where they go: a number of a secondary, or 0.
const CHANGES: [(Method, &str, &str, usize); 5] = [
    (Method::POST, "/clean", "", 0),
    (Method::POST, "/clean", "{}", 0),
    (Method::POST, "/messages", "{\"message\":1}", 0),
    (Method::POST, "/messages/batch", "{\"messages\":[{\"message\":1}]}", 0),
    (Method::PUT, "/faults", "{\"delay_ms\":1000}", 1),
];

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let cluster = Cluster::running().await;
    cluster.client().append_range(0..3, 3).await;
    let faults = cluster.reader(1).get("/faults").await.body;
    for (method, path, body, node) in &CHANGES {
        let client = if *node == 0 { cluster.client() } else { cluster.reader(*node) };
        for (header, value) in [
            ("origin", "https://other.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:1"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            for content_type in ["application/json", "application/x-www-form-urlencoded", "text/plain"] {
                let request = client.request(method.clone(), path).header(header, value);
                let request = request.header("content-type", content_type).body(*body);
                let answer =
                    Answer::of(request.send().await.expect("an answer comes")).await.expect("it is whole");
                answer.expect_problem(403, "cross_site", false);
            }
        }
    }
    assert_eq!(cluster.client().entries().await.map(|log| log.len()), Some(3));
    assert_eq!(cluster.reader(1).get("/faults").await.body, faults);
    // The console's own requests, and those of clients that are no browsers.
    let origin = cluster.client().url("");
    let own = cluster.client().request(Method::POST, "/messages").json(&json!({"message": 1}));
    let own = own.header("origin", origin).header("sec-fetch-site", "same-origin").send().await;
    assert_eq!(own.expect("an answer comes").status().as_u16(), 200);
    cluster.client().write("no browser", 3).await;
}

/// A client of HTTP/1.0 that has asked for `path` and taken the beginning of the answer.
async fn begin(address: &str, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    // Most of the answer has to wait at the node.
    socket.set_recv_buffer_size(16 * 1024).expect("a buffer can be small");
    let mut stream = socket.connect(address.parse().expect("an address")).await.expect("the node listens");
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request can be sent");
    let mut beginning = vec![0; 1024];
    stream.read_exact(&mut beginning).await.expect("an answer begins");
    assert!(beginning.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&beginning));
    stream
}

/// Whether the answer ends with a close that a client takes for its end.
async fn looks_whole(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the connection ends soon").is_ok()
}

/// A log of so many megabytes.
async fn fill(cluster: &Cluster, megabytes: usize) {
    let text = "x".repeat(1 << 19);
    for _ in 0..2 * megabytes {
        cluster.client().write(&text, 1).await;
    }
}

#[tokio::test]
async fn an_answer_over_http_1_0_that_breaks_off_does_not_look_whole() {
    let options = Options { secondaries: 1, ..Options::default() };
    let mut cluster = Cluster::start(options).await;
    fill(&cluster, 16).await;
    let address = cluster.master.address.clone();
    let whole = begin(&address, "/messages?limit=2").await;
    assert!(looks_whole(whole).await, "an answer that is whole ends well");
    let (messages, entries) = (begin(&address, "/messages").await, begin(&address, "/full_messages").await);
    let other = begin(&cluster.secondary(1).address, "/messages").await;
    cluster.client().post("/clean", json!({"w": 2})).await;
    for cut in [messages, entries, other] {
        assert!(!looks_whole(cut).await, "the log was emptied meanwhile");
    }
    fill(&cluster, 16).await;
    let (messages, tail) = (begin(&address, "/messages").await, begin(&address, "/tail").await);
    cluster.master.process.kill();
    assert!(!looks_whole(messages).await, "the node was killed meanwhile");
    assert!(!looks_whole(tail).await, "the node was killed meanwhile");
}

const KEEP: &str = "Connection: keep-alive\r\n";

#[tokio::test]
async fn a_connection_of_http_1_0_is_kept_where_the_answer_has_a_length() {
    let cluster = Cluster::running().await;
    cluster.client().append_range(0..3, 3).await;
    let address = &cluster.master.address;
    let body = "{\"message\":1}";
    let post = format!(
        "POST /messages HTTP/1.0\r\n{KEEP}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let get = |path: &str, lines: &str| format!("GET {path} HTTP/1.0\r\n{lines}\r\n");
    let kept = ["/health", "/messages/0", "/livez", "/", "/metrics", "/openapi.json", "/nothing"];
    let all: String = kept.iter().map(|path| get(path, KEEP)).chain([post, get("/readyz", "")]).collect();
    let answers = raw::exchange(address, all.as_bytes(), SOON).await.expect("the last one closes");
    assert_eq!(answers.matches("HTTP/1.0 ").count(), kept.len() + 2, "{answers}");
    for path in ["/messages", "/full_messages"] {
        for coding in ["", "Accept-Encoding: gzip\r\n", "Accept: application/x-ndjson\r\n"] {
            let answer = raw::exchange(address, get(path, &format!("{KEEP}{coding}")).as_bytes(), SOON).await;
            let answer = answer.expect("it is closed at its end");
            let head = answer.split("\r\n\r\n").next().expect("a head").to_ascii_lowercase();
            assert!(head.contains("connection: close") && !head.contains("keep-alive"), "{head}");
        }
    }
    for path in ["/tail", "/events"] {
        let mut stream = TcpStream::connect(address).await.expect("the node listens");
        stream.write_all(get(path, KEEP).as_bytes()).await.expect("a request can be sent");
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            timeout(SOON, stream.read_buf(&mut head)).await.expect("a head comes soon").expect("it is read");
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        assert!(head.contains("connection: close\r\n") && !head.contains("keep-alive"), "{head}");
    }
}
