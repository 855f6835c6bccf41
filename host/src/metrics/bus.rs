//! What has become of the connection to NATS, and of what was sent over it.

use std::{collections::BTreeMap, fmt};

use super::Exposition;
use crate::bus::{BusEvent, Refused};

/// A node's bus, counted by the node's task.
#[derive(Clone, Debug, Default)]
pub struct BusFigures {
    is_up: bool,
    connections: u64,
    denials: u64,
    overruns: u64,
    not_sent: BTreeMap<&'static str, u64>,
}

impl BusFigures {
    /// The bus told something.
    pub fn on_event(&mut self, event: &BusEvent) {
        match event {
            BusEvent::Message(_) => {}
            BusEvent::Up { .. } => {
                self.is_up = true;
                self.connections += 1;
            }
            BusEvent::Down => self.is_up = false,
            BusEvent::Denied { .. } => self.denials += 1,
            BusEvent::Overrun => self.overruns += 1,
        }
    }

    /// The bus did not take a packet.
    pub fn on_refused(&mut self, refused: Refused) {
        let reason = match refused {
            Refused::NotConnected => "not_connected",
            Refused::Full => "full",
            Refused::TooLarge { .. } => "too_large",
            Refused::BadSubject => "bad_subject",
        };
        *self.not_sent.entry(reason).or_default() += 1;
    }

    pub(super) fn expose(&self, out: &mut Exposition<'_>) -> fmt::Result {
        out.switch("replog_nats_connected", "Whether the connection to NATS is proven", self.is_up)?;
        out.counter(
            "replog_nats_connections_total",
            "Connections to NATS that came up: one more than reconnects",
            self.connections,
        )?;
        out.counter("replog_nats_denials_total", "Times NATS said that it denies something", self.denials)?;
        out.counter(
            "replog_nats_overruns_total",
            "Times packets were dropped because this node read too slowly",
            self.overruns,
        )?;
        let reasons = self.not_sent.iter().map(|(reason, count)| ([("reason", *reason)], *count));
        out.counters("replog_packets_not_sent_total", "Packets that the bus did not take", reasons)
    }
}
