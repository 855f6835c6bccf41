//! The node as `/health` shows it.

use std::collections::BTreeMap;

use replog_host::{
    bus::{Bus, BusTrouble},
    metrics::{Buffer, NodeFigures},
};
use replog_shared::{Epoch, limits::REORDER_BUFFER_ENVELOPES, store::Store};

use replog_core::driver::{PARKED_BYTES, PARKED_EVENTS};

use super::{Node, limits::COMMANDS};
use crate::telemetry::SecondaryFigures;
use replog_core::secondary::Status;

/// The node at one moment.
#[derive(Clone, Debug)]
pub(crate) struct HealthReport {
    /// What its core knows.
    pub(crate) status: Status,
    /// Whether the bus is connected.
    pub(crate) bus_is_up: bool,
    /// What is wrong with the bus, besides being up or not.
    pub(crate) trouble: BusTrouble,
    /// Envelopes that were not understood, by kind.
    pub(crate) refused: BTreeMap<&'static str, u64>,
}

impl<S: Store, B: Bus> Node<S, B> {
    fn status(&self) -> Status {
        self.driver.core().status(self.env.now(), self.driver.log())
    }

    pub(super) fn health(&self) -> HealthReport {
        HealthReport {
            status: self.status(),
            bus_is_up: self.driver.core().bus_is_up(),
            trouble: self.env.bus.trouble(),
            refused: self.env.refused.by_kind(),
        }
    }

    pub(super) fn figures(&self) -> SecondaryFigures {
        let status = self.status();
        let node = NodeFigures {
            log_id: status.log_id,
            epoch: status.epoch.as_ref().map(Epoch::number),
            length: status.length,
            appended: status.counters.appended,
            store: self.driver.log().figures(),
            bus: self.env.telemetry.bus().clone(),
            refused: self.refused(&status),
            buffers: self.buffers(&status),
        };
        SecondaryFigures { node, status }
    }

    /// By reason: what was not understood, and what was and did not count.
    fn refused(&self, status: &Status) -> BTreeMap<&'static str, u64> {
        let counters = &status.counters;
        let not_understood = self.env.refused.by_kind().values().sum();
        let reasons = [
            ("not_understood", not_understood),
            ("stale", counters.stale),
            ("foreign_log", counters.foreign),
            ("does_not_continue", counters.refused),
            ("disk_behind", self.env.dropped),
        ];
        reasons.into_iter().collect()
    }

    fn buffers(&self, status: &Status) -> Vec<Buffer> {
        let (parked, parked_bytes) = self.driver.parked();
        vec![
            Buffer::of_store(self.driver.log()),
            Buffer::Items("commands", self.commands.len(), COMMANDS),
            Buffer::Items("parked", parked, PARKED_EVENTS),
            Buffer::Bytes("parked", parked_bytes, PARKED_BYTES),
            Buffer::Items("reorder", status.buffered_envelopes, REORDER_BUFFER_ENVELOPES),
            Buffer::Bytes("reorder", status.buffered_bytes, self.driver.core().buffer_limit_bytes()),
        ]
    }
}
