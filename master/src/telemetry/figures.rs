//! A master as `/metrics` shows it.

use std::fmt;

use replog_host::metrics::{Exposition, NodeFigures, NodeLabels};
use replog_shared::{Code, Histogram, Moment, Order};

use super::{Telemetry, appends::AppendFigures};
use crate::node::{HealthReport, SecondaryReport};
use replog_core::master::events::NotLeading;

/// The state of a master that leads; any other state is the code of why it does not.
const LEADING: &str = "leading";

const STATUSES: [&str; 3] = ["healthy", "suspected", "unhealthy"];

const STAGES: [&str; 6] = ["absent", "syncing", "streaming", "probing", "foreign", "diverged"];

fn states() -> impl Iterator<Item = &'static str> {
    std::iter::once(LEADING).chain(NotLeading::CODES.map(Code::word))
}

/// A master at one moment.
#[derive(Clone, Debug)]
pub struct MasterFigures {
    node: NodeFigures,
    health: HealthReport,
    appends: AppendFigures,
    push_entries: Histogram,
    secondaries: Vec<SecondaryFigures>,
}

/// A secondary as the master sees it.
#[derive(Clone, Debug)]
struct SecondaryFigures {
    report: SecondaryReport,
    lag_entries: u64,
    lag_bytes: u64,
    lag_seconds: f64,
}

impl Telemetry {
    /// Entries appended since the start.
    pub(crate) const fn entries(&self) -> u64 {
        self.appends.entries
    }

    /// All of it, beside what the node tells.
    pub(crate) fn figures(&mut self, now: Moment, node: NodeFigures, health: HealthReport) -> MasterFigures {
        let held_by_all = health.secondaries.iter().map(|secondary| secondary.acked_through).min();
        self.timeline.forget(held_by_all.unwrap_or(node.length));
        let of = |report: &SecondaryReport| self.secondary(now, node.length, report);
        MasterFigures {
            secondaries: health.secondaries.iter().map(of).collect(),
            node,
            health,
            appends: self.appends.clone(),
            push_entries: self.push_entries.clone(),
        }
    }

    fn secondary(&self, now: Moment, length: Order, report: &SecondaryReport) -> SecondaryFigures {
        let lag = self.timeline.lag(now, report.acked_through);
        SecondaryFigures {
            report: report.clone(),
            lag_entries: length.since(report.acked_through),
            lag_bytes: lag.bytes,
            lag_seconds: lag.time.as_secs_f64(),
        }
    }
}

impl MasterFigures {
    /// Tells each of them.
    ///
    /// # Errors
    /// Only those of `out`.
    pub fn expose(&self, labels: &NodeLabels, out: &mut Exposition<'_>) -> fmt::Result {
        self.node.expose(labels, out)?;
        self.expose_state(out)?;
        self.expose_appends(out)?;
        self.expose_times(out)?;
        self.expose_secondaries(out)?;
        self.expose_stages(out)
    }

    fn expose_state(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let health = &self.health;
        let state = health.not_leading.as_ref().map_or(LEADING, |why| why.code().word());
        out.switch("replog_leading", "Whether this node leads", health.not_leading.is_none())?;
        out.states("replog_state", "What the node is about", states(), state)?;
        out.gauge("replog_nodes", "Configured nodes", self.secondaries.len() as u64 + 1)?;
        out.gauge("replog_healthy_nodes", "Nodes that are healthy and hold this log", health.healthy_nodes)?;
        out.switch(
            "replog_rival",
            "Whether another master of this log's name is heard",
            health.rival.is_some(),
        )
    }

    fn expose_appends(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let used = self.appends.by_w.iter().zip(1..).filter(|(of_w, _)| of_w.was_used());
        let outcomes = used.flat_map(|(of_w, w): (_, u64)| {
            let label = move |outcome: &str| [("outcome", outcome.to_owned()), ("w", w.to_string())];
            of_w.outcomes().map(move |(outcome, count)| (label(outcome.as_str()), count))
        });
        out.counters("replog_appends_total", "Appends by how they ended and by w", outcomes)?;
        let refused =
            self.appends.refused.iter().map(|(reason, count)| ([("reason", reason.word())], *count));
        out.counters("replog_appends_refused_total", "Appends of which nothing was stored", refused)?;
        out.counter(
            "replog_append_duplicates_total",
            "Appends whose messages the log had already",
            self.appends.duplicates,
        )?;
        let pending = self.health.pending_writes;
        out.gauge("replog_pending_writes", "Writes whose w is not met yet", pending)
    }

    fn expose_times(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let AppendFigures { by_w, local, durable, .. } = &self.appends;
        out.times("replog_append_local_seconds", "From an append's arrival until the log has it", local)?;
        out.times(
            "replog_append_durable_seconds",
            "From an append's arrival until it is durable on the master",
            durable,
        )?;
        let used = by_w.iter().zip(1_u64..).filter(|(of_w, _)| of_w.was_used());
        let met = used.map(|(of_w, w)| ([("w", w)], &of_w.met));
        out.labelled_times(
            "replog_append_met_seconds",
            "From an append's arrival until w nodes hold it",
            met,
        )?;
        out.sizes("replog_push_entries", "Entries in an envelope that is pushed", &self.push_entries)
    }

    fn of_each<V>(
        &self,
        value: impl Fn(&SecondaryFigures) -> V,
    ) -> impl Iterator<Item = ([(&str, &str); 1], V)> {
        self.secondaries.iter().map(move |secondary| {
            let name = secondary.report.node.as_str();
            ([("secondary", name)], value(secondary))
        })
    }

    fn expose_secondaries(&self, out: &mut Exposition<'_>) -> fmt::Result {
        out.gauges(
            "replog_secondary_acked_entries",
            "Entries that a secondary has acked",
            self.of_each(|secondary| secondary.report.acked_through.get()),
        )?;
        out.gauges(
            "replog_secondary_lag_entries",
            "Entries that a secondary has not acked",
            self.of_each(|secondary| secondary.lag_entries),
        )?;
        out.gauges(
            "replog_secondary_lag_bytes",
            "About how many bytes those are",
            self.of_each(|secondary| secondary.lag_bytes),
        )?;
        out.gauges(
            "replog_secondary_lag_seconds",
            "How long the oldest of those has been durable on the master",
            self.of_each(|secondary| secondary.lag_seconds),
        )?;
        out.counters(
            "replog_secondary_retries_total",
            "Envelopes that were pushed again",
            self.of_each(|secondary| secondary.report.retries),
        )?;
        out.gauges(
            "replog_secondary_blocked",
            "Whether an entry for it is larger than what NATS takes",
            self.of_each(|secondary| u64::from(secondary.report.too_large.is_some())),
        )
    }

    fn expose_stages(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let each = |label: &'static str,
                    words: &'static [&'static str],
                    of: fn(&SecondaryReport) -> &'static str| {
            self.secondaries.iter().flat_map(move |secondary| {
                let now = of(&secondary.report);
                let name = secondary.report.node.as_str();
                words.iter().map(move |word| ([("secondary", name), (label, *word)], u64::from(*word == now)))
            })
        };
        out.gauges(
            "replog_secondary_status",
            "1 for how a secondary seems",
            each("status", &STATUSES, |report| report.status),
        )?;
        out.gauges(
            "replog_secondary_stage",
            "1 for what the master does about it",
            each("stage", &STAGES, |report| report.stage),
        )
    }
}
