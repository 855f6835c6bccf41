//! The one task that owns core, store and bus.

use std::{collections::BTreeMap, time::Instant};

use replog_host::{
    bus::{Bus, BusEvent, Incoming, Outgoing},
    pages::Shown,
};
use replog_shared::{
    Moment, Place,
    limits::ENVELOPE_BYTES,
    store::{Cut, Reader, Store},
    wire,
};
use tokio::{
    select,
    sync::{mpsc, oneshot, watch},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{self, Event, Translator},
    core::{Effect, Faults, ReadAnswer, SecondaryCore, Status},
    notices,
};

/// Events taken at one wake-up before an ack goes out: enough that one ack covers a full push window, few
/// enough that the master waits for no ack for long.
const BURST_EVENTS: usize = 256;

/// Commands that wait for the node.
const COMMAND_QUEUE: usize = 64;

/// What others may ask of the node.
enum Command {
    Status(oneshot::Sender<Report>),
    Faults(oneshot::Sender<Faults>),
    SetFaults(Faults, oneshot::Sender<()>),
}

/// The node at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) status: Status,
    /// Whether NATS is connected.
    pub(crate) connected: bool,
    /// What the bus refused this node since it was connected, if it did.
    pub(crate) denied: Option<String>,
    /// Envelopes that were not understood, by kind.
    pub(crate) refused: BTreeMap<&'static str, u64>,
}

/// What HTTP must know besides what is shown, told after every burst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Where the master takes appends, if it told.
    pub(crate) master_http: Option<String>,
    /// Whether NATS is connected.
    pub(crate) connected: bool,
}

/// The node has stopped.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the node has stopped")]
pub(crate) struct Stopped;

/// Talks to the node from any task.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    shown: watch::Receiver<Shown>,
    facts: watch::Receiver<Facts>,
}

impl Handle {
    /// The node as it is now.
    ///
    /// # Errors
    /// The node has stopped.
    pub(crate) async fn status(&self) -> Result<Report, Stopped> {
        self.ask(Command::Status).await
    }

    /// The faults that are injected.
    ///
    /// # Errors
    /// The node has stopped.
    pub(crate) async fn faults(&self) -> Result<Faults, Stopped> {
        self.ask(Command::Faults).await
    }

    /// Injects these faults from now on.
    ///
    /// # Errors
    /// The node has stopped.
    pub(crate) async fn set_faults(&self, faults: Faults) -> Result<(), Stopped> {
        self.ask(|done| Command::SetFaults(faults, done)).await
    }

    /// What may be shown, and how it changes.
    pub(crate) fn shown(&self) -> watch::Receiver<Shown> {
        self.shown.clone()
    }

