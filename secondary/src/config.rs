//! What an operator may set, checked as a whole.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use replog_host::bus::NatsOptions;
use replog_shared::{Durability, LogName, NodeName, limits::HEARTBEAT_INTERVAL, subjects::Subjects};

use crate::{bus, core::Faults};

/// The longest delay that can be injected, in milliseconds: an hour.
pub const MAX_FAULT_DELAY_MS: u64 = 3_600_000;

/// Heartbeat intervals that make sense, in milliseconds.
const HEARTBEAT_INTERVALS_MS: std::ops::RangeInclusive<u64> = 10..=60_000;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A secondary of a replog log: follows the log's master over NATS and serves its replica over HTTP.
#[derive(Debug, Parser)]
#[command(name = "replog-secondary", version)]
pub struct Args {
    /// HTTP address, HOST:PORT.
    #[arg(long, env = "REPLOG_LISTEN", default_value = "0.0.0.0:5001", value_name = "HOST:PORT")]
    pub listen: String,
    /// NATS servers of one cluster, comma-separated.
    #[arg(long, env = "NATS_URL", default_value = "nats://127.0.0.1:4222", value_name = "URL[,URL]")]
    pub nats_url: String,
    /// A .creds file for NATS.
    #[arg(long, env = "NATS_CREDS", value_name = "FILE")]
    pub nats_creds: Option<PathBuf>,
    /// A file with the seed of an nkey for NATS.
    #[arg(long, env = "NATS_NKEY", value_name = "FILE")]
    pub nats_nkey: Option<PathBuf>,
    /// A NATS user; needs --nats-password-file.
    #[arg(long, env = "NATS_USER", value_name = "USER")]
    pub nats_user: Option<String>,
    /// A file with the password of --nats-user.
    #[arg(long, env = "NATS_PASSWORD_FILE", value_name = "FILE")]
    pub nats_password_file: Option<PathBuf>,
    /// PEM certificates to trust instead of the system's; requires TLS.
    #[arg(long, env = "NATS_CA", value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// This client's PEM certificate; needs --nats-key.
    #[arg(long, env = "NATS_CERT", value_name = "FILE")]
    pub nats_cert: Option<PathBuf>,
    /// The PEM key of --nats-cert.
    #[arg(long, env = "NATS_KEY", value_name = "FILE")]
    pub nats_key: Option<PathBuf>,
    /// Which log.
    #[arg(long, env = "REPLOG_LOG", default_value = "main", value_name = "NAME")]
    pub log: String,
    /// This node's name, one of the master's --secondaries.
    #[arg(long, env = "REPLOG_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Where the log lives; not used with --durability memory.
    #[arg(long, env = "REPLOG_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// What an ack means: disk, os or memory.
    #[arg(long, env = "REPLOG_DURABILITY", default_value = "disk", value_name = "LEVEL")]
    pub durability: String,
    /// Between two acks when idle, in milliseconds; the same as the master's.
    #[arg(long, env = "REPLOG_HEARTBEAT_INTERVAL_MS", value_name = "N",
        default_value_t = HEARTBEAT_INTERVAL.as_millis() as u64)]
    pub heartbeat_interval_ms: u64,
    /// Let faults be injected, here and by PUT /faults.
    #[arg(long, env = "REPLOG_ALLOW_FAULTS")]
    pub allow_faults: bool,
    /// Store entries this much later, in milliseconds.
    #[arg(long, env = "REPLOG_FAULT_DELAY_MS", default_value_t = 0, value_name = "N")]
    pub fault_delay_ms: u64,
    /// The share of envelopes, 0 to 1, that are stored and answered with an error.
    #[arg(long, env = "REPLOG_FAULT_ERROR_RATE", default_value_t = 0.0, value_name = "R")]
    pub fault_error_rate: f64,
    /// The share of envelopes, 0 to 1, that are dropped.
    #[arg(long, env = "REPLOG_FAULT_DROP_RATE", default_value_t = 0.0, value_name = "R")]
    pub fault_drop_rate: f64,
    /// How log lines look.
    #[arg(long, env = "REPLOG_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// All that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration cannot be used:\n  - {}", problems.join("\n  - "))]
pub struct ConfigError {
    /// One sentence each; never empty.
    pub problems: Vec<String>,
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
    /// What an ack means.
    pub durability: Durability,
    /// Between two acks when idle.
    pub heartbeat_interval: Duration,
    /// Whether faults may be changed over HTTP.
    pub allow_faults: bool,
    /// Faults from the start.
    pub faults: Faults,
}

impl Config {
    /// A node in memory on any free port of this machine, without faults: for a bus within the process.
    pub fn in_memory(log: LogName, name: NodeName) -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)).to_string(),
            nats: NatsOptions::new(["nats://127.0.0.1:4222"], name.as_str()),
            log,
            name,
            durability: Durability::Memory,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            allow_faults: false,
            faults: Faults::default(),
        }
    }

    /// The subjects that its bus must listen on, besides everything below [`Config::inbox`].
    pub fn subscriptions(&self) -> Vec<String> {
        bus::subscriptions(&self.log, &self.name)
    }

    /// The subject below which answers to this node arrive.
    pub fn inbox(&self) -> String {
        Subjects::new(self.log.clone()).inbox(&self.name)
    }
}

impl Args {
    /// Checks everything.
    ///
    /// # Errors
    /// All problems at once.
    pub fn check(self) -> Result<Config, ConfigError> {
        let mut problems = Vec::new();
        let listen = check_listen(self.listen.clone(), &mut problems);
        let log = checked("--log", self.log.parse(), &mut problems);
        let name = match &self.name {
            Some(name) => checked("--name", name.parse::<NodeName>(), &mut problems),
            None => {
                problems.push("--name is missing: give this node's name, as in the master's --secondaries".into());
                None
            }
        };
        let durability = self.durability(&mut problems);
        let heartbeat_interval = self.heartbeat_interval(&mut problems);
        let faults = self.faults(&mut problems);
        let nats = self.nats(&mut problems);
        match (log, name, durability) {
            (Some(log), Some(name), Some(durability)) if problems.is_empty() => {
                let allow_faults = self.allow_faults;
                Ok(Config { listen, nats, log, name, durability, heartbeat_interval, allow_faults, faults })
            }
            _ => Err(ConfigError { problems }),
        }
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
        for (flag, rate) in [("--fault-error-rate", faults.error_rate), ("--fault-drop-rate", faults.drop_rate)] {
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
            name: format!("replog-secondary {name}"),
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
fn checked<T, E: std::fmt::Display>(flag: &str, value: Result<T, E>, problems: &mut Vec<String>) -> Option<T> {
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
        Args::parse_from(["replog-secondary"].iter().chain(args)).check()
    }

    #[test]
    fn the_least_that_works() {
        let config = check(&["--name", "s1", "--durability", "memory"]).unwrap();
        assert_eq!(config.name.as_str(), "s1");
        assert_eq!(config.inbox(), "replog.main.inbox.s1");
        assert!(config.subscriptions().contains(&"replog.main.entries.s1".to_owned()));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems = check(&["--listen", "5001", "--log", "a.b", "--fault-drop-rate", "2", "--nats-url", ""]);
        let problems = problems.unwrap_err().problems;
        for word in ["--listen", "--log", "--name", "--durability memory", "--fault-drop-rate", "--allow-faults"] {
            assert!(problems.iter().any(|problem| problem.contains(word)), "{word} in {problems:?}");
        }
        assert!(problems.len() >= 7, "{problems:?}");
    }
}
