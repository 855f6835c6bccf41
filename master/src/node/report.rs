//! The node as `/health` shows it.

use std::collections::BTreeMap;

use replog_host::{
    bus::{Bus, BusTrouble},
    metrics::{Buffer, NodeFigures},
};
use replog_shared::{
    Digest, Epoch, EpochNumber, LogId, Moment, NodeName, Order,
    limits::{MAX_HELD_APPENDS, MAX_HELD_BYTES},
    store::Store,
};

use replog_core::driver::{PARKED_BYTES, PARKED_EVENTS};

use super::{Node, limits::COMMANDS};
use crate::{telemetry::MasterFigures, words};
use replog_core::master::{
    SecondaryView,
    events::{NotLeading, WaitingWrite},
};

/// The node at one moment.
#[derive(Clone, Debug)]
pub struct HealthReport {
    /// Why it takes no appends; none while it leads.
    pub not_leading: Option<NotLeading>,
    /// The log.
    pub log_id: Option<LogId>,
    /// The epoch in which it leads.
    pub epoch: Option<EpochNumber>,
    /// How far the log is durable.
    pub length: Order,
    /// Its digest there.
    pub digest: Digest,
    /// Writes whose w is not met yet.
    pub pending_writes: usize,
    /// The first of them, as many as were asked for.
    pub waiting: Vec<WaitingWrite>,
    /// Whether the bus is connected.
    pub bus_is_up: bool,
    /// What is wrong with the bus, besides being up or not.
    pub trouble: BusTrouble,
    /// Which secondaries are older than this master, in words.
    pub outdated: Option<String>,
    /// Another master that leads a log of this name.
    pub rival: Option<NodeName>,
    /// Nodes that ask to join and are not configured.
    pub strangers: Vec<NodeName>,
    /// Nodes that are healthy, this one included.
    pub healthy_nodes: usize,
    /// Envelopes that were refused, by kind.
    pub refused: BTreeMap<&'static str, u64>,
    /// The secondaries, in the order of the configuration.
    pub secondaries: Vec<SecondaryReport>,
}

/// A secondary as `/health` shows it.
#[derive(Clone, Debug)]
pub struct SecondaryReport {
    /// Its name.
    pub node: NodeName,
    /// healthy, suspected or unhealthy.
    pub status: &'static str,
    /// What the master does about it.
    pub stage: &'static str,
    /// It has acked `0..` this.
    pub acked_through: Order,
    /// Envelopes pushed again.
    pub retries: u64,
    /// The log that it holds, where that is another one.
    pub foreign: Option<LogId>,
    /// The order of an entry that is larger than what the bus takes.
    pub too_large: Option<Order>,
}

impl From<SecondaryView<'_>> for SecondaryReport {
    fn from(secondary: SecondaryView<'_>) -> SecondaryReport {
        SecondaryReport {
            node: secondary.node.clone(),
            status: secondary.health.as_str(),
            stage: secondary.stage.as_str(),
            acked_through: secondary.acked_through,
            retries: secondary.retries,
            foreign: secondary.foreign,
            too_large: secondary.too_large,
        }
    }
}

impl<S: Store, B: Bus> Node<S, B> {
    pub(super) fn health(&self, now: Moment, waiting: usize) -> HealthReport {
        let (core, log, env) = (self.driver.core(), self.driver.log(), &self.env);
        let durable = log.durable();
        HealthReport {
            not_leading: core.not_leading(),
            log_id: core.log_id(),
            epoch: core.epoch().map(Epoch::number),
            length: durable.length,
            // None only of a log that cannot be read, and then the node stops.
            digest: log.digest_at(durable).unwrap_or_default(),
            pending_writes: core.pending_writes(),
            waiting: core.waiting_writes(now, waiting, log),
            bus_is_up: core.bus_is_up(),
            trouble: env.bus.trouble(),
            outdated: words::outdated_nodes(&core.outdated_nodes()),
            rival: core.rival(now).cloned(),
            strangers: core.strangers(now),
            healthy_nodes: core.healthy_nodes(now),
            refused: env.refused.by_kind(),
            secondaries: core.secondaries(now).map(SecondaryReport::from).collect(),
        }
    }

    pub(super) fn figures(&mut self, now: Moment) -> MasterFigures {
        let health = self.health(now, 0);
        let log = self.driver.log();
        let node = NodeFigures {
            log_id: health.log_id,
            epoch: health.epoch,
            length: log.durable().length,
            appended: self.env.telemetry.entries(),
            store: log.figures(),
            bus: self.env.telemetry.bus.clone(),
            refused: health.refused.clone(),
            buffers: self.buffers(),
        };
        self.env.telemetry.figures(now, node, health)
    }

    fn buffers(&self) -> Vec<Buffer> {
        let (held, held_bytes) = self.driver.core().held_appends();
        let (parked, parked_bytes) = self.driver.parked();
        vec![
            Buffer::of_store(self.driver.log()),
            Buffer::Items("commands", self.commands.len(), COMMANDS),
            Buffer::Items("held_appends", held, MAX_HELD_APPENDS),
            Buffer::Bytes("held_appends", held_bytes, MAX_HELD_BYTES),
            Buffer::Items("parked", parked, PARKED_EVENTS),
            Buffer::Bytes("parked", parked_bytes, PARKED_BYTES),
        ]
    }
}
