//! What the operator says, checked: all problems at once, before anything is opened.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use replog_host::{
    bus::NatsOptions,
    config::{CommonArgs, ConfigError, Problems, check_listen},
    edge::EdgeOptions,
    spans::Collector,
    storage::StorageOptions,
};
use replog_shared::{
    LogName, NodeName,
    limits::{HEARTBEAT_INTERVAL, MAX_SECONDARIES, RECOVERY_WAIT},
};

use replog_core::master::StartTerms;

/// How long a start may wait for silent nodes, in milliseconds. Appends are held as long, so no longer than a
/// client waits.
const RECOVERY_WAITS_MS: std::ops::RangeInclusive<u64> = 0..=600_000;

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
    /// This node's name
    #[arg(long, env = "REPLOG_NAME", value_name = "NAME", default_value = "master")]
    name: String,
    /// The configured secondaries, comma-separated: with the master they are the n nodes that w counts
    #[arg(long, env = "REPLOG_SECONDARIES", value_name = "A,B", default_value = "")]
    secondaries: String,
    /// Refuse appends unless a majority of the n nodes is healthy
    #[arg(long, env = "REPLOG_READ_ONLY_WITHOUT_MAJORITY", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_value = "false", default_missing_value = "true")]
    read_only_without_majority: String,
    /// Where clients reach this master; secondaries tell it to those who append there
    #[arg(long, env = "REPLOG_ADVERTISE_URL", value_name = "URL")]
    advertise_url: Option<String>,
    /// Milliseconds for which a starting master waits for the others before it decides without them
    #[arg(long, env = "REPLOG_RECOVERY_WAIT_MS", value_name = "N", allow_negative_numbers = true,
        default_value_t = RECOVERY_WAIT.as_millis().to_string())]
    recovery_wait_ms: String,
    /// Take appends over NATS (replog.LOG.append), where NATS alone decides who may: on, unless --tokens-file is given
    #[arg(long, env = "REPLOG_NATS_APPEND", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    nats_append: Option<String>,
    #[command(flatten)]
    start: StartArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// How this start may come to lead, in the operator's hands.
#[derive(clap::Args, Clone, Debug)]
struct StartArgs {
    /// Promote this node, whoever reigned before; --secondaries then lists the other nodes, the old master
    /// included
    #[arg(long)]
    promote: bool,
    /// With --promote: only tell what the promotion would do, and change nothing
    #[arg(long, requires = "promote")]
    dry_run: bool,
    /// Whole nodes that a promotion must reach, this one included: all if not given; 0 where no node is whole any more
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    reach: Option<String>,
    /// This node's log is an old copy: it must promote itself and does not count as whole
    #[arg(long)]
    recover: bool,
}

impl StartArgs {
    fn check(&self, nodes: usize, problems: &mut Problems) -> Option<StartTerms> {
        let reach = self.reach.as_ref().map(|reach| problems.number("reach", reach, 0..=nodes as u64));
        let reach = match reach {
            None => None,
            Some(reach) => Some(reach? as usize),
        };
        Some(StartTerms { promote: self.promote, dry_run: self.dry_run, reach, recover: self.recover })
    }
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
    /// Where the log is kept, and what holding an entry means there.
    pub storage: StorageOptions,
    /// What the operator asked of this start.
    pub start: StartTerms,
    /// Allow `POST /clean`.
    pub allow_clean: bool,
    /// Allow faults: a master has none, and says so.
    pub allow_faults: bool,
    /// Where clients reach this master; none: not told.
    pub advertise_url: Option<String>,
    /// Take appends over NATS, reached by `nats`.
    pub nats_append: bool,
    /// Between two heartbeats.
    pub heartbeat_interval: Duration,
    /// How long a start waits for silent nodes.
    pub recovery_wait: Duration,
    /// How HTTP is served, and to whom.
    pub edge: EdgeOptions,
    /// Where spans go; none: nowhere.
    pub collector: Option<Collector>,
    /// Log lines as JSON.
    pub log_json: bool,
}

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
            storage: StorageOptions::MEMORY,
            start: StartTerms::default(),
            allow_clean: false,
            allow_faults: false,
            advertise_url: None,
            nats_append: false,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            recovery_wait: RECOVERY_WAIT,
            edge: EdgeOptions::default(),
            collector: None,
            log_json: false,
        }
    }
}

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Config, ConfigError> {
        let mut problems = Problems::default();
        let config = args.check(&mut problems);
        problems.finish(config)
    }
}

