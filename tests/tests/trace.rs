//! One append is followed through the logs of the nodes by its trace. Alone in its program: what is logged at all is
//! decided once for all threads.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use replog_host::bus::InProcessHub;
use replog_shared::NodeName;
use replog_tests::harness::{SOON, eventually};
use serde_json::{Value, json};

const FREE_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What is logged on this thread while it is held, as JSON.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let logged = self.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).json();
        tracing::subscriber::set_default(subscriber.with_writer(move || logged.clone()).finish())
    }

    /// The fields of the lines that say `message`.
    fn saying(&self, message: &str) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].clone());
        lines.filter(|fields| fields["message"] == message).collect()
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

async fn nodes() -> (replog_master::Running, replog_secondary::Running) {
    let hub = InProcessHub::new();
    let log: replog_shared::LogName = "main".parse().unwrap();
    let [name, secondary]: [NodeName; 2] = ["master", "s1"].map(|name| name.parse().unwrap());
    let mut config =
        replog_master::Config::in_process(FREE_PORT.into(), log.clone(), vec![secondary.clone()], name);
    config.recovery_wait = Duration::from_millis(1);
    let translator = replog_master::app::translator(&config);
    let bus = hub.connect(translator.subscriptions(), translator.inbox());
    let master = replog_master::start(config, bus).await.unwrap();
    let config = replog_secondary::Config::in_process(FREE_PORT.into(), log, secondary);
    let translator = replog_secondary::app::translator(&config);
    let bus = hub.connect(translator.subscriptions(), translator.inbox());
    (master, replog_secondary::start(config, bus).await.unwrap())
}

#[tokio::test]
async fn an_append_is_found_by_its_trace_in_the_logs_of_both_nodes() {
    let logged = Logged::default();
    let _listening = logged.listen();
    let (master, secondary) = nodes().await;
    let (client, url) = (reqwest::Client::new(), format!("http://{}/messages", master.addr));
    let append = async |message: &str, traceparent: &str| {
        let body = json!({"message": message, "w": 2});
        let sent = client.post(&url).header("traceparent", traceparent).json(&body).send().await.unwrap();
        assert_eq!(sent.status(), 200, "{traceparent}");
    };
    append("traced", &format!("00-{TRACE}-00f067aa0ba902b7-01")).await;
    append("not traced", &format!("00-{TRACE}-0-01")).await;

    let arrived = async || (!logged.saying("appended entries of a traced append").is_empty()).then_some(());
    eventually("the secondary has it", SOON, arrived).await;
    for message in [
        "appended",
        "answered an append",
        "sends entries of a traced append",
        "entries of a traced append came",
        "appended entries of a traced append",
    ] {
        let said = logged.saying(message);
        let traced: Vec<&Value> = said.iter().filter(|fields| fields["trace_id"] == TRACE).collect();
        assert_eq!(traced.len(), 1, "{message}: {said:?}");
        assert_eq!(traced[0]["entry.order"], "0", "{message}");
    }
    let entries = client.get(format!("http://{}/full_messages", secondary.addr)).send().await.unwrap();
    assert!(!entries.text().await.unwrap().contains(TRACE), "the log knows nothing of traces");
}
