//! A whole secondary in this process, over HTTP, with a master that is played by hand.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use replog_host::bus::{Bus, BusEvent, BusTrouble, InProcessBus, InProcessHub, Incoming, Outgoing, Refused};
use replog_secondary::{Config, Running, app};
use replog_shared::{
    Digest, Epoch, Incarnation, Lines, LogId, LogName, Mark, MarkKind, Message, MessageId, NodeName, Order,
    Outline, Place, WallTime,
    entry::{self, EntryHead},
    lines::Tip,
    outline,
    subjects::Subjects,
    wire,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

/// No wait of these tests takes longer.
const DEADLINE: Duration = Duration::from_secs(10);

fn log() -> LogName {
    "main".parse().unwrap()
}

fn name() -> NodeName {
    "s1".parse().unwrap()
}

/// A master that has shown its secondary one mark and one entry.
struct Master {
    bus: InProcessBus,
    subjects: Subjects,
    lines: Lines,
}

/// The lines of `Msg<order>` for these orders, behind `tip`.
fn entries(orders: std::ops::Range<u64>, tip: &Tip) -> Lines {
    let mut bytes = Vec::new();
    for order in orders {
        let message = Message::from_json(Bytes::from(format!("\"Msg{order}\""))).unwrap();
        let id = MessageId::new(&format!("id{order}")).unwrap();
        let head = EntryHead {
            order: Order::new(order),
            epoch: epoch().number(),
            at: WallTime::from_ms(7),
            more: false,
        };
        entry::encode(&mut bytes, head, &id, &message);
    }
    Lines::checked(bytes.into(), tip).unwrap()
}

impl Master {
    fn on(hub: &InProcessHub) -> Master {
        let subjects = Subjects::new(log());
        let master: NodeName = "master".parse().unwrap();
        let subscriptions = [subjects.join(None), subjects.acks(None), subjects.fetch(None)];
        let bus = hub.connect(subscriptions, &subjects.inbox(&master));
        let mark = Mark {
            epoch: epoch(),
            kind: MarkKind::Start,
            reached: vec![],
            members: vec![],
            first: Order::ZERO,
        };
        let mut bytes = mark.encode();
        let message = Message::from_json(Bytes::from_static(b"\"Msg0\"")).unwrap();
        let head =
            EntryHead { order: Order::ZERO, epoch: epoch().number(), at: WallTime::from_ms(7), more: false };
        entry::encode(&mut bytes, head, &MessageId::new("a").unwrap(), &message);
        let lines = Lines::checked(bytes.into(), &Tip::default()).unwrap();
        Master { bus, subjects, lines }
    }

    fn sender(&self, node: NodeName) -> wire::Sender {
        let (v, log_id) = (wire::VERSION, Some(LogId::from_random(1)));
        wire::Sender { v, log_id, node, incarnation: Incarnation::from_random(7) }
    }

    fn send(&mut self, subject: String, payload: Bytes) {
        self.bus.send(Outgoing { subject, reply: None, payload }).unwrap();
    }

    fn heartbeat(&mut self) {
        let heartbeat = wire::Heartbeat {
            sender: self.sender("master".parse().unwrap()),
            epoch: epoch(),
            length: Order::new(1),
            digest: self.lines.tip().digest,
            admitted: vec![],
            http: Some("http://the-master:5000".into()),
        };
        self.send(self.subjects.heartbeat(), wire::encode(&heartbeat));
    }

    /// The next packet on a subject with this token.
    async fn expect(&mut self, token: &str) -> Incoming {
        let wanted = async {
            loop {
                match self.bus.next().await {
                    BusEvent::Message(packet) if packet.subject.contains(token) => return packet,
                    _ => {}
                }
            }
        };
        timeout(DEADLINE, wanted).await.expect("a packet in time")
    }

    async fn admit(&mut self) {
        let packet = self.expect(".join.").await;
        let join: wire::Join = wire::decode(&packet.payload).unwrap();
        let length = Order::new(1);
        let own = Outline::of(self.lines.marks(), Place::new(length, 1), usize::MAX);
        let fork = outline::fork(&own, &join.outline).unwrap();
        let answer = wire::JoinAnswer {
            sender: self.sender("master".parse().unwrap()),
            request: join.request,
            epoch: epoch(),
            verdict: wire::Verdict::Admitted,
            length,
            fork,
            digest: Digest::EMPTY,
            turn: None,
            clean: None,
            secondaries: Vec::new(),
        };
        self.send(packet.reply.unwrap(), wire::encode(&answer));
    }

    /// Pushes these lines, as the newest that there are.
    fn push(&mut self, lines: &Lines) {
        let (from, end) = (lines.from(), lines.tip());
        let header = wire::EntriesHeader {
            sender: self.sender(name()),
            epoch: epoch(),
            from,
            marks_before: None,
            count: end.place.length.since(from),
            length: end.place.length,
            digest: end.digest,
            request: None,
            traces: vec![],
        };
        let envelope = wire::encode_entries(&header, lines.bytes());
        self.send(self.subjects.entries(&name()), envelope);
    }

    async fn serve_fetch(&mut self) {
        let packet = self.expect(".fetch.").await;
        let fetch: wire::Fetch = wire::decode(&packet.payload).unwrap();
        let header = wire::EntriesHeader {
            sender: self.sender(name()),
            epoch: epoch(),
            from: Order::ZERO,
            marks_before: None,
            count: 1,
            length: Order::new(1),
            digest: self.lines.tip().digest,
            request: Some(fetch.request),
            traces: vec![],
        };
        self.send(packet.reply.unwrap(), wire::encode_entries(&header, self.lines.bytes()));
    }
}

fn epoch() -> Epoch {
    let owner = "master".parse().unwrap();
    Epoch { reign: 1, owner, start: 0, incarnation: Incarnation::from_random(7) }
}

async fn secondary(hub: &InProcessHub, allow_faults: bool) -> Running {
    let config = Config { allow_faults, ..config() };
    let translator = app::translator(&config);
    let bus = hub.connect(translator.subscriptions(), translator.inbox());
    app::start(config, bus).await.unwrap()
}

fn config() -> Config {
    Config::in_process(SocketAddr::from(([127, 0, 0, 1], 0)), log(), name())
}

/// A bus whose trouble is what the test says.
struct TroubledBus {
    bus: InProcessBus,
    trouble: watch::Receiver<BusTrouble>,
}

impl Bus for TroubledBus {
    fn send(&mut self, packet: Outgoing) -> Result<(), Refused> {
        self.bus.send(packet)
    }

    async fn next(&mut self) -> BusEvent {
        self.bus.next().await
    }

    fn trouble(&self) -> BusTrouble {
        self.trouble.borrow().clone()
    }

    fn try_next(&mut self) -> Option<BusEvent> {
        self.bus.try_next()
    }

    async fn close(self) {
        self.bus.close().await;
    }
}

/// The status, the head, and the body as it came.
async fn http(addr: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, socket.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_owned(), unchunked(head, body))
}