impl Args {
    fn check(self, problems: &mut Problems) -> Option<Config> {
        let common = self.common.check(&self.name, problems);
        let listen = check_listen(self.listen, problems);
        let name = problems.check("name", self.name.parse::<NodeName>());
        let (secondaries, wrong) = parse_secondaries(&self.secondaries, name.as_ref());
        wrong.iter().for_each(|wrong| problems.add("secondaries", wrong));
        let nodes = secondaries.len() + 1;
        let read_only = problems.switch("read-only-without-majority", &self.read_only_without_majority);
        let url = self.advertise_url.map(|url| problems.http_url("advertise-url", &url));
        let recovery_wait = problems.number("recovery-wait-ms", &self.recovery_wait_ms, RECOVERY_WAITS_MS);
        let start = self.start.check(nodes, problems);
        let nats_append = self.nats_append.map(|value| problems.switch("nats-append", &value));
        let common = common?;
        // Who asks for tokens does not expect another door that asks for none.
        let nats_append = nats_append.unwrap_or(Some(common.edge.gate.tokens().is_none()));
        Some(Config {
            listen,
            nats: common.nats,
            log: common.log,
            name: name?,
            secondaries,
            read_only_without_majority: read_only?,
            storage: common.storage,
            start: start?,
            allow_clean: common.allow_clean,
            allow_faults: common.allow_faults,
            advertise_url: url.flatten(),
            nats_append: nats_append?,
            heartbeat_interval: common.heartbeat_interval,
            recovery_wait: Duration::from_millis(recovery_wait?),
            edge: common.edge,
            collector: common.collector,
            log_json: common.log_json,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str]) -> Result<Config, ConfigError> {
        Args::parse_from(["replog-master", "--durability", "memory"].iter().chain(args)).try_into()
    }

    #[test]
    fn the_least_that_works() {
        let config = check(&["--secondaries", "a, b"]).unwrap();
        assert_eq!(
            (config.name.as_str(), config.log.as_str(), config.secondaries.len()),
            ("master", "main", 2)
        );
        assert_eq!(
            (config.recovery_wait, config.edge.limits),
            (RECOVERY_WAIT, EdgeOptions::default().limits)
        );
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems = check(&[
            "--listen",
            "5000",
            "--name",
            "a.b",
            "--secondaries",
            "x,x,y.z",
            "--read-only-without-majority=maybe",
            "--advertise-url",
            "master:5000",
            "--nats-append=perhaps",
            "--recovery-wait-ms",
            "600001",
            "--nats-url",
            "http://nats",
            "--heartbeat-interval-ms",
            "soon",
        ]);
        let problems = problems.unwrap_err().0;
        for (flag, count) in [
            ("--listen", 1),
            ("--name", 1),
            ("--secondaries", 2),
            ("--read-only-without-majority", 1),
            ("--advertise-url", 1),
            ("--nats-append", 1),
            ("--recovery-wait-ms", 1),
            ("--nats-url", 1),
            ("--heartbeat-interval-ms", 1),
        ] {
            let of_flag = problems.iter().filter(|problem| problem.starts_with(&format!("{flag}:")));
            assert_eq!(of_flag.count(), count, "{flag} in {problems:#?}");
        }
        assert_eq!(problems.len(), 10, "{problems:#?}");
    }

    #[test]
    fn tokens_close_the_other_door_unless_it_is_asked_for() {
        let tokens = std::env::temp_dir().join(format!("replog-tokens-{}", std::process::id()));
        std::fs::write(&tokens, format!("ci append sha256:{}\n", "0".repeat(64))).unwrap();
        let with_tokens = ["--tokens-file", &tokens.to_string_lossy()];
        let check = |args: &[&str], more: &[&str]| check(&[args, more].concat()).unwrap().nats_append;
        assert!(check(&[], &[]) && check(&[], &["--nats-append"]) && !check(&[], &["--nats-append=false"]));
        assert!(!check(&with_tokens, &[]) && check(&with_tokens, &["--nats-append=true"]));
        std::fs::remove_file(tokens).unwrap();
    }

    #[test]
    fn a_promotion_may_have_to_reach_no_whole_node_where_none_is_left() {
        let reach = |reach| check(&["--promote", "--reach", reach]).map(|config| config.start.reach);
        assert_eq!((reach("0").unwrap(), reach("1").unwrap()), (Some(0), Some(1)));
        assert!(reach("2").unwrap_err().to_string().contains("--reach"), "there is one node");
    }

    #[test]
    fn a_master_takes_the_switches_of_all_nodes() {
        let config = check(&["--allow-faults", "--allow-clean", "--advertise-url", "https://m"]).unwrap();
        assert!(config.allow_faults && config.allow_clean);
        assert_eq!(config.advertise_url.as_deref(), Some("https://m"));
    }
}
