//! A master in this process and what asks it.

use std::{net::SocketAddr, time::Duration};

use replog_host::bus::InProcessHub;
use replog_master::{Config, Running, app};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

/// No wait of these tests takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn config() -> Config {
    let names = ["s1", "s2"].map(|name| name.parse().unwrap()).to_vec();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config::in_process(listen, "main".parse().unwrap(), names, "master".parse().unwrap());
    config.recovery_wait = Duration::from_millis(1);
    config.allow_clean = true;
    config
}

/// A master that leads.
pub(crate) struct Master {
    pub(crate) running: Running,
    pub(crate) addr: SocketAddr,
}

impl Master {
    pub(crate) async fn leading() -> Master {
        Self::leading_with(config()).await
    }

    /// A master that has just been started.
    pub(crate) async fn started(config: Config) -> Master {
        let translator = app::translator(&config);
        let bus = InProcessHub::new().connect(translator.subscriptions(), translator.inbox());
        let running = app::start(config, bus).await.unwrap();
        Master { addr: running.addr, running }
    }

    pub(crate) async fn leading_with(config: Config) -> Master {
        let master = Self::started(config).await;
        let addr = master.addr;
        let leads = async { while ask(addr, "GET", "/readyz", "").await.status != 200 {} };
        timeout(DEADLINE, leads).await.expect("a master that leads");
        master
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        ask(self.addr, "GET", path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        ask(self.addr, "POST", path, body).await
    }

    /// Sends, and does not wait for the answer.
    pub(crate) fn post_waiting(&self, path: &'static str, body: impl Into<String>) -> JoinHandle<Answer> {
        let (addr, body) = (self.addr, body.into());
        tokio::spawn(async move { ask(addr, "POST", path, &body).await })
    }

    pub(crate) async fn pending_writes(&self, wanted: u64) {
        let seen = async { while self.get("/health").await.body["pending_writes"] != wanted {} };
        timeout(DEADLINE, seen).await.expect("so many pending writes");
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn of(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let body = if head.contains("chunked") { unchunked(body) } else { body.to_owned() };
        let body = serde_json::from_str(&body).unwrap_or_default();
        Answer { status: head[9..12].parse().unwrap(), head: head.to_owned(), body }
    }

    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> &Value {
        assert_eq!((self.status, &self.body["code"]), (status, &json!(code)), "{self:?}");
        &self.body
    }
}

fn unchunked(body: &str) -> String {
    body.split("\r\n").skip(1).step_by(2).collect()
}

pub(crate) fn request(method: &str, path: &str, body: &str) -> String {
    request_with(method, path, "application/json", body)
}

fn request_with(method: &str, path: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

pub(crate) async fn ask(addr: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    ask_with(addr, method, path, "application/json", body).await
}

pub(crate) async fn ask_with(
    addr: SocketAddr,
    method: &str,
    path: &str,
    content_type: &str,
    body: &str,
) -> Answer {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(request_with(method, path, content_type, body).as_bytes()).await.unwrap();
    Answer::of(&rest(&mut socket).await)
}

/// All that comes until the node closes.
pub(crate) async fn rest(socket: &mut TcpStream) -> String {
    let mut answer = String::new();
    timeout(DEADLINE, socket.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    answer
}
