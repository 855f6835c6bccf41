//! The one task that owns core, store and bus.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use replog_host::{
    bus::{Bus, BusEvent, Incoming, Outgoing},
    pages::Shown,
    storage::{Keeper, Storage},
};
use replog_shared::{
    Moment, Place,
    limits::{DEFAULT_MAX_PAYLOAD_BYTES, ENVELOPE_BYTES, ENVELOPE_OVERHEAD_BYTES},
    store::{Cut, Reader, Store, StoreError},
    wire,
};
use tokio::{
    select,
    sync::{Notify, mpsc, oneshot, watch},
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

/// The node cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeFailure {
    /// Its log can neither be written nor relied on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it must not forget could not be saved.
    #[error("what this node must not forget cannot be saved: {0}")]
    Identity(String),
}

/// What wakes the node.
enum Wake {
    Bus(BusEvent),
    Command(Command),
    /// The store, or the clock.
    News,
}

/// Owns everything that changes.
pub(crate) struct Node<B, S: Store> {
    core: SecondaryCore,
    store: S,
    keeper: Keeper,
    /// The store has news.
    news: Arc<Notify>,
    /// Why this node must stop.
    failure: Option<NodeFailure>,
    reader: S::Reader,
    bus: B,
    translator: Translator,
    commands: mpsc::Receiver<Command>,
    shown: watch::Sender<Shown>,
    facts: watch::Sender<Facts>,
    started: Instant,
    connected: bool,
    denied: Option<String>,
    /// The most bytes that NATS takes in one packet.
    max_payload: usize,
}

impl<B: Bus, S: Store> Node<B, S> {
    /// A node and the handle to it; it works once [`Node::run`] is polled.
    pub(crate) fn new(
        core: SecondaryCore,
        storage: Storage<S>,
        bus: B,
        translator: Translator,
    ) -> (Self, Handle) {
        let Storage { store, keeper, news, .. } = storage;
        let (sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let (shown, shown_receiver) = watch::channel(Shown::default());
        let (facts, facts_receiver) = watch::channel(Facts::default());
        let handle = Handle { commands: sender, shown: shown_receiver, facts: facts_receiver };
        let node = Node {
            core,
            reader: store.reader(),
            store,
            keeper,
            news,
            failure: None,
            bus,
            translator,
            commands,
            shown,
            facts,
            started: Instant::now(),
            connected: false,
            denied: None,
            max_payload: DEFAULT_MAX_PAYLOAD_BYTES,
        };
        (node, handle)
    }

    /// Works until `stop`, then sends what is queued, leaves the bus and makes the log durable.
    ///
    /// # Errors
    /// The node cannot go on, and has stopped at once.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), NodeFailure> {
        while let Some(wake) = self.wake(&stop).await {
            self.turn(wake)?;
        }
        self.bus.close().await;
        self.store.close()?;
        self.keeper.close().map_err(|error| NodeFailure::Identity(error.to_string()))
    }

    /// Waits for something to happen; none: the node is to stop.
    async fn wake(&mut self, stop: &CancellationToken) -> Option<Wake> {
        let deadline = self.core.next_deadline();
        let instant = self.started + deadline.unwrap_or_default().since_start();
        let news = self.news.clone();
        select! {
            () = stop.cancelled() => None,
            event = self.bus.next() => Some(Wake::Bus(event)),
            Some(command) = self.commands.recv() => Some(Wake::Command(command)),
            () = news.notified() => Some(Wake::News),
            () = sleep_until(instant.into()), if deadline.is_some() => Some(Wake::News),
        }
    }

    /// Takes in what woke this node, and all else that is there.
    fn turn(&mut self, wake: Wake) -> Result<(), NodeFailure> {
        self.store.refresh()?;
        match wake {
            Wake::Bus(event) => self.on_bus_event(event),
            Wake::Command(command) => self.on_command(command),
            Wake::News => {}
        }
        self.drain();
        self.do_what_is_due();
        self.end_burst();
        self.failure.take().map_or(Ok(()), Err)
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
            BusEvent::Up { max_payload } => {
                self.max_payload = max_payload;
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

    /// What the core decided over a log that could not be read is no decision.
    fn execute(&mut self) {
        let effects = self.core.take_effects();
        if let Some(failure) = self.store.failure() {
            self.failure.get_or_insert(failure.into());
        }
        for effect in effects {
            if self.failure.is_none() {
                self.on_effect(effect);
            }
        }
    }

    fn on_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Save(identity) => {
                if let Err(error) = self.keeper.save(&identity) {
                    self.failure = Some(NodeFailure::Identity(error.to_string()));
                }
            }
            Effect::Append(lines) => {
                if !self.store.append(&lines) && self.store.failure().is_none() {
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
        match self.store.truncate(place, Cut::Quarantine) {
            Ok(Some(file)) => {
                tracing::warn!(file = %file.display(), "what was cut is kept in quarantine");
            }
            Ok(None) => {}
            Err(error) => self.failure = Some(error.into()),
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
        let bytes = ENVELOPE_BYTES.min(self.max_payload.saturating_sub(ENVELOPE_OVERHEAD_BYTES));
        let page = match self.reader.read(from, length, bytes) {
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
