//! The node as `/health` shows it.

use std::collections::BTreeMap;

use replog_host::bus::Bus;
use replog_shared::store::Store;

use super::Node;
use crate::core::Status;

/// The node at one moment.
#[derive(Clone, Debug)]
pub(crate) struct HealthReport {
    /// What its core knows.
    pub(crate) status: Status,
    /// Whether the bus is connected.
    pub(crate) bus_is_up: bool,
    /// What the bus refused this node since it was connected, if it did.
    pub(crate) denied: Option<String>,
    /// Envelopes that were not understood, by kind.
    pub(crate) refused: BTreeMap<&'static str, u64>,
}

impl<S: Store, B: Bus> Node<S, B> {
    pub(super) fn health(&self) -> HealthReport {
        HealthReport {
            status: self.core.status(self.now(), self.held.log()),
            bus_is_up: self.bus_is_up,
            denied: self.denied.clone(),
            refused: self.translator.refused().clone(),
        }
    }
}