fn unchunked(head: &str, body: &str) -> String {
    if !head.contains("chunked") {
        return body.to_owned();
    }
    let mut parts = body.split("\r\n");
    let mut text = String::new();
    while let (Some(_size), Some(part)) = (parts.next(), parts.next()) {
        text.push_str(part);
    }
    text
}

async fn json_of(addr: SocketAddr, path: &str) -> Value {
    serde_json::from_str(&http(addr, "GET", path, "").await.2).unwrap()
}

#[tokio::test]
async fn it_joins_fetches_acks_and_shows() {
    let hub = InProcessHub::new();
    let mut master = Master::on(&hub);
    let running = secondary(&hub, false).await;
    assert_eq!(json_of(running.addr, "/messages").await, json!({"messages": []}));
    master.heartbeat();
    master.admit().await;
    master.serve_fetch().await;
    loop {
        let ack: wire::Ack = wire::decode(&master.expect(".acks.").await.payload).unwrap();
        if ack.through == Order::new(1) {
            assert_eq!((ack.epoch, ack.digest, ack.whole), (Some(epoch()), master.lines.tip().digest, true));
            break;
        }
    }
    let (status, head, body) = http(running.addr, "GET", "/messages?min_order=0&timeout_ms=10000", "").await;
    assert_eq!((status, body.as_str()), (200, "{\"messages\": [\"Msg0\"]}\n"));
    assert!(head.contains("replog-epoch: 1.0") && head.contains("replog-log-id: "), "{head}");
    let full = json_of(running.addr, "/full_messages").await;
    assert_eq!(
        full["messages"][0],
        json!({"order": 0, "epoch": "1.0", "at": 7, "id": "a", "message": "Msg0"})
    );
    assert_eq!(json_of(running.addr, "/messages?from=7").await, json!({"messages": []}));
    let health = json_of(running.addr, "/health").await;
    assert_eq!((&health["status"], &health["length"], &health["lag"]), (&json!("ok"), &json!(1), &json!(0)));
    timeout(DEADLINE, running.stop()).await.unwrap().unwrap();
}

