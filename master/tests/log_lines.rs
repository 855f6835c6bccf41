//! What a master logs of its clients. Alone in its program: what is logged at all is decided once for all threads.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use replog_host::bus::InProcessHub;
use replog_master::{Config, app};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// No wait of this test takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// What is logged on this thread while it is held, one line each.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let logged = self.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
        tracing::subscriber::set_default(subscriber.with_writer(move || logged.clone()).finish())
    }

    fn lines(&self, wanted: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(wanted)).map(str::to_owned).collect()
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asks, and gives the status.
async fn ask(addr: SocketAddr, method: &str, path: &str, body: &str) -> u16 {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, socket.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    answer[9..12].parse().unwrap()
}

#[tokio::test]
async fn appends_cleans_and_refusals_are_logged_once() {
    let logged = Logged::default();
    let _listening = logged.listen();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config =
        Config::in_process(listen, "main".parse().unwrap(), Vec::new(), "master".parse().unwrap());
    config.allow_clean = true;
    let translator = app::translator(&config);
    let bus = InProcessHub::new().connect(translator.subscriptions(), translator.inbox());
    let running = app::start(config, bus).await.unwrap();
    let addr = running.addr;

    let append = r#"{"message": 1, "w": 1, "id": "mine"}"#;
    assert_eq!(ask(addr, "POST", "/messages", append).await, 200);
    assert_eq!(ask(addr, "POST", "/messages", r#"{"message": 1, "w": 7}"#).await, 400);
    assert_eq!(ask(addr, "POST", "/messages", r#"{"message": 2, "id": "mine"}"#).await, 409);
    assert_eq!(ask(addr, "POST", "/clean", "{}").await, 200);
    for (line, words) in [
        (": appended", &["DEBUG", "entry.order=0", "message.id=mine"][..]),
        ("answered an append", &["DEBUG", "entry.order=0", "message.id=mine", "write.w=1"]),
        ("invalid_field", &["DEBUG", "refused a request", "client=127.0.0.1:", "status=400"]),
        ("conflict", &["DEBUG", "refused a request", "path=\"/messages\"", "status=409"]),
        ("the log was emptied on request", &["WARN", "client=127.0.0.1:", "entries.dropped=1"]),
    ] {
        let found = logged.lines(line);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(words.iter().all(|word| found[0].contains(word)), "{words:?} in {found:?}");
    }
}
