//! What an operator may set, checked as a whole.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use replog_host::{
    bus::NatsOptions,
    config::{CommonArgs, ConfigError, Problems, check_listen},
    edge::EdgeOptions,
    spans::Collector,
    storage::StorageOptions,
};
use replog_shared::{LogName, NodeName, limits::HEARTBEAT_INTERVAL};

use replog_core::secondary::Faults;

/// The longest delay that can be injected, in milliseconds: an hour.
pub const MAX_FAULT_DELAY_MS: u64 = 3_600_000;

/// A secondary of a replog log: follows the log's master over NATS and serves its replica over HTTP.
#[derive(Debug, Parser)]
#[command(name = "replog-secondary", version)]
pub struct Args {
    /// HTTP address to listen on
    #[arg(long, env = "REPLOG_LISTEN", default_value = "0.0.0.0:5001", value_name = "HOST:PORT")]
    listen: String,
    /// This node's name, one of the master's --secondaries
    #[arg(long, env = "REPLOG_NAME", value_name = "NAME")]
    name: Option<String>,
    /// Store entries this much later, in milliseconds
    #[arg(
        long,
        env = "REPLOG_FAULT_DELAY_MS",
        default_value = "0",
        value_name = "N",
        allow_negative_numbers = true
    )]
    fault_delay_ms: String,
    /// The share of envelopes, 0 to 1, that are stored and answered with an error
    #[arg(
        long,
        env = "REPLOG_FAULT_ERROR_RATE",
        default_value = "0",
        value_name = "R",
        allow_negative_numbers = true
    )]
    fault_error_rate: String,
    /// The share of envelopes, 0 to 1, that are dropped
    #[arg(
        long,
        env = "REPLOG_FAULT_DROP_RATE",
        default_value = "0",
        value_name = "R",
        allow_negative_numbers = true
    )]
    fault_drop_rate: String,
    #[command(flatten)]
    common: CommonArgs,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// HTTP address, HOST:PORT; port 0 takes any that is free.
    pub listen: String,
    /// How NATS is reached; not used by [`start`](crate::start), which is given its bus.
    pub nats: NatsOptions,
    /// Which log.
    pub log: LogName,
    /// This node's name.
    pub name: NodeName,
    /// Where the log is kept, and what an ack means.
    pub storage: StorageOptions,
    /// Between two acks when idle.
    pub heartbeat_interval: Duration,
    /// Whether faults may be changed over HTTP.
    pub allow_faults: bool,
    /// Faults from the start.
    pub faults: Faults,
    /// How HTTP is served, and to whom.
    pub edge: EdgeOptions,
    /// Where spans go; none: nowhere.
    pub collector: Option<Collector>,
    /// Log lines as JSON.
    pub log_json: bool,
}

impl Config {
    /// A configuration with every default, for a node that lives in this process.
    pub fn in_process(listen: SocketAddr, log: LogName, name: NodeName) -> Config {
        Config {
            listen: listen.to_string(),
            nats: NatsOptions::default(),
            log,
            name,
            storage: StorageOptions::MEMORY,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            allow_faults: false,
            faults: Faults::default(),
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
        let common = self.common.check(self.name.as_deref().unwrap_or_default(), problems);
        let name = self.name(problems);
        let faults = self.faults(common.as_ref().is_none_or(|common| common.allow_faults), problems);
        let listen = check_listen(self.listen, problems);
        let common = common?;
        Some(Config {
            listen,
            nats: common.nats,
            log: common.log,
            name: name?,
            storage: common.storage,
            heartbeat_interval: common.heartbeat_interval,
            allow_faults: common.allow_faults,
            faults: faults?,
            edge: common.edge,
            collector: common.collector,
            log_json: common.log_json,
        })
    }

    fn name(&self, problems: &mut Problems) -> Option<NodeName> {
        let missing = "is missing: give this node's name, one of the master's --secondaries";
        let name = self.name.as_ref().ok_or_else(|| missing.to_owned());
        problems
            .check("name", name.and_then(|name| name.parse::<NodeName>().map_err(|error| error.to_string())))
    }

    fn faults(&self, allowed: bool, problems: &mut Problems) -> Option<Faults> {
        let delay = problems.number("fault-delay-ms", &self.fault_delay_ms, 0..=MAX_FAULT_DELAY_MS);
        let error_rate = problems.share("fault-error-rate", &self.fault_error_rate);
        let drop_rate = problems.share("fault-drop-rate", &self.fault_drop_rate);
        let delay = Duration::from_millis(delay?);
        let faults = Faults { delay, error_rate: error_rate?, drop_rate: drop_rate? };
        if faults != Faults::default() && !allowed {
            problems.add("allow-faults", "is needed for the faults that are given");
        }
        Some(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str]) -> Result<Config, ConfigError> {
        Args::parse_from(["replog-secondary"].iter().chain(args)).try_into()
    }

    #[test]
    fn the_least_that_works() {
        let config = check(&["--name", "s1", "--durability", "memory"]).unwrap();
        assert_eq!(config.name.as_str(), "s1");
        assert_eq!((config.log.as_str(), config.storage), ("main", StorageOptions::MEMORY));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems =
            check(&["--listen", "5001", "--log", "a.b", "--fault-drop-rate", "2", "--nats-url", ""]);
        let problems = problems.unwrap_err().0;
        for word in
            ["--listen:", "--log:", "--name:", "--durability memory", "--fault-drop-rate:", "--nats-url:"]
        {
            assert!(problems.iter().any(|problem| problem.contains(word)), "{word} in {problems:?}");
        }
        assert_eq!(problems.len(), 6, "{problems:?}");
    }

    #[test]
    fn faults_are_numbers_and_have_to_be_allowed() {
        let least = ["--name", "s1", "--durability", "memory"];
        let problems = |faults: &[&str]| check(&[&least, faults].concat()).unwrap_err().0;
        let wrong =
            problems(&["--fault-delay-ms", "-1", "--fault-error-rate", "x", "--fault-drop-rate", "1.1"]);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(problems(&["--fault-delay-ms", "5"])[0].starts_with("--allow-faults:"));
        let fine =
            check(&[&least[..], &["--fault-delay-ms", "5", "--allow-faults", "--allow-clean"]].concat());
        assert_eq!(fine.unwrap().faults.delay, Duration::from_millis(5));
    }
}
