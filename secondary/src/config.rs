//! What an operator may set, checked as a whole.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use replog_host::bus::NatsOptions;
use replog_shared::{Durability, LogName, NodeName, limits::HEARTBEAT_INTERVAL};

use crate::core::Faults;

/// The longest delay that can be injected, in milliseconds: an hour.
pub const MAX_FAULT_DELAY_MS: u64 = 3_600_000;

/// Heartbeat intervals that make sense, in milliseconds.
const HEARTBEAT_INTERVALS_MS: std::ops::RangeInclusive<u64> = 10..=60_000;

/// A secondary of a replog log: follows the log's master over NATS and serves its replica over HTTP.
#[derive(Debug, Parser)]
#[command(name = "replog-secondary", version)]
pub struct Args {
    /// HTTP address, HOST:PORT.
    #[arg(long, env = "REPLOG_LISTEN", default_value = "0.0.0.0:5001", value_name = "HOST:PORT")]
    listen: String,
    /// NATS servers of one cluster, comma-separated.
    #[arg(long, env = "NATS_URL", default_value = "nats://127.0.0.1:4222", value_name = "URL[,URL]")]
    nats_url: String,
    /// A .creds file for NATS.
    #[arg(long, env = "NATS_CREDS", value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// A file with the seed of an nkey for NATS.
    #[arg(long, env = "NATS_NKEY", value_name = "FILE")]
    nats_nkey: Option<PathBuf>,
    /// A NATS user; needs --nats-password-file.
    #[arg(long, env = "NATS_USER", value_name = "USER")]
    nats_user: Option<String>,
    /// A file with the password of --nats-user.
    #[arg(long, env = "NATS_PASSWORD_FILE", value_name = "FILE")]
    nats_password_file: Option<PathBuf>,
    /// PEM certificates to trust instead of the system's; requires TLS.
    #[arg(long, env = "NATS_CA", value_name = "FILE")]
    nats_ca: Option<PathBuf>,
    /// This client's PEM certificate; needs --nats-key.
    #[arg(long, env = "NATS_CERT", value_name = "FILE")]
    nats_cert: Option<PathBuf>,
    /// The PEM key of --nats-cert.
    #[arg(long, env = "NATS_KEY", value_name = "FILE")]
    nats_key: Option<PathBuf>,
    /// Which log.
    #[arg(long, env = "REPLOG_LOG", default_value = "main", value_name = "NAME")]
    log: String,
    /// This node's name, one of the master's --secondaries.
    #[arg(long, env = "REPLOG_NAME", value_name = "NAME")]
    name: Option<String>,
    /// Where the log lives; not used with --durability memory.
    #[arg(long, env = "REPLOG_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What an ack means: disk, os or memory.
    #[arg(long, env = "REPLOG_DURABILITY", default_value = "disk", value_name = "LEVEL")]
    durability: String,
    /// Between two acks when idle, in milliseconds; the same as the master's.
    #[arg(long, env = "REPLOG_HEARTBEAT_INTERVAL_MS", value_name = "N",
        default_value_t = HEARTBEAT_INTERVAL.as_millis() as u64)]
    heartbeat_interval_ms: u64,
    /// Let faults be injected, here and by PUT /faults.
    #[arg(long, env = "REPLOG_ALLOW_FAULTS")]
    allow_faults: bool,
    /// Store entries this much later, in milliseconds.
    #[arg(long, env = "REPLOG_FAULT_DELAY_MS", default_value_t = 0, value_name = "N")]
    fault_delay_ms: u64,
    /// The share of envelopes, 0 to 1, that are stored and answered with an error.
    #[arg(long, env = "REPLOG_FAULT_ERROR_RATE", default_value_t = 0.0, value_name = "R")]
    fault_error_rate: f64,
    /// The share of envelopes, 0 to 1, that are dropped.
    #[arg(long, env = "REPLOG_FAULT_DROP_RATE", default_value_t = 0.0, value_name = "R")]
    fault_drop_rate: f64,
    /// Log lines as text or json
    #[arg(long, env = "REPLOG_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: String,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} problem(s):\n  - {}", .0.len(), .0.join("\n  - "))]
