//! What nodes tell of themselves, against what is documented, deployed and true.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    collections::BTreeSet,
    fs,
    io::{Seek as _, Write as _},
    net::SocketAddr,
    path::Path,
    process::Command,
    time::Duration,
};

use replog_host::{bus::InProcessHub, storage::StorageOptions};
use replog_shared::{Durability, NodeName};
use replog_tests::{
    harness::{SOON, eventually},
    metrics::Metrics,
};
use serde_json::{Value, json};

const FREE_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// A master of three nodes, of which one secondary runs and the other is never there.
struct Cluster {
    master: replog_master::Running,
    secondary: replog_secondary::Running,
    client: reqwest::Client,
}

impl Cluster {
    /// Both run, and the secondary follows.
    async fn following() -> Cluster {
        let hub = InProcessHub::new();
        let cluster = Cluster {
            master: master(&hub).await,
            secondary: secondary(&hub).await,
            client: reqwest::Client::new(),
        };
        let streams = async || {
            (cluster.secondary().await.value(r#"replog_state{state="streaming"}"#)? == 1.0).then_some(())
        };
        eventually("the secondary streams", SOON, streams).await;
        cluster
    }

    async fn append(&self, body: Value) -> u16 {
        let url = format!("http://{}/messages", self.master.addr);
        self.client.post(url).json(&body).send().await.unwrap().status().as_u16()
    }

    async fn master(&self) -> Metrics {
        self.metrics(self.master.addr).await
    }

    async fn secondary(&self) -> Metrics {
        self.metrics(self.secondary.addr).await
    }

    async fn metrics(&self, addr: SocketAddr) -> Metrics {
        let answer = self.client.get(format!("http://{addr}/metrics")).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        Metrics::read(&answer.text().await.unwrap()).unwrap()
    }
}

async fn master(hub: &InProcessHub) -> replog_master::Running {
    let names = ["s1", "s2"].map(|name| name.parse().unwrap()).to_vec();
    let name: NodeName = "master".parse().unwrap();
    let mut config =
        replog_master::Config::in_process(FREE_PORT.into(), "main".parse().unwrap(), names, name);
    config.recovery_wait = Duration::from_millis(1);
    let translator = replog_master::app::translator(&config);
    let bus = hub.connect(translator.subscriptions(), translator.inbox());
    replog_master::start(config, bus).await.unwrap()
}

async fn secondary(hub: &InProcessHub) -> replog_secondary::Running {
    let (log, name) = ("main".parse().unwrap(), "s1".parse().unwrap());
    let config = replog_secondary::Config::in_process(FREE_PORT.into(), log, name);
    let translator = replog_secondary::app::translator(&config);
    let bus = hub.connect(translator.subscriptions(), translator.inbox());
    replog_secondary::start(config, bus).await.unwrap()
}

/// A file of this repository.
fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words in a text that look like metrics.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"_:".contains(letter));
    words.filter(|word| word.starts_with("replog_")).map(str::to_owned).collect()
}

