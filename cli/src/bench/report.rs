//! What a run gave, for people and for programs.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Goal, Settings, tally::Tally};
use crate::format::{grouped, latency};

/// The result of a run. Its JSON form is stable: scripts compare runs by it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    settings: Settings,
    /// How long was measured.
    seconds: f64,
    /// Requests answered with 200.
    requests: u64,
    /// Messages in them.
    messages: u64,
    /// Messages answered with 200 within the measured time, divided by it.
    messages_per_second: f64,
    latency_us: Latencies,
    /// Measured requests not answered with 200, by status or by what happened to the connection.
    errors: BTreeMap<String, u64>,
    /// Share of one processor that the load itself took; `null` if the system does not tell.
    client_cpu_share: Option<f64>,
    /// The same per request, in microseconds.
    client_cpu_us_per_request: Option<f64>,
    /// Bytes that all who follow the log have got, from the beginning of the warm-up on.
    tail_bytes: u64,
}

/// Latencies of the requests answered with 200, in microseconds.
#[derive(Debug, Serialize)]
struct Latencies {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Report {
    /// Sums up a run that is over `now` and took `cpu` of processor time here.
    pub(crate) fn new(settings: &Settings, tally: &Tally, now: Instant, cpu: Option<Duration>) -> Self {
        let seconds = tally.measured(now).as_secs_f64();
        let batch = u64::from(settings.batch);
        let per = |amount: f64, by: f64| if by > 0.0 { amount / by } else { 0.0 };
        let cpu = cpu.map(|cpu| cpu.as_secs_f64());
        Self {
            settings: settings.clone(),
            seconds,
            requests: tally.answered(),
            messages: tally.answered() * batch,
            messages_per_second: per((tally.answered_in_window() * batch) as f64, seconds),
            latency_us: Latencies::of(tally),
            errors: tally.errors_by_kind().clone(),
            client_cpu_share: cpu.map(|cpu| per(cpu, seconds)),
            client_cpu_us_per_request: cpu.map(|cpu| per(cpu * 1e6, tally.answered() as f64)),
            tail_bytes: 0,
        }
    }

    /// Adds what those who follow the log have got.
    pub(crate) fn with_tail_bytes(self, tail_bytes: u64) -> Self {
        Self { tail_bytes, ..self }
    }

    /// Measured requests that were not answered with 200.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    fn title(&self) -> String {
        let Settings { target, clients, in_flight, size, w, batch, tails } = &self.settings;
        let followed = if *tails > 0 { format!(", {tails} tails") } else { String::new() };
        let concern = match (target, w) {
            (Goal::Echo, _) => "echo".to_owned(),
            (Goal::Append, None) => "append, w all".to_owned(),
            (Goal::Append, Some(w)) => format!("append, w {w}"),
        };
        format!(
            "{concern}, {clients} clients x {in_flight} in flight, {batch} x {size} bytes a request{followed}"
        )
    }

    fn latencies(&self) -> String {
        let Latencies { p50, p90, p99, p99_9, max, .. } = self.latency_us;
        let shown = [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p99_9), ("max", max)]
            .map(|(name, micros)| format!("{name} {}", latency(Duration::from_secs_f64(micros / 1e6))));
        shown.join("   ")
    }

    fn errors(&self) -> String {
        if self.errors.is_empty() {
            return "none".to_owned();
        }
        let shown: Vec<_> =
            self.errors.iter().map(|(kind, count)| format!("{kind}: {}", grouped(*count))).collect();
        shown.join("   ")
    }
}

impl Latencies {
    fn of(tally: &Tally) -> Self {
        let latencies = tally.latencies();
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let at = |quantile: f64| micros(latencies.value_at_quantile(quantile));
        Self {
            mean: latencies.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: micros(latencies.max()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title())?;
        writeln!(f, "  messages/s  {}", grouped(self.messages_per_second.round() as u64))?;
        writeln!(f, "  messages    {} in {:.2} s", grouped(self.messages), self.seconds)?;
        writeln!(f, "  latency     {}", self.latencies())?;
        write!(f, "  errors      {}", self.errors())?;
        if let (Some(share), Some(micros)) = (self.client_cpu_share, self.client_cpu_us_per_request) {
            let percent = share * 100.0;
            write!(f, "\n  client cpu  {percent:.0} % of one processor, {micros:.1} µs a request")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tally::Window;

    fn report() -> Report {
        let from = Instant::now();
        let second = Duration::from_secs(1);
        let window = Window { from, until: Some(from + 2 * second), count: None };
        let mut tally = Tally::new(window).unwrap();
        for latency in [second / 1_000, second / 1_000, second] {
            assert!(tally.begin(from));
            tally.end(from, from + latency, &Ok(200));
        }
        assert!(tally.begin(from));
        tally.end(from, from + 2 * second, &Ok(503));
        let settings = Settings {
            target: Goal::Append,
            clients: 2,
            in_flight: 1,
            size: 100,
            w: Some(3),
            batch: 1_000,
            tails: 0,
        };
        Report::new(&settings, &tally, from + 2 * second, Some(second / 2))
    }

    #[test]
    fn people_see_rates_latencies_and_errors() {
        let expected = "\
append, w 3, 2 clients x 1 in flight, 1000 x 100 bytes a request
  messages/s  1,500
  messages    3,000 in 2.00 s
  latency     p50 1.00 ms   p90 1.00 s   p99 1.00 s   p99.9 1.00 s   max 1.00 s
  errors      503: 1
  client cpu  25 % of one processor, 166666.7 µs a request";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn programs_see_the_same_with_units_in_the_names() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["target"], "append");
        assert_eq!(json["w"], 3);
        assert_eq!(json["messages_per_second"], 1_500.0);
        assert_eq!(json["errors"]["503"], 1);
        assert_eq!(json["latency_us"]["p50"].as_f64().unwrap().round(), 1_000.0);
    }

    #[test]
    fn nothing_measured_is_nothing_and_not_nan() {
        let from = Instant::now();
        let tally = Tally::new(Window { from, until: None, count: Some(1) }).unwrap();
        let report = Report::new(&report().settings, &tally, from, Some(Duration::ZERO));
        assert_eq!((report.messages_per_second, report.client_cpu_us_per_request), (0.0, Some(0.0)));
    }
}
