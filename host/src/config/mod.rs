//! Flags and environment that both programs have, and how they are checked.
//!
//! Everything comes as text and is checked in one place, so that an operator hears of all problems at once and not
//! of one at each start.

mod access;
mod limits;
mod nats;
mod problems;

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Command, Parser, builder::Resettable};
use replog_shared::{Durability, LogName, limits::HEARTBEAT_INTERVAL};

pub use access::AccessArgs;
pub use limits::LimitArgs;
pub use nats::NatsArgs;
pub use problems::{ConfigError, Problems};

use crate::{bus::NatsOptions, edge::EdgeOptions, spans::Collector, storage::StorageOptions};

/// Heartbeat intervals that make sense, in milliseconds.
const HEARTBEAT_INTERVALS_MS: std::ops::RangeInclusive<u64> = 10..=60_000;

/// What both kinds of node are told; flatten it into a program's own flags.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    #[command(flatten)]
    nats: NatsArgs,
    /// Which log; many logs can share one NATS
    #[arg(long, env = "REPLOG_LOG", value_name = "NAME", default_value = "main")]
    log: String,
    /// Directory of the log; `--durability memory` needs none
    #[arg(long, env = "REPLOG_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What holding an entry means: disk, os or memory
    #[arg(long, env = "REPLOG_DURABILITY", value_name = "LEVEL", default_value = "disk")]
    durability: String,
    /// Milliseconds between two heartbeats, and two acks when idle: the same on all nodes
    #[arg(long, env = "REPLOG_HEARTBEAT_INTERVAL_MS", value_name = "N", allow_negative_numbers = true,
        default_value_t = HEARTBEAT_INTERVAL.as_millis().to_string())]
    heartbeat_interval_ms: String,
    /// Allow POST /clean, on the master; a secondary follows it
    #[arg(long, env = "REPLOG_ALLOW_CLEAN", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true")]
    allow_clean: String,
    /// Allow faults, on a secondary: by its flags and by PUT /faults
    #[arg(long, env = "REPLOG_ALLOW_FAULTS", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true")]
    allow_faults: String,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// OpenTelemetry collector that takes OTLP over HTTP, such as http://localhost:4318: it is told of appends whose traceparent is sampled
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Log lines as text or json
    #[arg(long, env = "REPLOG_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: String,
}

/// What both kinds of node were told, checked.
#[derive(Clone, Debug)]
pub struct Common {
    /// How NATS is reached.
    pub nats: NatsOptions,
    /// Which log.
    pub log: LogName,
    /// Where the log is kept, and what holding an entry means there.
    pub storage: StorageOptions,
    /// Between two heartbeats, and two acks when idle.
    pub heartbeat_interval: Duration,
    /// Allow `POST /clean`.
    pub allow_clean: bool,
    /// Allow faults.
    pub allow_faults: bool,
    /// How HTTP is served, and to whom.
    pub edge: EdgeOptions,
    /// Where spans go; none: nowhere.
    pub collector: Option<Collector>,
    /// Log lines as JSON.
    pub log_json: bool,
}

impl CommonArgs {
    /// Checks all of it, for the node of this name. None if something is wrong: `problems` tells.
    pub fn check(&self, node: &str, problems: &mut Problems) -> Option<Common> {
        let nats = self.nats.check(format!("replog {} {node}", self.log), problems);
        let log = problems.check("log", self.log.parse());
        let storage = self.storage(problems);
        let interval =
            problems.number("heartbeat-interval-ms", &self.heartbeat_interval_ms, HEARTBEAT_INTERVALS_MS);
        let allow_clean = problems.switch("allow-clean", &self.allow_clean);
        let allow_faults = problems.switch("allow-faults", &self.allow_faults);
        let (gate, tls) = (self.access.gate(problems), self.access.tls(problems));
        let limits = self.limits.check(problems);
        let collector = self.collector(problems);
        let log_json = problems.check("log-format", log_json(&self.log_format));
        Some(Common {
            nats,
            log: log?,
            storage: storage?,
            heartbeat_interval: Duration::from_millis(interval?),
            allow_clean: allow_clean?,
            allow_faults: allow_faults?,
            edge: EdgeOptions { limits: limits?, gate: gate?, tls: tls? },
            collector: collector?,
            log_json: log_json?,
        })
    }

    /// None is a problem that was noted; none inside means no spans.
    fn collector(&self, problems: &mut Problems) -> Option<Option<Collector>> {
        let Some(url) = &self.otlp_endpoint else { return Some(None) };
        problems.check("otlp-endpoint", url.parse()).map(Some)
    }

