//! What both kinds of node tell.

use std::{collections::BTreeMap, fmt};

use replog_shared::{
    Durability, EpochNumber, LogId, LogName, NodeName, Order,
    limits::STORE_PENDING_BYTES,
    store::{Store, StoreFigures},
};

use super::{BusFigures, Exposition};

/// What a node is called, from its start to its end.
#[derive(Clone, Debug)]
pub struct NodeLabels {
    /// `master` or `secondary`.
    pub role: &'static str,
    /// Its name.
    pub node: NodeName,
    /// Which log.
    pub log: LogName,
    /// What holding an entry means.
    pub durability: Durability,
}

/// Something that waits, and how much of it may.
#[derive(Clone, Copy, Debug)]
pub enum Buffer {
    /// Bounded in bytes.
    Bytes(&'static str, usize, usize),
    /// Bounded in number.
    Items(&'static str, usize, usize),
}

/// What a node's task knows of itself, whatever its role.
#[derive(Clone, Debug)]
pub struct NodeFigures {
    /// The log.
    pub log_id: Option<LogId>,
    /// The epoch of its last mark, or that in which it leads.
    pub epoch: Option<EpochNumber>,
    /// Entries that are durable.
    pub length: Order,
    /// Entries appended since the start.
    pub appended: u64,
    /// The store.
    pub store: StoreFigures,
    /// The bus.
    pub bus: BusFigures,
    /// Envelopes that were refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// What waits, and how much of it may.
    pub buffers: Vec<Buffer>,
}

impl Buffer {
    /// Lines that wait to become durable.
    pub fn of_store(store: &impl Store) -> Buffer {
        Buffer::Bytes("store", store.pending_bytes(), STORE_PENDING_BYTES)
    }
}

impl NodeFigures {
    /// Tells each of them.
    ///
    /// # Errors
    /// Only those of `out`.
    pub fn expose(&self, labels: &NodeLabels, out: &mut Exposition<'_>) -> fmt::Result {
        self.expose_info(labels, out)?;
        out.gauge("replog_log_entries", "Entries of the log that are durable here", self.length.get())?;
        out.gauge("replog_log_bytes", "Bytes that the log takes here", self.store.bytes)?;
        out.counter("replog_entries_appended_total", "Entries appended to the log", self.appended)?;
        let groups = &self.store.group_entries;
        out.sizes("replog_group_entries", "Entries that became durable together", groups)?;
        let syncs = &self.store.sync_times;
        out.times("replog_sync_seconds", "How long the disk took to sync what was written", syncs)?;
        self.bus.expose(out)?;
        let refused = self.refused.iter().map(|(reason, count)| ([("reason", *reason)], *count));
        out.counters("replog_envelopes_refused_total", "Envelopes that did not count", refused)?;
        self.expose_buffers(out)
    }

    fn expose_info(&self, labels: &NodeLabels, out: &mut Exposition<'_>) -> fmt::Result {
        let text = |value: Option<String>| value.unwrap_or_default();
        let info = [
            ("role", labels.role.to_owned()),
            ("node", labels.node.to_string()),
            ("log", labels.log.to_string()),
            ("log_id", text(self.log_id.map(|id| id.to_string()))),
            ("epoch", text(self.epoch.map(|epoch| epoch.to_string()))),
            ("durability", labels.durability.to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        out.gauges("replog_node_info", "1, with what the node is in the labels", [(info, 1_u64)])
    }

    fn expose_buffers(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let of = |bytes: bool, limit: bool| {
            self.buffers.iter().filter_map(move |buffer| match *buffer {
                Buffer::Bytes(name, now, most) if bytes => Some((name, if limit { most } else { now })),
                Buffer::Items(name, now, most) if !bytes => Some((name, if limit { most } else { now })),
                _ => None,
            })
        };
        let labelled =
            |bytes, limit| of(bytes, limit).map(|(name, value)| ([("buffer", name)], value as u64));
        out.gauges("replog_buffer_bytes", "Bytes that wait in a buffer", labelled(true, false))?;
        out.gauges("replog_buffer_limit_bytes", "Bytes that a buffer takes", labelled(true, true))?;
        out.gauges("replog_buffer_items", "What waits in a buffer", labelled(false, false))?;
        out.gauges("replog_buffer_limit_items", "How many a buffer takes", labelled(false, true))
    }
}