/// The condition holds soon: asks `/health` until it does.
async fn health_until(addr: SocketAddr, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let seen = async {
        loop {
            let health = json_of(addr, "/health").await;
            if holds(&health) {
                return health;
            }
        }
    };
    timeout(DEADLINE, seen).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

#[tokio::test]
async fn what_stands_behind_a_gap_is_not_shown_until_the_gap_is_filled() {
    let hub = InProcessHub::new();
    let mut master = Master::on(&hub);
    let running = secondary(&hub, false).await;
    master.heartbeat();
    master.admit().await;
    master.serve_fetch().await;
    health_until(running.addr, "it streams", |health| health["state"] == "streaming").await;
    let (second, third) = {
        let second = entries(1..2, master.lines.tip());
        (second.clone(), entries(2..3, second.tip()))
    };
    let fourth = entries(3..4, third.tip());
    master.push(&second);
    master.push(&fourth);
    health_until(running.addr, "the fourth has come", |health| health["counters"]["out_of_order"] == 1).await;
    assert_eq!(json_of(running.addr, "/messages").await, json!({"messages": ["Msg0", "Msg1"]}));
    assert_eq!(json_of(running.addr, "/full_messages?from=2").await, json!({"messages": []}));
    master.push(&third);
    let (status, _, body) = http(running.addr, "GET", "/messages?min_order=3&timeout_ms=10000", "").await;
    assert_eq!((status, body.as_str()), (200, "{\"messages\": [\"Msg0\",\"Msg1\",\"Msg2\",\"Msg3\"]}\n"));
}

#[tokio::test]
async fn what_is_wrong_with_nats_is_told_while_it_is_wrong() {
    let hub = InProcessHub::new();
    let mut master = Master::on(&hub);
    let (tell, trouble) = watch::channel(BusTrouble::default());
    let translator = app::translator(&config());
    let bus = TroubledBus { bus: hub.connect(translator.subscriptions(), translator.inbox()), trouble };
    let running = app::start(config(), bus).await.unwrap();
    master.heartbeat();
    master.admit().await;
    master.serve_fetch().await;
    health_until(running.addr, "it streams", |health| health["state"] == "streaming").await;

    let what = "Permissions Violation for Publish to \"replog.main.acks.s1\"";
    tell.send(BusTrouble { denied: Some(what.into()), ..BusTrouble::default() }).unwrap();
    let health = health_until(running.addr, "it is told", |health| health["nats_denied"] == what).await;
    assert_eq!(health["status"], "degraded");
    assert!(health["reason"].as_str().unwrap().contains("replog.main.acks.s1"), "{health}");
    // Reads are as good as before.
    assert_eq!(http(running.addr, "GET", "/readyz", "").await.0, 200);

    let (unreachable, streams) = (Some("a:1: refused".to_owned()), vec!["ALL".to_owned()]);
    tell.send(BusTrouble { denied: None, unreachable, streams }).unwrap();
    let health = health_until(running.addr, "it is told", |health| !health["nats_streams"].is_null()).await;
    assert_eq!(
        (&health["nats_streams"], &health["nats_unreachable"]),
        (&json!(["ALL"]), &json!("a:1: refused"))
    );
    assert!(health["reason"].as_str().unwrap().contains("ALL"), "{health}");

    tell.send(BusTrouble::default()).unwrap();
    let fine = health_until(running.addr, "it is fine", |health| health["status"] == "ok").await;
    assert!(fine.get("nats_denied").is_none() && fine.get("nats_streams").is_none(), "{fine}");
}

#[tokio::test]
async fn probes_and_health_say_the_same_on_every_node() {
    let hub = InProcessHub::new();
    let running = secondary(&hub, false).await;
    health_until(running.addr, "it is connected", |health| health["nats_connected"] == true).await;
    for path in ["/livez", "/readyz"] {
        let (status, head, body) = http(running.addr, "GET", path, "").await;
        assert_eq!((status, body.as_str()), (200, "{\"status\":\"ok\"}\n"));
        assert!(head.contains("content-type: application/json"), "{head}");
    }
    let health = json_of(running.addr, "/health").await;
    assert_eq!((&health["status"], &health["role"]), (&json!("degraded"), &json!("secondary")));
    assert_eq!((&health["reason"], &health["durability"]), (&json!("no master is heard"), &json!("memory")));
}

#[tokio::test]
async fn head_and_options_are_answered() {
    let hub = InProcessHub::new();
    let running = secondary(&hub, false).await;
    for path in ["/messages", "/full_messages", "/health", "/metrics", "/livez"] {
        let (status, _, body) = http(running.addr, "HEAD", path, "").await;
        assert_eq!((status, body.as_str()), (200, ""), "{path}");
    }
    let (status, head, _) = http(running.addr, "OPTIONS", "/messages", "").await;
    assert!(status == 405 && head.contains("allow: "), "{status} {head}");
    let (status, _, _) = http(running.addr, "POST", "/metrics", "").await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn appends_are_sent_to_the_master() {
    let hub = InProcessHub::new();
    let mut master = Master::on(&hub);
    let running = secondary(&hub, false).await;
    let (status, _, _) = http(running.addr, "POST", "/messages", "{}").await;
    assert_eq!(status, 421);
    master.heartbeat();
    master.expect(".join.").await;
    let (status, _, body) = http(running.addr, "POST", "/messages/batch", "{}").await;
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &problem["master"]), (421, &json!("http://the-master:5000")));
    for (method, path) in [("GET", "/messages/0"), ("POST", "/clean"), ("POST", "/messages")] {
        let (status, _, body) = http(running.addr, method, path, "").await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &problem["master"]), (421, &json!("http://the-master:5000")), "{method} {path}");
    }
}

