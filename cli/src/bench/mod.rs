//! `replog bench`: how many messages a second, and how long each takes.
//!
//! A closed loop: every client sends a request, waits for its answer, sends the next. The load generator
//! shares the machine with what it measures, so it is as lean as it can be: one thread, one request written
//! from bytes prepared once, nothing looked at in an answer but its status and its length.

mod connection;
mod cpu;
mod load;
mod payload;
mod progress;
mod report;
mod tails;
mod tally;

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{Target, failure::Failure, output};
use load::Load;
use payload::Payload;

/// Connections at one time: what a node accepts.
const MAX_CONNECTIONS: u32 = 10_000;

/// Bytes of a request's body: what a node accepts.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// How long a run is measured unless --seconds or --count says otherwise.
const DEFAULT_SECONDS: f64 = 10.0;

/// Measure appends: messages a second and the latency of each request.
///
/// Every client keeps one request in flight: it sends the next when the last is answered. Prints a summary
/// on standard output; exits with 1 if any request was not answered with 200. Ctrl-c ends the run early and
/// reports what was measured until then.
///
/// To know what HTTP itself costs on this machine, run "replog-echo serve" and measure it with --target echo.
#[derive(Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    node: Target,
    #[command(flatten)]
    settings: Settings,
    /// How long to measure; 10 unless --count is given.
    #[arg(long, value_parser = seconds)]
    seconds: Option<Duration>,
    /// Stop after this many requests.
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// How long to run before measuring begins.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warmup_seconds: Duration,
    /// Print the result as one JSON document.
    #[arg(long)]
    json: bool,
}

/// What a load consists of; a report repeats it.
#[derive(Args, Clone, Debug, Serialize)]
pub(crate) struct Settings {
    /// What is asked: to append to a log, or the echo of "replog-echo".
    #[arg(long, value_enum, default_value_t = Goal::Append)]
    pub(crate) target: Goal,
    /// Clients that send at the same time.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) clients: u32,
    /// Requests that each client keeps in flight, every one on a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) in_flight: u32,
    /// Bytes of each message, a string.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub(crate) size: usize,
    /// How many nodes must hold a message before it is answered, master included; all unless given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) w: Option<u16>,
    /// Messages in one request; more than one go to /messages/batch.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: u32,
    /// Clients that follow the log meanwhile (GET /tail).
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) tails: u32,
}

impl Settings {
    /// Connections in all.
    pub(crate) fn connections(&self) -> u32 {
        self.clients.saturating_mul(self.in_flight)
    }
}

/// What the load is aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// The appends of a master.
    Append,
    /// The echo of replog-echo.
    Echo,
}

impl Bench {
    /// Runs the load and prints the report.
    ///
    /// # Errors
    /// The load cannot be what was asked for, the node cannot be reached at the start, or some requests
    /// were not answered with 200.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let report = load::run(self.load()?).await?;
        if self.json {
            output::data_line(serde_json::to_string(&report).map_err(std::io::Error::from)?)?;
        } else {
            output::data_line(&report)?;
        }
        match report.error_count() {
            0 => Ok(()),
            errors => Err(Failure::Bad(format!("{errors} requests were not answered with 200"))),
        }
    }

    fn load(&self) -> Result<Load, Failure> {
        let connections = self.settings.connections();
        if connections > MAX_CONNECTIONS {
            let text = format!("--clients times --in-flight is {connections}, at most {MAX_CONNECTIONS}");
            return Err(Failure::Usage(text));
        }
        let reach = self.node.reach.check()?;
        Ok(Load {
            settings: self.settings.clone(),
            url: self.node.url.clone(),
            payload: self.payload()?.shown_by(&reach),
            reach,
            warmup: self.warmup_seconds,
            measured: self.measured(),
            count: self.count,
        })
    }

    fn payload(&self) -> Result<Payload, Failure> {
        let url = &self.node.url;
        let &Settings { target, size, w, batch, .. } = &self.settings;
        let payload = match (target, batch) {
            (Goal::Echo, 1) if w.is_none() => Payload::echo(url, size),
            (Goal::Echo, _) => return Err(Failure::Usage("an echo has no --w and no --batch".to_owned())),
            (Goal::Append, 1) => Payload::append(url, size, w),
            (Goal::Append, batch) => Payload::batch(url, size, w, batch),
        };
        match payload.body_bytes() {
            ..=MAX_BODY_BYTES => Ok(payload),
            bytes => Err(Failure::Usage(format!("a request has {bytes} bytes, at most {MAX_BODY_BYTES}"))),
        }
    }

    /// `None`: until the count is reached.
    fn measured(&self) -> Option<Duration> {
        match (self.seconds, self.count) {
            (None, None) => Some(Duration::from_secs_f64(DEFAULT_SECONDS)),
            (seconds, _) => seconds,
        }
    }
}

/// Reads a number of seconds, at most a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "a number of seconds expected".to_owned())?;
    if (0.0..=86_400.0).contains(&number) {
        Ok(Duration::from_secs_f64(number))
    } else {
        Err("0 to 86400 seconds expected".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: Bench,
    }

    fn load(arguments: &[&str]) -> Result<Load, Failure> {
        Line::try_parse_from([&["bench"], arguments].concat()).unwrap().bench.load()
    }

    #[test]
    fn a_run_lasts_ten_seconds_unless_said_otherwise() {
        let times = |arguments: &[&str]| load(arguments).map(|load| (load.measured, load.count)).unwrap();
        assert_eq!(times(&[]), (Some(Duration::from_secs(10)), None));
        assert_eq!(times(&["--count", "5"]), (None, Some(5)));
        assert_eq!(times(&["--count", "5", "--seconds", "0.5"]), (Some(Duration::from_millis(500)), Some(5)));
    }

    #[test]
    fn a_load_that_no_node_accepts_is_refused() {
        for bad in [
            &["--clients", "200", "--in-flight", "51"][..],
            &["--size", "8388608"],
            &["--batch", "10000", "--size", "1000"],
            &["--target", "echo", "--w", "1"],
            &["--target", "echo", "--batch", "2"],
        ] {
            assert!(matches!(load(bad), Err(Failure::Usage(_))), "{bad:?}");
        }
    }

    #[test]
    fn seconds_are_finite_and_not_negative() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1_500)));
        for bad in ["-1", "NaN", "inf", "1e9", "ten"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