pub struct ConfigError(pub Vec<String>);

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
    /// What an ack means.
    pub durability: Durability,
    /// Between two acks when idle.
    pub heartbeat_interval: Duration,
    /// Whether faults may be changed over HTTP.
    pub allow_faults: bool,
    /// Faults from the start.
    pub faults: Faults,
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
            durability: Durability::Memory,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            allow_faults: false,
            faults: Faults::default(),
            log_json: false,
        }
    }
}

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Config, ConfigError> {
        let mut problems = Vec::new();
        let listen = check_listen(args.listen.clone(), &mut problems);
        let log = checked("--log", args.log.parse(), &mut problems);
        let name = args.name(&mut problems);
        let durability = args.durability(&mut problems);
        let heartbeat_interval = args.heartbeat_interval(&mut problems);
        let faults = args.faults(&mut problems);
        let nats = args.nats(&mut problems);
        let log_json = args.log_json(&mut problems);
        match (log, name, durability) {
            (Some(log), Some(name), Some(durability)) if problems.is_empty() => {
                let allow_faults = args.allow_faults;
                Ok(Config {
                    listen,
                    nats,
                    log,
                    name,
                    durability,
                    heartbeat_interval,
                    allow_faults,
                    faults,
                    log_json,
                })
            }
            _ => Err(ConfigError(problems)),
        }
    }
}

impl Args {
    fn name(&self, problems: &mut Vec<String>) -> Option<NodeName> {
        let Some(name) = &self.name else {
            problems
                .push("--name is missing: give this node's name, one of the master's --secondaries".into());
            return None;
        };
        checked("--name", name.parse(), problems)
    }

    fn log_json(&self, problems: &mut Vec<String>) -> bool {
        if !matches!(self.log_format.as_str(), "text" | "json") {
            problems.push(format!("--log-format must be text or json, not `{}`", self.log_format));
        }
        self.log_format == "json"
    }

    fn durability(&self, problems: &mut Vec<String>) -> Option<Durability> {
        let level = checked("--durability", self.durability.parse(), problems)?;
        if level != Durability::Memory {
            problems.push(format!("--durability {level} is not there yet: use --durability memory"));
        }
        Some(level)
    }

    fn heartbeat_interval(&self, problems: &mut Vec<String>) -> Duration {
        if !HEARTBEAT_INTERVALS_MS.contains(&self.heartbeat_interval_ms) {
            let (least, most) = (HEARTBEAT_INTERVALS_MS.start(), HEARTBEAT_INTERVALS_MS.end());
            problems.push(format!("--heartbeat-interval-ms must be from {least} to {most}"));
        }
        Duration::from_millis(self.heartbeat_interval_ms)
    }

    fn faults(&self, problems: &mut Vec<String>) -> Faults {
        let faults = Faults {
            delay: Duration::from_millis(self.fault_delay_ms),
            error_rate: self.fault_error_rate,
            drop_rate: self.fault_drop_rate,
        };
        for (flag, rate) in
            [("--fault-error-rate", faults.error_rate), ("--fault-drop-rate", faults.drop_rate)]
        {
            if !(0.0..=1.0).contains(&rate) {
                problems.push(format!("{flag} must be from 0 to 1, not {rate}"));
            }
        }
        if self.fault_delay_ms > MAX_FAULT_DELAY_MS {
            problems.push(format!("--fault-delay-ms must be at most {MAX_FAULT_DELAY_MS}"));
        }
        if faults != Faults::default() && !self.allow_faults {
            problems.push("faults need --allow-faults".into());
        }
        faults
    }

    fn nats(&self, problems: &mut Vec<String>) -> NatsOptions {
        let urls = self.nats_url.split(',').map(|url| url.trim().to_owned()).collect();
        let name = self.name.as_deref().unwrap_or_default();
        let options = NatsOptions {
            urls,
            name: format!("replog {} {name}", self.log),
            credentials_file: self.nats_creds.clone(),
            nkey_file: self.nats_nkey.clone(),
            user: self.nats_user.clone(),
            password_file: self.nats_password_file.clone(),
            tls_ca_file: self.nats_ca.clone(),
            tls_cert_file: self.nats_cert.clone(),
            tls_key_file: self.nats_key.clone(),
        };
        problems.extend(options.problems());
        options
    }
}

/// The value, or a problem that names the flag.
fn checked<T, E: std::fmt::Display>(
    flag: &str,
    value: Result<T, E>,
    problems: &mut Vec<String>,
) -> Option<T> {
    value.map_err(|error| problems.push(format!("{flag}: {error}"))).ok()
}

/// A host, possibly a name, and a port.
fn check_listen(listen: String, problems: &mut Vec<String>) -> String {
    let parts = listen.rsplit_once(':');
    let fine = parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !fine {
        problems.push(format!("--listen must be HOST:PORT, not `{listen}`"));
    }
    listen
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
        assert_eq!((config.log.as_str(), config.durability), ("main", Durability::Memory));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems =
            check(&["--listen", "5001", "--log", "a.b", "--fault-drop-rate", "2", "--nats-url", ""]);
        let problems = problems.unwrap_err().0;
        for word in
            ["--listen", "--log", "--name", "--durability memory", "--fault-drop-rate", "--allow-faults"]
        {
            assert!(problems.iter().any(|problem| problem.contains(word)), "{word} in {problems:?}");
        }
        assert!(problems.len() >= 7, "{problems:?}");
    }
}