#[tokio::test]
async fn faults_are_changed_only_where_they_are_allowed() {
    let hub = InProcessHub::new();
    let closed = secondary(&hub, false).await;
    assert_eq!(http(closed.addr, "GET", "/faults", "").await.0, 403);
    assert_eq!(http(closed.addr, "PUT", "/faults", "{}").await.0, 403);
    let open = secondary(&hub, true).await;
    let (status, _, body) = http(open.addr, "PUT", "/faults", r#"{"delay_ms": 5, "drop_rate": 0.5}"#).await;
    assert_eq!((status, body.as_str()), (200, r#"{"delay_ms":5,"error_rate":0.0,"drop_rate":0.5}"#));
    assert_eq!(json_of(open.addr, "/faults").await["delay_ms"], 5);
    let (delay, share) = ("a whole number from 0 to 3600000", "a number from 0 to 1");
    for (bad, allowed) in [
        (r#"{"drop_rate": 2}"#, json!(share)),
        (r#"{"error_rate": -0.1}"#, json!(share)),
        (r#"{"error_rate": "1"}"#, json!(share)),
        (r#"{"error_rate": 1e400}"#, json!(share)),
        (r#"{"delay_ms": -1}"#, json!(delay)),
        (r#"{"delay_ms": null}"#, json!(delay)),
        (r#"{"delay_ms": 3600001}"#, json!(delay)),
        (r#"{"delay": 1}"#, json!(["delay_ms", "error_rate", "drop_rate"])),
        ("[1", Value::Null),
    ] {
        let (status, _, body) = http(open.addr, "PUT", "/faults", bad).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &problem["allowed"]), (400, &allowed), "{bad}");
    }
}

#[tokio::test]
async fn who_waits_is_told_when_the_node_stops() {
    let hub = InProcessHub::new();
    let running = secondary(&hub, false).await;
    let addr = running.addr;
    assert_eq!(http(addr, "GET", "/messages?min_order=3&timeout_ms=1", "").await.0, 504);
    assert_eq!(http(addr, "GET", "/readyz", "").await.0, 200);
    let mut waiting = TcpStream::connect(addr).await.unwrap();
    waiting.write_all(b"GET /messages?min_order=3 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // A later request is answered: the earlier connection was accepted before it.
    assert_eq!(http(addr, "GET", "/livez", "").await.0, 200);
    let stopping = tokio::spawn(running.stop());
    let mut answer = String::new();
    timeout(DEADLINE, waiting.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    timeout(DEADLINE, stopping).await.unwrap().unwrap().unwrap();
}
