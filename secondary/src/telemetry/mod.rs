//! What a secondary counts of itself, beside what its core counts.

mod figures;

use replog_host::{
    bus::{BusEvent, Refused},
    metrics::BusFigures,
};

pub(crate) use figures::SecondaryFigures;

/// A secondary's books. The node's task owns them.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    bus: BusFigures,
}

impl Telemetry {
    /// The bus told something.
    pub(crate) fn on_bus(&mut self, event: &BusEvent) {
        self.bus.on_event(event);
    }

    /// The bus did not take a packet.
    pub(crate) fn on_not_sent(&mut self, refused: Refused) {
        self.bus.on_refused(refused);
    }

    /// The bus, as it was counted.
    pub(crate) const fn bus(&self) -> &BusFigures {
        &self.bus
    }
}
