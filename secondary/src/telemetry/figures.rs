//! A secondary as `/metrics` shows it.

use std::fmt;

use replog_host::metrics::{Exposition, NodeFigures, NodeLabels};
use replog_shared::wire::SecondaryState;

use replog_core::secondary::{Counters, Status};

const STATES: [&str; 5] = ["joining", "syncing", "streaming", "diverged", "foreign"];

/// A secondary at one moment.
#[derive(Clone, Debug)]
pub(crate) struct SecondaryFigures {
    pub(crate) node: NodeFigures,
    pub(crate) status: Status,
}

const fn word(state: SecondaryState) -> &'static str {
    match state {
        SecondaryState::Joining => "joining",
        SecondaryState::Syncing => "syncing",
        SecondaryState::Streaming => "streaming",
        SecondaryState::Diverged => "diverged",
        SecondaryState::Foreign => "foreign",
    }
}

impl SecondaryFigures {
    /// Tells each of them.
    ///
    /// # Errors
    /// Only those of `out`.
    pub(crate) fn expose(&self, labels: &NodeLabels, out: &mut Exposition<'_>) -> fmt::Result {
        self.node.expose(labels, out)?;
        self.expose_state(out)?;
        self.expose_arrivals(&self.status.counters, out)?;
        self.expose_doings(&self.status.counters, out)
    }

    fn expose_state(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let status = &self.status;
        out.states("replog_state", "What the node is about", STATES, word(status.state))?;
        out.switch("replog_whole", "Whether the node counts in a promotion", status.whole)?;
        out.switch("replog_master_heard", "Whether a master was heard of late", status.hears.is_some())?;
        let unlabelled: [(&str, &str); 0] = [];
        let lag = status.lag().map(|lag| (unlabelled, lag));
        out.gauges("replog_lag_entries", "Entries of the master that are not shown here yet", lag)?;
        out.gauge("replog_gaps", "Ranges that are missing before what has come", status.gaps)?;
        out.gauge("replog_fetches_in_flight", "Ranges asked for that have not come", status.fetches_in_flight)
    }

    fn expose_arrivals(&self, counters: &Counters, out: &mut Exposition<'_>) -> fmt::Result {
        out.counter(
            "replog_duplicates_dropped_total",
            "Envelopes of which everything was there already",
            counters.duplicates,
        )?;
        out.counter(
            "replog_out_of_order_total",
            "Envelopes that came before something they stand behind",
            counters.out_of_order,
        )?;
        out.counter(
            "replog_overflows_total",
            "Envelopes dropped because the reorder buffer was full",
            counters.overflowed,
        )?;
        out.counter(
            "replog_digest_mismatches_total",
            "Envelopes that do not lead to the master's digest",
            counters.digest_mismatches,
        )?;
        out.counter("replog_fault_drops_total", "Envelopes dropped on purpose", counters.fault_drops)
    }

    fn expose_doings(&self, counters: &Counters, out: &mut Exposition<'_>) -> fmt::Result {
        out.counter("replog_joins_total", "Joins asked for", counters.joins)?;
        out.counter("replog_fetches_total", "Ranges asked for", counters.fetches)?;
        out.counter("replog_acks_total", "Acks sent", counters.acks)?;
        out.counter("replog_error_acks_total", "Acks with an error sent, on purpose", counters.error_acks)?;
        out.counter(
            "replog_entries_cut_total",
            "Entries cut because a promotion or a clean explains it",
            counters.cut,
        )?;
        out.counter(
            "replog_logs_damaged_total",
            "Times the whole log was cut because it differed from the master's before the fork",
            counters.damaged,
        )
    }
}
