//! Traced appends as a collector is told of them.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{Span, status::StatusCode},
};
use prost::Message as _;
use replog_host::{bus::InProcessHub, spans::Collector};
use replog_shared::{LogName, NodeName};
use replog_tests::harness::SOON;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

const FREE_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// What one node has posted at once.
struct Posted {
    path: String,
    service: String,
    spans: Vec<Span>,
}

/// A collector that takes everything.
struct FakeCollector {
    url: Collector,
    posted: mpsc::Receiver<Posted>,
}

impl FakeCollector {
    async fn start() -> FakeCollector {
        let listener = TcpListener::bind(std::net::SocketAddr::from(FREE_PORT)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (tell, posted) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, tell.clone()));
            }
        });
        FakeCollector { url, posted }
    }

    /// All that was posted, by nodes that have stopped.
    fn all(mut self) -> Vec<Posted> {
        std::iter::from_fn(|| self.posted.try_recv().ok()).collect()
    }
}

/// Answers each request of a connection with an empty 200.
async fn take(mut stream: TcpStream, tell: mpsc::Sender<Posted>) {
    let mut read = Vec::new();
    while let Some((head, body)) = next_request(&mut stream, &mut read).await {
        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        for of_node in request.resource_spans {
            let attributes = of_node.resource.unwrap().attributes;
            let service = attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
            let spans = of_node.scope_spans.into_iter().flat_map(|scope| scope.spans).collect();
            let path = head.split(' ').nth(1).unwrap().to_owned();
            let service = format!("{:?}", service.value);
            tell.send(Posted { path, service, spans }).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    }
}

async fn next_request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(read[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let whole = end + 4 + length.parse::<usize>().unwrap();
            if read.len() >= whole {
                let body = read.drain(..whole).skip(end + 4).collect();
                return Some((head, body));
            }
        }
        if stream.read_buf(read).await.unwrap() == 0 {
            return None;
        }
    }
}

async fn nodes(collector: &Collector) -> (replog_master::Running, replog_secondary::Running) {
    let hub = InProcessHub::new();
    let log: LogName = "main".parse().unwrap();
    let [name, secondary]: [NodeName; 2] = ["master", "s1"].map(|name| name.parse().unwrap());
    let mut config =
        replog_master::Config::in_process(FREE_PORT.into(), log.clone(), vec![secondary.clone()], name);
    config.recovery_wait = Duration::from_millis(1);
    config.collector = Some(collector.clone());
    let translator = replog_master::app::translator(&config);
    let bus = hub.connect(translator.subscriptions(), translator.inbox());
    let master = replog_master::start(config, bus).await.unwrap();
    let mut config = replog_secondary::Config::in_process(FREE_PORT.into(), log, secondary);
    config.collector = Some(collector.clone());
    let translator = replog_secondary::app::translator(&config);
    let bus = hub.connect(translator.subscriptions(), translator.inbox());
    (master, replog_secondary::start(config, bus).await.unwrap())
}

async fn append(master: &replog_master::Running, body: &serde_json::Value, flags: &str) -> u16 {
    let request = reqwest::Client::new().post(format!("http://{}/messages", master.addr)).json(body);
    let traced = request.header("traceparent", format!("00-{TRACE}-{CALLER}-{flags}"));
    traced.send().await.unwrap().status().as_u16()
}

fn lasted(span: &Span) -> u64 {
    span.end_time_unix_nano - span.start_time_unix_nano
}

fn number(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    format!("{:?}", found.unwrap_or_else(|| panic!("{name} of {span:?}")).value)
}

#[tokio::test]
async fn a_collector_is_told_how_long_each_node_took_for_a_sampled_append() {
    let collector = FakeCollector::start().await;
    let (master, secondary) = nodes(&collector.url).await;
    assert_eq!(append(&master, &json!({"message": "not sampled", "w": 2}), "00").await, 200);
    assert_eq!(append(&master, &json!({"message": "sampled", "w": 2}), "01").await, 200);
    secondary.stop().await.unwrap();
    master.stop().await.unwrap();

    let posted = collector.all();
    assert!(posted.iter().all(|posted| posted.path == "/v1/traces"));
    let of = |service: &str| -> Vec<&Span> {
        let of_service = posted.iter().filter(|posted| posted.service.contains(service));
        of_service.flat_map(|posted| &posted.spans).collect()
    };
    let (on_master, on_secondary) = (of("replog-master"), of("replog-secondary"));
    let named = |spans: &[&Span], name: &str| -> Span {
        let found: Vec<&Span> = spans.iter().copied().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name} in {spans:?}");
        found[0].clone()
    };
    let appended = named(&on_master, "append");
    assert_eq!(hex(&appended.trace_id), TRACE);
    assert_eq!(hex(&appended.parent_span_id), CALLER);
    assert_eq!(appended.status.as_ref().unwrap().code(), StatusCode::Ok);
    assert!(number(&appended, "entry.order").contains("IntValue(1)"), "{appended:?}");
    assert!(number(&appended, "became").contains("met"), "{appended:?}");
    for part in [named(&on_master, "make durable"), named(&on_secondary, "replicate")] {
        assert_eq!(hex(&part.trace_id), TRACE);
        assert_eq!(part.parent_span_id, appended.span_id, "{} is a part of the append", part.name);
        assert!(lasted(&part) <= lasted(&appended), "{part:?} {appended:?}");
    }
    assert_eq!((on_master.len(), on_secondary.len()), (2, 1), "who was not sampled has no spans");
}

#[tokio::test]
async fn a_refused_append_is_told_with_the_reason() {
    let collector = FakeCollector::start().await;
    let (master, secondary) = nodes(&collector.url).await;
    let unexpected = json!({"message": "sampled", "w": 1, "expect_order": 7});
    assert_eq!(append(&master, &unexpected, "01").await, 412);
    secondary.stop().await.unwrap();
    master.stop().await.unwrap();
    let spans: Vec<Span> = collector.all().into_iter().flat_map(|posted| posted.spans).collect();
    assert_eq!(spans.len(), 1, "{spans:?}");
    let status = spans[0].status.clone().unwrap();
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "unexpected_order"));
}

#[tokio::test]
async fn a_collector_that_is_away_delays_nobody() {
    let nobody_listens = TcpListener::bind(std::net::SocketAddr::from(FREE_PORT)).await.unwrap();
    let collector = format!("http://{}", nobody_listens.local_addr().unwrap()).parse().unwrap();
    let (master, secondary) = nodes(&collector).await;
    let appends = async {
        for _ in 0..20 {
            assert_eq!(append(&master, &json!({"message": "sampled", "w": 2}), "01").await, 200);
        }
    };
    timeout(SOON, appends).await.expect("no append waits for the collector");
    // It takes connections and never answers: the last spans are given up.
    secondary.stop().await.unwrap();
    master.stop().await.unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