    fn storage(&self, problems: &mut Problems) -> Option<StorageOptions> {
        let durability = problems.check("durability", self.durability.parse())?;
        let data_dir = self.data_dir.clone();
        if durability != Durability::Memory && data_dir.is_none() {
            let detail = format!(
                "is missing: durability {durability} needs a directory of this node's own; --durability memory needs none, and loses this node's copy at a restart"
            );
            problems.add("data-dir", detail);
        }
        Some(StorageOptions { durability, data_dir })
    }
}

fn log_json(format: &str) -> Result<bool, String> {
    match format {
        "text" => Ok(false),
        "json" => Ok(true),
        other => Err(format!("must be text or json, not {other:?}")),
    }
}

/// Checks a HOST:PORT to listen on. The host may be a name.
pub fn check_listen(listen: String, problems: &mut Problems) -> String {
    let parts = listen.rsplit_once(':');
    let fine = parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !fine {
        problems.add("listen", format!("{listen:?} is not HOST:PORT, such as 0.0.0.0:5000"));
    }
    listen
}

/// Reads flags and environment as the program `A` describes them. An empty variable counts as not given: compose
/// files and unit files write `REPLOG_ALLOW_CLEAN=` for that.
pub fn parse<A: Parser>() -> A {
    let command = without_empty_variables(A::command(), |name| std::env::var_os(name));
    A::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn without_empty_variables(
    command: Command,
    variable: impl Fn(&OsStr) -> Option<OsString> + Copy,
) -> Command {
    let command = command.mut_args(|arg| {
        let value = arg.get_env().and_then(variable);
        if value.is_some_and(|value| value.is_empty()) { arg.env(Resettable::Reset) } else { arg }
    });
    command.mut_subcommands(|command| without_empty_variables(command, variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        common: CommonArgs,
    }

    /// The problems with these flags, beside that of the durability.
    fn problems(flags: &[&str]) -> Vec<String> {
        let flags = ["program", "--durability", "memory"].iter().chain(flags);
        let mut problems = Problems::default();
        let common = Program::parse_from(flags).common.check("n1", &mut problems);
        let found = problems.into_error().map_or_else(Vec::new, |error| error.0);
        assert_eq!(common.is_none(), !found.is_empty());
        found
    }

    #[test]
    fn the_defaults_are_fine() {
        assert_eq!(problems(&[]), Vec::<String>::new());
    }

    #[test]
    fn numbers_and_switches_are_told_with_everything_else() {
        let found = problems(&[
            "--log",
            "a.b",
            "--heartbeat-interval-ms",
            "-1",
            "--allow-clean=maybe",
            "--allow-faults=2",
            "--max-connections",
            "many",
            "--header-timeout-ms",
            "1.5",
            "--max-body-bytes",
            "0",
            "--otlp-endpoint",
            "localhost:4317",
            "--log-format",
            "xml",
        ]);
        let flags = found.iter().map(|problem| problem.split(':').next().unwrap()).collect::<Vec<_>>();
        let expected = [
            "--log",
            "--heartbeat-interval-ms",
            "--allow-clean",
            "--allow-faults",
            "--header-timeout-ms",
            "--max-body-bytes",
            "--max-connections",
            "--otlp-endpoint",
            "--log-format",
        ];
        assert_eq!(flags, expected, "{found:#?}");
    }

    #[test]
    fn a_switch_is_on_without_a_value_too() {
        let allowed = |flags: &[&str]| {
            let args = Program::parse_from(["program", "--durability", "memory"].iter().chain(flags));
            args.common.check("n1", &mut Problems::default()).unwrap().allow_clean
        };
        assert!(
            allowed(&["--allow-clean"]) && allowed(&["--allow-clean=true"]) && allowed(&["--allow-clean=1"])
        );
        assert!(!allowed(&[]) && !allowed(&["--allow-clean=false"]) && !allowed(&["--allow-clean=0"]));
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        use clap::CommandFactory as _;
        let given = |name: &OsStr| (name == "REPLOG_ALLOW_CLEAN").then(OsString::new);
        let command = without_empty_variables(Program::command(), given);
        let variable = |id: &str| command.get_arguments().find(|arg| arg.get_id() == id).unwrap().get_env();
        assert_eq!(variable("allow_clean"), None);
        assert!(variable("allow_faults").is_some());
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (listen, fine) in
            [("0.0.0.0:5000", true), ("localhost:0", true), ("[::1]:1", true), ("5000", false), (":1", false)]
        {
            let mut problems = Problems::default();
            check_listen(listen.to_owned(), &mut problems);
            assert_eq!(problems.into_error().is_none(), fine, "{listen}");
        }
    }
}