/// What the table of OPERATIONS.md says that this kind of node tells.
fn documented(node: &str) -> BTreeSet<String> {
    let text = file("docs/OPERATIONS.md");
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `replog_")?.split(" | ").nth(1).map(|of| (line, of)));
    rows.filter(|(_, of)| [node, "both"].contains(of))
        .flat_map(|(line, _)| names(line.split(" | ").next().unwrap()))
        .collect()
}

#[tokio::test]
async fn what_is_documented_is_told_and_the_other_way_round() {
    let cluster = Cluster::following().await;
    for (node, metrics) in [("master", cluster.master().await), ("secondary", cluster.secondary().await)] {
        let told: BTreeSet<String> = metrics.kinds.into_keys().collect();
        assert_eq!(told, documented(node), "of a {node}");
    }
}

/// Names in a file, without the endings of a histogram's series.
fn asked_for(path: &str, histograms: &BTreeSet<String>) -> BTreeSet<String> {
    let family = |name: String| {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        of_histogram.filter(|family| histograms.contains(*family)).map_or(name.clone(), str::to_owned)
    };
    names(&file(path)).into_iter().map(family).collect()
}

/// The names that recording rules give to what they compute.
fn recorded(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"_:".contains(letter));
    words.filter(|word| word.starts_with("replog:")).collect()
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_what_there_is() {
    let cluster = Cluster::following().await;
    let mut kinds = cluster.master().await.kinds;
    kinds.extend(cluster.secondary().await.kinds);
    let is_histogram = |(name, kind): (&String, &String)| (kind == "histogram").then(|| name.clone());
    let histograms: BTreeSet<String> = kinds.iter().filter_map(is_histogram).collect();
    let rules = file("deploy/prometheus/recording.yml");
    let given: BTreeSet<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
    for path in [
        "deploy/prometheus/recording.yml",
        "deploy/prometheus/alerts.yml",
        "deploy/prometheus/alerts.test.yml",
        "deploy/grafana/replog.json",
    ] {
        // The names of the groups of rules look like metrics, too.
        let asked = asked_for(path, &histograms).into_iter();
        let asked = asked.filter(|name| !["replog_recording", "replog_alerts"].contains(&name.as_str()));
        let unknown: Vec<String> = asked.filter(|name| !kinds.contains_key(name)).collect();
        assert!(unknown.is_empty(), "{path} asks for {unknown:?}, which no node tells");
        let text = file(path);
        let unknown: Vec<&str> = recorded(&text).difference(&given).copied().collect();
        assert!(unknown.is_empty(), "{path} asks for {unknown:?}, which no rule records");
    }
    serde_json::from_str::<Value>(&file("deploy/grafana/replog.json")).expect("a dashboard is JSON");
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_about_what_is_told() {
    let Some(promtool) = std::env::var_os("PROMTOOL_BIN") else {
        println!("SKIPPED: PROMTOOL_BIN names no promtool to check the metrics with");
        return;
    };
    let cluster = Cluster::following().await;
    cluster.append(json!({"message": 1, "w": 2})).await;
    for addr in [cluster.master.addr, cluster.secondary.addr] {
        let answer = cluster.client.get(format!("http://{addr}/metrics")).send().await.unwrap();
        let mut text = tempfile::tempfile().unwrap();
        text.write_all(answer.text().await.unwrap().as_bytes()).unwrap();
        text.rewind().unwrap();
        let check = Command::new(&promtool).args(["check", "metrics"]).stdin(text).output().unwrap();
        let said = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success() && said.is_empty(), "{said}");
    }
}

#[tokio::test]
async fn appends_are_counted_as_they_ended() {
    let cluster = Cluster::following().await;
    for message in 0..3 {
        assert_eq!(cluster.append(json!({"message": message, "w": 1, "id": message.to_string()})).await, 200);
    }
    assert_eq!(cluster.append(json!({"message": 2, "w": 2, "id": "2"})).await, 200);
    assert_eq!(cluster.append(json!({"message": 3, "w": 3, "timeout_ms": 1})).await, 504);
    assert_eq!(cluster.append(json!({"message": 4, "w": 1, "id": "2"})).await, 409);
    let metrics = cluster.master().await;
    for (series, value) in [
        (r#"replog_appends_total{outcome="met",w="1"}"#, 3.0),
        (r#"replog_appends_total{outcome="met",w="2"}"#, 1.0),
        (r#"replog_appends_total{outcome="unconfirmed",w="3"}"#, 1.0),
        (r#"replog_appends_total{outcome="refused",w="1"}"#, 1.0),
        (r#"replog_appends_refused_total{reason="conflict"}"#, 1.0),
        ("replog_append_duplicates_total", 1.0),
        ("replog_entries_appended_total", 4.0),
        // Neither a duplicate nor a conflict takes a place in the log.
        ("replog_append_local_seconds_count", 4.0),
        ("replog_append_durable_seconds_count", 4.0),
        (r#"replog_append_met_seconds_count{w="1"}"#, 3.0),
        (r#"replog_append_met_seconds_count{w="2"}"#, 1.0),
        (r#"replog_append_met_seconds_bucket{w="1",le="+Inf"}"#, 3.0),
        ("replog_pending_writes", 0.0),
        ("replog_log_entries", 4.0),
        ("replog_leading", 1.0),
    ] {
        assert_eq!(metrics.value(series), Some(value), "{series}");
    }
    assert_eq!(metrics.value(r#"replog_appends_total{outcome="met",w="3"}"#), Some(0.0));
}

#[tokio::test]
async fn buckets_of_a_histogram_add_up() {
    let cluster = Cluster::following().await;
    cluster.append(json!({"message": 1, "w": 2})).await;
    let metrics = cluster.master().await;
    let buckets =
        metrics.values.iter().filter(|(series, _)| series.starts_with("replog_append_met_seconds_bucket"));
    let counts: Vec<f64> =
        buckets.filter(|(series, _)| series.contains(r#"w="2""#)).map(|(_, count)| *count).collect();
    assert!(
        counts.len() > 10 && counts.contains(&1.0) && counts.iter().all(|count| *count <= 1.0),
        "{counts:?}"
    );
    let sum = metrics.value(r#"replog_append_met_seconds_sum{w="2"}"#).unwrap();
    assert!(sum > 0.0 && sum < SOON.as_secs_f64(), "{sum}");
}

#[tokio::test]
async fn a_secondary_that_is_away_lags_and_one_that_follows_does_not() {
    let cluster = Cluster::following().await;
    for message in 0..3 {
        assert_eq!(cluster.append(json!({"message": message, "w": 2})).await, 200);
    }
    let grown = async || {
        let metrics = cluster.master().await;
        let seconds = metrics.value(r#"replog_secondary_lag_seconds{secondary="s2"}"#)?;
        (seconds > 0.1).then_some(metrics)
    };
    let metrics = eventually("the lag has grown", SOON, grown).await;
    for (series, value) in [
        (r#"replog_secondary_lag_entries{secondary="s1"}"#, 0.0),
        (r#"replog_secondary_lag_bytes{secondary="s1"}"#, 0.0),
        (r#"replog_secondary_lag_seconds{secondary="s1"}"#, 0.0),
        (r#"replog_secondary_acked_entries{secondary="s1"}"#, 3.0),
        (r#"replog_secondary_status{secondary="s1",status="healthy"}"#, 1.0),
        (r#"replog_secondary_stage{secondary="s1",stage="streaming"}"#, 1.0),
        (r#"replog_secondary_lag_entries{secondary="s2"}"#, 3.0),
        (r#"replog_secondary_status{secondary="s2",status="unhealthy"}"#, 1.0),
        (r#"replog_secondary_stage{secondary="s2",stage="absent"}"#, 1.0),
        ("replog_healthy_nodes", 2.0),
        ("replog_nodes", 3.0),
    ] {
        assert_eq!(metrics.value(series), Some(value), "{series}");
    }
    let lines = 3.0
        * r#"{"order":0,"epoch":"1.0","at":1764412800123,"id":"01a20831-7215-7215-7215-017215721572","message":0}"#.len() as f64;
    let bytes = metrics.value(r#"replog_secondary_lag_bytes{secondary="s2"}"#).unwrap();
    assert!((lines..2.0 * lines).contains(&bytes), "{bytes} bytes for about {lines}");
    let pushed = metrics.value("replog_push_entries_sum").unwrap();
    assert!(pushed >= 1.0, "{pushed}");
    let followed = cluster.secondary().await;
    assert_eq!(followed.value("replog_entries_appended_total"), Some(3.0));
    assert_eq!(followed.value("replog_lag_entries"), Some(0.0));
    assert_eq!(followed.value("replog_nats_connections_total"), Some(1.0));
}

#[tokio::test]
async fn on_disk_syncs_are_timed_and_groups_counted() {
    let (hub, dir) = (InProcessHub::new(), tempfile::tempdir().unwrap());
    let (log, name) = ("main".parse().unwrap(), "alone".parse().unwrap());
    let mut config = replog_master::Config::in_process(FREE_PORT.into(), log, Vec::new(), name);
    config.storage = StorageOptions { durability: Durability::Disk, data_dir: Some(dir.path().to_owned()) };
    let translator = replog_master::app::translator(&config);
    let bus = hub.connect(translator.subscriptions(), translator.inbox());
    let running = replog_master::start(config, bus).await.unwrap();
    let url = |path: &str| format!("http://{}{path}", running.addr);
    let client = reqwest::Client::new();
    for message in 0..3 {
        let answer = client.post(url("/messages")).json(&json!({"message": message})).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let text = client.get(url("/metrics")).send().await.unwrap().text().await.unwrap();
    let metrics = Metrics::read(&text).unwrap();
    let value = |series| metrics.value(series).unwrap();
    assert_eq!((value("replog_group_entries_sum"), value("replog_append_durable_seconds_count")), (3.0, 3.0));
    assert!(value("replog_sync_seconds_count") >= 3.0 && value("replog_sync_seconds_sum") > 0.0, "{text}");
    assert!(value("replog_log_bytes") > 150.0, "{text}");
    assert_eq!(value(r#"replog_buffer_bytes{buffer="store"}"#), 0.0);
    running.stop().await.unwrap();
}