    /// What else HTTP must know.
    pub(crate) fn facts(&self) -> watch::Receiver<Facts> {
        self.facts.clone()
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Stopped> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(command(sender)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}

/// Owns everything that changes.
pub(crate) struct Node<B, S: Store> {
    core: SecondaryCore,
    store: S,
    reader: S::Reader,
    bus: B,
    translator: Translator,
    commands: mpsc::Receiver<Command>,
    shown: watch::Sender<Shown>,
    facts: watch::Sender<Facts>,
    started: Instant,
    connected: bool,
    denied: Option<String>,
}

impl<B: Bus, S: Store> Node<B, S> {
    /// A node and the handle to it; it works once [`Node::run`] is polled.
    pub(crate) fn new(core: SecondaryCore, store: S, bus: B, translator: Translator) -> (Self, Handle) {
        let (sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let (shown, shown_receiver) = watch::channel(Shown::default());
        let (facts, facts_receiver) = watch::channel(Facts::default());
        let handle = Handle { commands: sender, shown: shown_receiver, facts: facts_receiver };
        let (reader, started) = (store.reader(), Instant::now());
        let (connected, denied) = (false, None);
        let node =
            Node { core, store, reader, bus, translator, commands, shown, facts, started, connected, denied };
        (node, handle)
    }

    /// Works until `stop`, then sends what is queued and leaves the bus.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while self.turn(&stop).await {
            self.drain();
            self.do_what_is_due();
            self.end_burst();
        }
        self.bus.close().await;
    }

    /// Waits for something to happen, and takes it in. `false`: the node is to stop.
    async fn turn(&mut self, stop: &CancellationToken) -> bool {
        let deadline = self.core.next_deadline();
        let instant = self.started + deadline.unwrap_or_default().since_start();
        select! {
            () = stop.cancelled() => return false,
            event = self.bus.next() => self.on_bus_event(event),
            Some(command) = self.commands.recv() => self.on_command(command),
            () = sleep_until(instant.into()), if deadline.is_some() => {}
        }
        true
    }

    /// Takes what is there already, so that one ack covers a burst.
    fn drain(&mut self) {
        for _ in 0..BURST_EVENTS {
            let Some(event) = self.bus.try_next() else { return };
            self.on_bus_event(event);
        }
    }

    fn do_what_is_due(&mut self) {
        for _ in 0..BURST_EVENTS {
            let now = self.now();
            if self.core.next_deadline().is_none_or(|deadline| deadline > now) {
                return;
            }
            self.core.on_deadline(now, &self.store);
            self.execute();
        }
    }

    fn end_burst(&mut self) {
        self.core.on_burst_end(self.now(), &self.store);
        self.execute();
        self.publish();
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    fn on_bus_event(&mut self, event: BusEvent) {
        match event {
            BusEvent::Message(packet) => self.on_packet(packet),
            BusEvent::Up { .. } => {
                self.connected = true;
                self.denied = None;
                self.core.on_connected(self.now());
            }
            BusEvent::Down => self.connected = false,
            // The bus has logged it.
            BusEvent::Denied { what } => self.denied = Some(what),
            // The bus has logged it; what is missing shows as a gap.
            BusEvent::Overrun => {}
        }
    }

    fn on_packet(&mut self, packet: Incoming) {
        let Some(event) = self.translator.read(packet) else { return };
        let (now, core, log) = (self.now(), &mut self.core, &self.store);
        match event {
            Event::Heartbeat(heartbeat) => core.on_heartbeat(now, &heartbeat, log),
            Event::Entries(header, lines) => core.on_entries(now, header, lines, log),
            Event::JoinAnswer(answer) => core.on_join_answer(now, answer, log),
            Event::Ask(ask, reply) => core.on_ask(now, &ask, reply, log),
            Event::Promise(promise, reply) => core.on_promise(now, promise, reply, log),
            Event::Read(read, reply) => core.on_read(read, reply),
        }
        self.execute();
    }

    fn on_command(&mut self, command: Command) {
        // Whoever asked may have left meanwhile; that is no error.
        match command {
            Command::Status(answer) => {
                let _ = answer.send(self.report());
            }
            Command::Faults(answer) => {
                let _ = answer.send(self.core.faults());
            }
            Command::SetFaults(faults, done) => {
                tracing::warn!(?faults, "faults are injected as asked");
                self.core.set_faults(self.now(), faults);
                let _ = done.send(());
            }
        }
    }

    fn report(&self) -> Report {
        let status = self.core.status(self.now(), &self.store);
        let (connected, denied) = (self.connected, self.denied.clone());
        Report { status, connected, denied, refused: self.translator.refused().clone() }
    }

    fn execute(&mut self) {
        for effect in self.core.take_effects() {
            self.on_effect(effect);
        }
    }

    fn on_effect(&mut self, effect: Effect) {
        match effect {
            // With `memory` durability nothing outlives the process.
            Effect::Save(_) => {}
            Effect::Append(lines) => {
                if !self.store.append(&lines) {
                    let from = lines.from();
                    tracing::error!(%from, "a run did not continue the log: a bug, please report it");
                }
            }
            Effect::Truncate(place) => self.truncate(place),
            Effect::Join(join) => self.send(self.translator.join(&join)),
            Effect::Fetch(fetch) => self.send(self.translator.fetch(&fetch)),
            Effect::Ack(ack) => self.send(self.translator.ack(&ack)),
            Effect::State { reply, state } => self.send(bus::answer(reply, wire::encode(&state))),
            Effect::ReadAnswer(answer) => self.answer_read(answer),
            Effect::Notice(notice) => notices::log(&notice),
        }
    }

    /// Readers learn of the cut before it happens, so that none mixes two histories.
    fn truncate(&mut self, place: Place) {
        self.shown.send_modify(|shown| {
            shown.cuts += 1;
            shown.length = shown.length.min(place.length);
        });
        if let Err(error) = self.store.truncate(place, Cut::Quarantine) {
            tracing::error!(%error, "the log was not cut");
        }
    }

    fn send(&mut self, packet: Outgoing) {
        if let Err(refused) = self.bus.send(packet) {
            // Everything is said again: acks by the interval, requests by their timers.
            tracing::debug!(%refused, "a packet was not sent");
        }
    }

    fn answer_read(&mut self, answer: ReadAnswer) {
        let ReadAnswer { reply, sender, request, epoch, from } = answer;
        let length = self.store.durable().length;
        let page = match self.reader.read(from, length, ENVELOPE_BYTES) {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "a page that a promoting master asked for was not read");
                return;
            }
        };
        let count = page.to.since(from);
        let digest = page.digest;
        let header =
            wire::EntriesHeader { sender, epoch, from, count, length, digest, request: Some(request) };
        self.send(bus::answer(reply, wire::encode_entries(&header, &page.bytes)));
    }

    /// Tells readers how far the log reaches now.
    fn publish(&self) {
        let place = self.store.durable();
        let last = (place.marks as usize).checked_sub(1).and_then(|last| self.store.marks().get(last));
        let epoch = last.map(|placed| placed.mark.epoch.number());
        self.shown.send_if_modified(|shown| {
            let is = Shown { length: place.length, log_id: self.core.log_id(), epoch, cuts: shown.cuts };
            let changed = *shown != is;
            *shown = is;
            changed
        });
        let (connected, master_http) = (self.connected, self.core.master_http());
        self.facts.send_if_modified(|facts| {
            let changed = facts.connected != connected || facts.master_http.as_deref() != master_http;
            if changed {
                facts.connected = connected;
                facts.master_http = master_http.map(str::to_owned);
            }
            changed
        });
    }
}
