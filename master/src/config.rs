//! What the operator says, checked: all problems at once, before anything is opened.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use replog_host::bus::NatsOptions;
use replog_shared::{
    Durability, LogName, NodeName,
    limits::{HEARTBEAT_INTERVAL, MAX_SECONDARIES, RECOVERY_WAIT},
};

/// Flags and environment of `replog-master`.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "replog-master",
    version,
    about = "The master of a replicated log: takes appends over HTTP, orders and replicates them over NATS"
)]
pub struct Args {
    /// HTTP address to listen on
    #[arg(long, env = "REPLOG_LISTEN", value_name = "HOST:PORT", default_value = "0.0.0.0:5000")]
    listen: String,
    /// NATS servers, comma-separated
    #[arg(long, env = "NATS_URL", value_name = "URL[,URL]", default_value = "nats://127.0.0.1:4222")]
    nats_url: String,
    /// File with NATS credentials (.creds)
    #[arg(long, env = "NATS_CREDS", value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// Which log
    #[arg(long, env = "REPLOG_LOG", value_name = "NAME", default_value = "main")]
    log: String,
    /// This node's name
    #[arg(long, env = "REPLOG_NAME", value_name = "NAME", default_value = "master")]
    name: String,
    /// The configured secondaries, comma-separated: with the master they are the n nodes that w counts
    #[arg(long, env = "REPLOG_SECONDARIES", value_name = "A,B", default_value = "")]
    secondaries: String,
    /// Directory of the log; `--durability memory` needs none
    #[arg(long, env = "REPLOG_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What holding an entry means: disk, os or memory
    #[arg(long, env = "REPLOG_DURABILITY", value_name = "LEVEL", default_value = "disk")]
    durability: String,
    /// Refuse appends unless a majority of the n nodes is healthy
    #[arg(long, env = "REPLOG_READ_ONLY_WITHOUT_MAJORITY")]
    read_only_without_majority: bool,
    /// Allow POST /clean
    #[arg(long, env = "REPLOG_ALLOW_CLEAN")]
    allow_clean: bool,
    /// Where clients reach this master; secondaries tell it to those who append there
    #[arg(long, env = "REPLOG_ADVERTISE_URL", value_name = "URL")]
    advertise_url: Option<String>,
    /// Milliseconds between two heartbeats
    #[arg(long, env = "REPLOG_HEARTBEAT_INTERVAL_MS", value_name = "N", default_value_t = HEARTBEAT_INTERVAL.as_millis() as u64)]
    heartbeat_interval_ms: u64,
    /// Milliseconds for which a starting master waits for the others before it decides without them
    #[arg(long, env = "REPLOG_RECOVERY_WAIT_MS", value_name = "N", default_value_t = RECOVERY_WAIT.as_millis() as u64)]
    recovery_wait_ms: u64,
    /// Log lines as text or json
    #[arg(long, env = "REPLOG_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: String,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where HTTP listens; port 0 takes any free one.
    pub listen: String,
    /// How NATS is reached.
    pub nats: NatsOptions,
    /// Which log.
    pub log: LogName,
    /// This node's name.
    pub name: NodeName,
    /// The configured secondaries.
    pub secondaries: Vec<NodeName>,
    /// Refuse appends unless a majority of the n nodes is healthy.
    pub read_only_without_majority: bool,
    /// Allow `POST /clean`.
    pub allow_clean: bool,
    /// Where clients reach this master; none: not told.
    pub advertise_url: Option<String>,
    /// Between two heartbeats.
    pub heartbeat_interval: Duration,
    /// How long a start waits for silent nodes.
    pub recovery_wait: Duration,
    /// Log lines as JSON.
    pub log_json: bool,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the configuration has {} problem(s):\n{}", .0.len(), .0.iter().map(|problem| format!("  - {problem}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// A configuration with every default, for a node that lives in this process.
    pub fn in_process(
        listen: SocketAddr,
        log: LogName,
        secondaries: Vec<NodeName>,
        name: NodeName,
    ) -> Config {
        Config {
            listen: listen.to_string(),
            nats: NatsOptions::default(),
            log,
            name,
            secondaries,
            read_only_without_majority: false,
            allow_clean: false,
            advertise_url: None,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            recovery_wait: RECOVERY_WAIT,
            log_json: false,
        }
    }
}

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Config, ConfigError> {
        let mut problems = Vec::new();
        let mut check = |flag: &str, wrong: Option<String>| {
            problems.extend(wrong.map(|wrong| format!("--{flag}: {wrong}")));
        };
        let log = args.log.parse::<LogName>();
        check("log", log.as_ref().err().map(ToString::to_string));
        let name = args.name.parse::<NodeName>();
        check("name", name.as_ref().err().map(ToString::to_string));
        let (secondaries, wrong) = parse_secondaries(&args.secondaries, name.as_ref().ok());
        wrong.into_iter().for_each(|wrong| check("secondaries", Some(wrong)));
        check("durability", durability_problem(&args.durability));
        check("listen", listen_problem(&args.listen));
        check(
            "heartbeat-interval-ms",
            (!(10..=60_000).contains(&args.heartbeat_interval_ms)).then(|| "must be 10 to 60000".into()),
        );
        check(
            "log-format",
            (!matches!(args.log_format.as_str(), "text" | "json")).then(|| "must be text or json".into()),
        );
        let nats = NatsOptions {
            urls: args.nats_url.split(',').map(str::to_owned).collect(),
            name: format!("replog {} {}", args.log, args.name),
            credentials_file: args.nats_creds,
            ..NatsOptions::default()
        };
        nats.problems().into_iter().for_each(|wrong| check("nats-url", Some(wrong)));
        match (log, name) {
            (Ok(log), Ok(name)) if problems.is_empty() => Ok(Config {
                listen: args.listen,
                nats,
                log,
                name,
                secondaries,
                read_only_without_majority: args.read_only_without_majority,
                allow_clean: args.allow_clean,
                advertise_url: args.advertise_url,
                heartbeat_interval: Duration::from_millis(args.heartbeat_interval_ms),
                recovery_wait: Duration::from_millis(args.recovery_wait_ms),
                log_json: args.log_format == "json",
            }),
            _ => Err(ConfigError(problems)),
        }
    }
}

fn parse_secondaries(text: &str, own: Option<&NodeName>) -> (Vec<NodeName>, Vec<String>) {
    let (mut names, mut problems) = (Vec::new(), Vec::new());
    for part in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
        match part.parse::<NodeName>() {
            Err(error) => problems.push(error.to_string()),
            Ok(name) if names.contains(&name) => problems.push(format!("{name} is named twice")),
            Ok(name) if Some(&name) == own => problems.push(format!("{name} is this master's own name")),
            Ok(name) => names.push(name),
        }
    }
    if names.len() > MAX_SECONDARIES {
        problems.push(format!("{} secondaries; at most {MAX_SECONDARIES} are possible", names.len()));
    }
    (names, problems)
}

fn durability_problem(text: &str) -> Option<String> {
    match text.parse::<Durability>() {
        Err(error) => Some(error.to_string()),
        Ok(Durability::Memory) => None,
        Ok(level) => Some(format!(
            "{level} does not exist yet; use --durability memory (a restart then loses this node's copy)"
        )),
    }
}

fn listen_problem(text: &str) -> Option<String> {
    let port = text
        .rsplit_once(':')
        .and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok())?);
    port.is_none().then(|| format!("{text:?} is not HOST:PORT, such as 0.0.0.0:5000"))
}
