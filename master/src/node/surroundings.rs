//! What the driver cannot do itself: the bus, the callers, what is counted and told.

use replog_core::{
    driver::{Environment, PARKED_BYTES, PARKED_EVENTS},
    master::{
        Answer, Event, MasterCore, Packet, Translator,
        events::{Notice, Refusal, WaitId, WriteOutcome},
    },
};
use replog_host::{
    bus::{Bus, Refused},
    held::Held,
    refused::RefusedCounts,
    spans::Spans,
};
use replog_shared::{
    Identity, Lines, Moment, NodeName, Place,
    entry::EntryLine,
    store::{Store, Ticket},
    trace::{Trace, TraceParent},
    wire,
};
use slab::Slab;
use tokio::{sync::oneshot, time::Instant};
use tracing::{debug, warn};

use super::notices;
use crate::telemetry::{Arrival, Telemetry};

/// A caller that waits.
pub(super) struct Waiter {
    pub(super) answer: oneshot::Sender<WriteOutcome>,
    /// If it waits for an append of its own.
    pub(super) append: Option<Arrival>,
}

/// All of a node but its driver and its commands.
pub(super) struct Surroundings<S: Store, B> {
    pub(super) held: Held<S>,
    pub(super) bus: B,
    pub(super) translator: Translator,
    pub(super) waiters: Slab<Waiter>,
    pub(super) refused: RefusedCounts,
    pub(super) telemetry: Telemetry,
    pub(super) started: Instant,
}

impl<S: Store, B: Bus> Surroundings<S, B> {
    /// Of a master of a log that `nodes` nodes hold.
    pub(super) fn new(
        nodes: usize,
        log: &S,
        held: Held<S>,
        bus: B,
        translator: Translator,
        spans: Spans,
    ) -> Surroundings<S, B> {
        let telemetry = Telemetry::new(nodes, log.durable().length, log.figures().bytes, spans);
        Surroundings {
            held,
            bus,
            translator,
            waiters: Slab::new(),
            refused: RefusedCounts::default(),
            telemetry,
            started: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    pub(super) fn moment(&self, instant: Instant) -> Moment {
        Moment::after_start(instant.saturating_duration_since(self.started))
    }

    /// The callers that hung up, which are forgotten.
    pub(super) fn take_hung_up(&mut self) -> Vec<usize> {
        let now = self.now();
        let (telemetry, mut hung_up) = (&mut self.telemetry, Vec::new());
        self.waiters.retain(|wait, waiter| {
            let gone = waiter.answer.is_closed();
            if gone {
                hung_up.push(wait);
                waiter.append.into_iter().for_each(|arrival| telemetry.on_hung_up(now, arrival));
            }
            !gone
        });
        hung_up
    }

    fn on_refused(&mut self, refused: Refused) {
        self.telemetry.bus.on_refused(refused);
        let comes_back = matches!(refused, Refused::NotConnected | Refused::Full);
        if !comes_back && self.refused.count("not_sent", "") {
            warn!(reason = %refused, "a packet cannot be sent");
        }
    }

    fn on_ack_refused(&mut self, secondary: &NodeName, kind: &'static str) {
        if self.refused.count(kind, secondary.as_str()) {
            warn!(%secondary, kind, "an ack does not count; more of its kind are only counted");
        }
    }

    fn on_disk_behind(&mut self) {
        if self.refused.count("disk_behind", "") {
            warn!(
                "dropped an envelope, as {PARKED_EVENTS} events of {PARKED_BYTES} bytes may wait for old parts of the log to be read; more are only counted"
            );
        }
    }

    /// What is counted and traced of entries that are sent.
    fn note_entries(&mut self, header: &mut wire::EntriesHeader, pushed: bool) {
        if pushed {
            self.telemetry.on_pushed(header.count);
        }
        header.traces = self.telemetry.traces(header.from, header.from.plus(header.count));
        note_traces(header);
    }
}

impl<S: Store, B: Bus> Environment<MasterCore, S> for Surroundings<S, B> {
    fn save(&mut self, identity: &Identity, log: &mut S) -> Option<Ticket> {
        self.held.save(identity, log)
    }

    fn send(&mut self, mut packet: Packet, _log: &S) {
        if let Packet::Entries { header, reply, .. } = &mut packet {
            self.note_entries(header, reply.is_none());
        }
        if let Err(refused) = self.bus.send(self.translator.write(packet)) {
            self.on_refused(refused);
        }
    }

    fn answer(&mut self, answer: Answer, _log: &S) {
        let Answer { wait: WaitId(wait), outcome } = answer;
        if matches!(outcome, WriteOutcome::Refused(Refusal::TooLarge { .. })) {
            self.bus.suspect_limit();
        }
        if let Some(Waiter { answer, append }) = self.waiters.try_remove(wait) {
            if let Some(arrival) = append {
                self.telemetry.on_answered(self.now(), arrival, &outcome);
            }
            // A caller that hung up in this very moment wants no answer.
            let _hung_up = answer.send(outcome);
        }
    }

    fn notice(&mut self, notice: Notice, _core: &MasterCore, _log: &S) {
        match notice {
            Notice::AckRefused { node, why } => self.on_ack_refused(&node, why),
            Notice::DiskBehind => self.on_disk_behind(),
            notice => notices::log(&notice),
        }
    }

    fn on_outbox_full(&mut self) {
        self.on_refused(Refused::Full);
    }

    fn before(&mut self, event: &Event, _log: &S) {
        if let Event::Append { wait, .. } = event {
            let arrival = self.waiters.get(wait.0).and_then(|waiter| waiter.append);
            self.telemetry.on_caller(arrival);
        }
    }

    fn after(&mut self) {
        self.telemetry.on_caller(None);
    }

    fn on_appended(&mut self, lines: &Lines, _core: &MasterCore, _log: &S) {
        note_appended(lines, self.telemetry.trace());
        self.telemetry.on_appended(lines);
    }

    fn before_cut(&mut self, place: Place, _core: &MasterCore, log: &S) {
        self.held.before_cut(place, log);
    }

    fn on_cut(&mut self, place: Place, _core: &MasterCore, log: &S) {
        self.telemetry.on_cut(self.now(), place.length, log.figures().bytes);
    }
}

/// One line for each traced append whose entries are sent.
fn note_traces(header: &wire::EntriesHeader) {
    for Trace { order, count, traceparent } in &header.traces {
        let (secondary, trace_id) = (&header.sender.node, traceparent.trace_id());
        debug!(%secondary, entry.order = %order, count, %trace_id, "sends entries of a traced append");
    }
}

/// One line for each entry that gets its place.
fn note_appended(lines: &Lines, trace: Option<TraceParent>) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        for entry in lines.entry_lines().map(EntryLine::parse).filter_map(Result::ok) {
            let id = entry.id_text();
            let trace_id = trace.map(|trace| tracing::field::display(trace.trace_id()));
            debug!(entry.order = %entry.order, message.id = %String::from_utf8_lossy(&id), trace_id, "appended");
        }
    }
}
