//! The one task that owns the core, the store and the bus, and executes what the core decides.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use replog_host::{
    bus::{Bus, BusEvent, Incoming, Outgoing, Refused},
    pages::Shown,
    storage::{Keeper, Storage},
};
use replog_shared::{
    Digest, EpochNumber, Lines, LogId, Moment, NodeName, Order, Place, WriteConcern,
    entry::EntryLine,
    limits::STORE_PENDING_BYTES,
    store::{Cut, Reader, Store, StoreError},
    wire,
};
use slab::Slab;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    bus::{Event, RefusedCounts, Translator},
    core::{
        Effect, MasterCore, ReadAnswer,
        events::{Append, NotLeading, Notice, Refusal, WaitId, WriteOutcome},
    },
};

/// Commands that wait for the node. More make their senders wait: the HTTP edge bounds those.
const COMMANDS: usize = 4_096;

/// Events taken at one wake-up before effects that can wait (pushes, answers) are executed. Bounds how long
/// the first of them waits for the last.
const BURST: usize = 1_024;

/// How often callers that hung up are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// What a handle asks of the node.
#[derive(Debug)]
pub(crate) enum Command {
    Append { append: Append, timeout: Option<Duration>, answer: oneshot::Sender<WriteOutcome> },
    Clean { append: Append, by: SocketAddr, timeout: Option<Duration>, answer: oneshot::Sender<WriteOutcome> },
    Wait { order: Order, w: WriteConcern, timeout: Option<Duration>, answer: oneshot::Sender<WriteOutcome> },
    Health { answer: oneshot::Sender<HealthReport> },
}

/// The node as `/health` shows it.
#[derive(Clone, Debug)]
pub struct HealthReport {
    /// Why it takes no appends; none while it leads.
    pub not_leading: Option<NotLeading>,
    /// The log.
    pub log_id: Option<LogId>,
    /// The epoch in which it leads.
    pub epoch: Option<EpochNumber>,
    /// How long the log is.
    pub length: Order,
    /// Its digest.
    pub digest: Digest,
    /// Writes whose w is not met yet.
    pub pending_writes: usize,
    /// Whether the bus is connected.
    pub bus_is_up: bool,
    /// What the bus refused this node, if it did.
    pub denied: Option<String>,
    /// Another master that leads a log of this name.
    pub rival: Option<NodeName>,
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
    /// The order of an entry that is larger than what the bus takes.
    pub too_large: Option<Order>,
}

/// What wakes the node.
enum Wake {
    Command(Command),
    Bus(BusEvent),
    /// The store, or the clock.
    News,
}

/// The node has stopped.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the node has stopped")]
pub struct Gone;

/// Asks the node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle<R> {
    commands: mpsc::Sender<Command>,
    /// Reads the log.
    pub reader: R,
    /// What reads show.
    pub shown: watch::Receiver<Shown>,
    /// Whether this node leads and its bus is connected.
    pub readiness: watch::Receiver<Readiness>,
}

/// What a readiness probe asks: local facts only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// The bus is connected.
    pub bus_is_up: bool,
    /// This node leads.
    pub leading: bool,
}

impl<R: Reader> Handle<R> {
    /// Appends, and waits until w is met or the wait ends otherwise. Dropping the future ends the wait,
    /// never the entry.
    ///
    /// # Errors
    /// The node has stopped; whether the append took effect is not known.
    pub async fn append(&self, append: Append, timeout: Option<Duration>) -> Result<WriteOutcome, Gone> {
        self.ask(|answer| Command::Append { append, timeout, answer }).await
    }

    /// Empties the log as the client at `by` asks, and waits until w nodes have followed.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn clean(
        &self,
        append: Append,
        by: SocketAddr,
        timeout: Option<Duration>,
    ) -> Result<WriteOutcome, Gone> {
        self.ask(|answer| Command::Clean { append, by, timeout, answer }).await
    }

    /// Waits until w nodes hold an entry.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn wait(
        &self,
        order: Order,
        w: WriteConcern,
        timeout: Option<Duration>,
    ) -> Result<WriteOutcome, Gone> {
        self.ask(|answer| Command::Wait { order, w, timeout, answer }).await
    }

    /// The node's state.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn health(&self) -> Result<HealthReport, Gone> {
        self.ask(|answer| Command::Health { answer }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Gone> {
        let (sender, receiver) = oneshot::channel();
        self.commands.send(command(sender)).await.map_err(|_| Gone)?;
        receiver.await.map_err(|_| Gone)
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
    /// The promotion that the operator asked for did not come about.
    #[error("{0}")]
    NotPromoted(String),
}

/// The node: run it with [`Node::run`].
pub struct Node<S: Store, B> {
    core: MasterCore,
    store: S,
    keeper: Keeper,
    /// The store has news.
    news: Arc<Notify>,
    /// Why this node must stop.
    failure: Option<NodeFailure>,
    bus: B,
    translator: Translator,
    commands: mpsc::Receiver<Command>,
    waiters: Slab<oneshot::Sender<WriteOutcome>>,
    shown: watch::Sender<Shown>,
    readiness: watch::Sender<Readiness>,
    started: Instant,
    swept_at: Instant,
    refused: RefusedCounts,
    denied: Option<String>,
    effects: Vec<Effect>,
}

impl<S: Store, B: Bus> Node<S, B> {
    /// A node, and the handle to it.
    pub fn new(
        core: MasterCore,
        storage: Storage<S>,
        bus: B,
        translator: Translator,
    ) -> (Node<S, B>, Handle<S::Reader>) {
        let Storage { store, keeper, news, .. } = storage;
        let (command_sender, commands) = mpsc::channel(COMMANDS);
        let (shown, shown_receiver) = watch::channel(Shown::default());
        let (readiness, readiness_receiver) = watch::channel(Readiness::default());
        let handle = Handle {
            commands: command_sender,
            reader: store.reader(),
            shown: shown_receiver,
            readiness: readiness_receiver,
        };
        let now = Instant::now();
        let node = Node {
            core,
            store,
            keeper,
            news,
            failure: None,
            bus,
            translator,
            commands,
            waiters: Slab::new(),
            shown,
            readiness,
            started: now,
            swept_at: now,
            refused: RefusedCounts::default(),
            denied: None,
            effects: Vec::new(),
        };
        (node, handle)
    }

    /// Runs until `stop`; then tells every waiting caller, sends what is queued, makes the log durable and
    /// returns.
    ///
    /// # Errors
    /// The node cannot go on, and has stopped at once. Callers that wait are not told what became of their
    /// writes, since nobody knows.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), NodeFailure> {
        let sleep = sleep_until(self.started);
        tokio::pin!(sleep);
        loop {
            let news = self.news.clone();
            let wake = tokio::select! {
                () = stop.cancelled() => break,
                Some(command) = self.commands.recv() => Wake::Command(command),
                event = self.bus.next() => Wake::Bus(event),
                () = news.notified() => Wake::News,
                () = &mut sleep => Wake::News,
            };
            self.turn(wake)?;
            let due = self.next_wake_up();
            // Waking up too early costs one empty turn; setting the timer costs more, at every turn.
            if due < sleep.deadline() || sleep.deadline() <= Instant::now() {
                sleep.as_mut().reset(due);
            }
        }
        self.shut_down().await
    }

    /// Takes in what woke this node, and all else that is there.
    fn turn(&mut self, wake: Wake) -> Result<(), NodeFailure> {
        self.store.refresh()?;
        match wake {
            Wake::Command(command) => self.on_command(command),
            Wake::Bus(event) => self.on_bus(event),
            Wake::News => {}
        }
        self.take_burst();
        self.on_burst_end();
        self.failure.take().map_or(Ok(()), Err)
    }

    async fn shut_down(mut self) -> Result<(), NodeFailure> {
        self.core.on_stop(&self.store);
        self.execute();
        self.bus.close().await;
        self.store.close()?;
        self.keeper.close().map_err(|error| NodeFailure::Identity(error.to_string()))
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    fn next_wake_up(&self) -> Instant {
        let deadline = self.core.next_deadline().map(|moment| self.started + moment.since_start());
        let sweep = self.swept_at + SWEEP_INTERVAL;
        deadline.map_or(sweep, |deadline| deadline.min(sweep))
    }

    fn take_burst(&mut self) {
        for _ in 0..BURST {
            if let Ok(command) = self.commands.try_recv() {
                self.on_command(command);
            } else if let Some(event) = self.bus.try_next() {
                self.on_bus(event);
            } else {
                break;
            }
        }
    }

    fn on_burst_end(&mut self) {
        let now = self.now();
        if self.core.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.core.on_deadline(now, &self.store);
            self.execute();
        }
        while self.core.on_leading(now, &self.store) {
            self.execute();
        }
        self.sweep_hung_up();
        self.core.on_burst_end(now, &self.store);
        self.execute();
        self.show();
    }

    fn on_command(&mut self, command: Command) {
        let now = self.now();
        let deadline = |timeout: Option<Duration>| timeout.map(|timeout| now.plus(timeout));
        match command {
            Command::Append { answer, .. } if self.store.pending_bytes() > STORE_PENDING_BYTES => {
                // Who hung up does not want to know.
                let _hung_up = answer.send(WriteOutcome::Refused(Refusal::Overloaded));
            }
            Command::Append { mut append, timeout, answer } => {
                append.deadline = deadline(timeout);
                let wait = self.wait_id(answer);
                self.core.on_append(now, wait, append, &self.store);
            }
            Command::Clean { mut append, by, timeout, answer } => {
                append.deadline = deadline(timeout);
                let wait = self.wait_id(answer);
                let (dropped, cuts) = (self.store.tip().place.length, self.shown.borrow().cuts);
                self.core.on_clean(now, wait, append, &self.store);
                self.execute();
                if self.shown.borrow().cuts != cuts {
                    warn!(client = %by, entries.dropped = %dropped, "the log was emptied on request");
                }
            }
            Command::Wait { order, w, timeout, answer } => {
                let wait = self.wait_id(answer);
                self.core.on_wait(wait, order, w, deadline(timeout), &self.store);
            }
            Command::Health { answer } => {
                // Who asked may have gone; then nobody wants to know.
                let _nobody_asks_any_more = answer.send(self.health(now));
            }
        }
        self.execute();
    }

    fn wait_id(&mut self, answer: oneshot::Sender<WriteOutcome>) -> WaitId {
        WaitId(self.waiters.insert(answer))
    }

    /// Forgets the waits of callers that hung up. Their number is bounded by the connections of the edge.
    fn sweep_hung_up(&mut self) {
        if self.swept_at.elapsed() < SWEEP_INTERVAL {
            return;
        }
        self.swept_at = Instant::now();
        let core = &mut self.core;
        self.waiters.retain(|wait, answer| {
            let gone = answer.is_closed();
            if gone {
                core.on_hang_up(WaitId(wait));
            }
            !gone
        });
    }

    fn on_bus(&mut self, event: BusEvent) {
        let now = self.now();
        match event {
            BusEvent::Message(packet) => self.on_packet(now, &packet),
            BusEvent::Up { max_payload } => {
                self.denied = None;
                self.core.on_bus_up(now, max_payload);
            }
            BusEvent::Down => self.core.on_bus_down(),
            BusEvent::Denied { what } => self.denied = Some(what),
            BusEvent::Overrun => warn!("packets were dropped because this node read too slowly"),
        }
        self.execute();
    }

    fn on_packet(&mut self, now: Moment, packet: &Incoming) {
        match self.translator.read(packet) {
            Ok(event) => self.on_event(now, event, &packet.subject),
            Err(refused) => {
                if self.refused.count(refused.kind(), &packet.subject) {
                    warn!(subject = %packet.subject, reason = %refused, "refused an envelope; more of its kind are only counted");
                }
            }
        }
    }

    fn on_event(&mut self, now: Moment, event: Event, subject: &str) {
        match event {
            Event::Ack(ack) => self.on_ack(now, &ack, subject),
            Event::Join { join, reply } => self.core.on_join(now, &join, reply, &self.store),
            Event::Fetch { fetch, reply } => self.core.on_fetch(now, &fetch, reply, &self.store),
            Event::Heartbeat(heartbeat) => self.core.on_heartbeat(now, &heartbeat),
            Event::Ask(ask, reply) => self.core.on_ask(now, &ask, reply, &self.store),
            Event::Promise(promise, reply) => self.core.on_promise(now, &promise, reply, &self.store),
            Event::Read(read, reply) => self.core.on_read(read, reply),
            Event::State(state) => self.core.on_state(now, *state, &self.store),
            Event::ReadAnswer(header, lines) => self.core.on_read_answer(now, &header, &lines, &self.store),
            Event::NoResponders(node) => self.core.on_no_responders(now, &node),
            Event::Unanswered => {}
        }
    }

    fn on_ack(&mut self, now: Moment, ack: &wire::Ack, subject: &str) {
        use crate::core::AckOutcome;
        let kind = match self.core.on_ack(now, ack, &self.store) {
            AckOutcome::Counted | AckOutcome::Heard | AckOutcome::NotLeading | AckOutcome::BeforeJoin => {
                return;
            }
            AckOutcome::UnknownNode => "unknown_node",
            AckOutcome::ForeignLog => "foreign_log",
            AckOutcome::NotAdmitted => "stale_incarnation",
            AckOutcome::Mismatch => "digest",
        };
        if self.refused.count(kind, subject) {
            warn!(secondary = %ack.sender.node, kind, "an ack does not count; more of its kind are only counted");
        }
    }

    /// Executes what the core decided, in order. What it decided over a log that could not be read is no
    /// decision.
    fn execute(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        self.core.take_effects(&mut effects);
        if let Some(failure) = self.store.failure() {
            self.failure.get_or_insert(failure.into());
        }
        for effect in effects.drain(..) {
            if self.failure.is_none() {
                self.execute_one(effect);
            }
        }
        self.effects = effects;
    }

    fn execute_one(&mut self, effect: Effect) {
        match effect {
            Effect::Save(identity) => {
                if let Err(error) = self.keeper.save(&identity) {
                    self.failure = Some(NodeFailure::Identity(error.to_string()));
                }
            }
            Effect::Append(lines) => {
                note_entries(&lines);
                if !self.store.append(&lines) && self.store.failure().is_none() {
                    error!(order = %lines.from(), "a run does not continue the log: this is a defect, please report it");
                }
            }
            Effect::Truncate(place) => {
                // A clean is wanted; what a takeover cuts may be missed.
                let wanted = self.core.epoch().is_some();
                self.truncate(place, if wanted { Cut::Drop } else { Cut::Quarantine });
            }
            Effect::Answer { wait, outcome } => self.answer(wait, outcome),
            Effect::Entries { secondary, push, answer } => self.send_entries(secondary, push, answer),
            Effect::JoinAnswer { reply, answer } => self.send(self.translator.join_answer(reply, &answer)),
            Effect::Heartbeat(heartbeat) => self.send(self.translator.heartbeat(&heartbeat)),
            Effect::Ask(ask) => self.send(self.translator.ask(&ask)),
            Effect::Promise(node, promise) => self.send(self.translator.promise(&node, &promise)),
            Effect::Read(node, read) => self.send(self.translator.read_range(&node, &read)),
            Effect::State { reply, state } => self.send(Translator::state(reply, &state)),
            Effect::ReadAnswer(answer) => self.answer_read(answer),
            Effect::Notice(Notice::Stopped(NotLeading::NotPromoted { reason })) => {
                self.failure = Some(NodeFailure::NotPromoted(reason));
            }
            Effect::Notice(notice) => tell(&notice),
        }
    }

    /// Readers learn of the cut before it happens, so that none mixes two histories.
    fn truncate(&mut self, place: Place, cut: Cut) {
        self.shown.send_modify(|shown| {
            shown.cuts += 1;
            shown.length = shown.length.min(place.length);
        });
        match self.store.truncate(place, cut) {
            Ok(Some(file)) => warn!(file = %file.display(), "what was cut is kept in quarantine"),
            Ok(None) => {}
            Err(error) => self.failure = Some(error.into()),
        }
    }

    fn answer(&mut self, wait: WaitId, outcome: WriteOutcome) {
        if let Some(answer) = self.waiters.try_remove(wait.0) {
            // A caller that hung up in this very moment wants no answer.
            let _hung_up = answer.send(outcome);
        }
    }

    fn send_entries(&mut self, secondary: usize, push: crate::core::Push, answer: Option<(u64, String)>) {
        let (request, reply) = answer.map_or((None, None), |(request, reply)| (Some(request), Some(reply)));
        let page = match self.store.reader().read(push.from, push.to, usize::MAX) {
            Ok(page) => page,
            Err(failure) => return error!(%failure, "cannot read the log"),
        };
        let length = self.store.durable().length;
        if let Some(header) = self.core.entries_header(secondary, push, request, &page, length) {
            self.send(self.translator.entries(&header, &page.bytes, reply));
        }
    }

    fn answer_read(&mut self, answer: ReadAnswer) {
        let ReadAnswer { reply, sender, request, epoch, from } = answer;
        let (length, bytes) = (self.store.durable().length, self.core.page_bytes());
        let page = match self.store.reader().read(from, length, bytes) {
            Ok(page) => page,
            Err(failure) => return error!(%failure, "cannot read the log"),
        };
        let (count, digest, request) = (page.to.since(from), page.digest, Some(request));
        let header = wire::EntriesHeader { sender, epoch, from, count, length, digest, request };
        let payload = wire::encode_entries(&header, &page.bytes);
        self.send(Outgoing { subject: reply, reply: None, payload });
    }

    /// Hands a packet over. What the bus does not take is sent again from the log when its time comes.
    fn send(&mut self, packet: Outgoing) {
        match self.bus.send(packet) {
            Ok(()) | Err(Refused::NotConnected | Refused::Full) => {}
            Err(refused) => {
                if self.refused.count("not_sent", "") {
                    warn!(reason = %refused, "a packet cannot be sent");
                }
            }
        }
    }

    fn show(&mut self) {
        let (length, log_id) = (self.store.durable().length, self.core.log_id());
        let epoch = self.store.tip().epoch.as_ref().map(replog_shared::Epoch::number);
        self.shown.send_if_modified(|shown| {
            let now = Shown { length, log_id, epoch, cuts: shown.cuts };
            let changed = *shown != now;
            *shown = now;
            changed
        });
        let now = Readiness { bus_is_up: self.core.bus_is_up(), leading: self.core.epoch().is_some() };
        self.readiness.send_if_modified(|readiness| std::mem::replace(readiness, now) != now);
    }

    fn health(&self, now: Moment) -> HealthReport {
        let tip = self.store.tip();
        let secondaries = self.core.secondaries(now).map(|secondary| SecondaryReport {
            node: secondary.node.clone(),
            status: secondary.health.as_str(),
            stage: secondary.stage.as_str(),
            acked_through: secondary.acked_through,
            retries: secondary.retries,
            too_large: secondary.too_large,
        });
        HealthReport {
            not_leading: self.core.not_leading(),
            log_id: self.core.log_id(),
            epoch: self.core.epoch().map(replog_shared::Epoch::number),
            length: tip.place.length,
            digest: tip.digest,
            pending_writes: self.core.pending_writes(),
            bus_is_up: self.core.bus_is_up(),
            denied: self.denied.clone(),
            rival: self.core.rival(now).cloned(),
            healthy_nodes: self.core.healthy_nodes(now),
            refused: self.refused.by_kind(),
            secondaries: secondaries.collect(),
        }
    }
}

/// One line for each entry that gets its place.
fn note_entries(lines: &Lines) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        for entry in lines.entry_lines().map(EntryLine::parse).filter_map(Result::ok) {
            let id = entry.id_text();
            debug!(entry.order = %entry.order, message.id = %String::from_utf8_lossy(&id), "appended");
        }
    }
}

fn tell(notice: &Notice) {
    match notice {
        Notice::Leading { epoch, log_id, length } => {
            let log_id = log_id.map(tracing::field::display);
            info!(%epoch, log_id, %length, "this node leads");
        }
        Notice::Adopting { log_id, from, length } => {
            warn!(%log_id, %from, %length, "another node's log ranks highest: this one fetches what it lacks");
        }
        Notice::Cut { orders } => {
            warn!(%orders, "gave up entries that the log it takes over does not have");
        }
        Notice::NewLog { silent } if silent.is_empty() => info!("no node holds a log: a new one begins"),
        Notice::NewLog { silent } => {
            warn!(not_heard = ?silent, "no node that answered holds a log: a new one begins");
        }
        Notice::Waiting { reason } => warn!(%reason, "not leading yet"),
        Notice::Stopped(NotLeading::Stopping) => info!("stopping"),
        Notice::Stopped(NotLeading::Fenced { by }) => {
            error!(%by, "another node reigns: this one takes no appends any more; start it as a secondary");
        }
        // The program ends with it.
        Notice::Stopped(NotLeading::NotPromoted { .. }) => {}
        Notice::Stopped(NotLeading::Diverged { node }) => {
            error!(secondary = %node, "a secondary holds entries that this log lacks: no appends are taken any more");
        }
        Notice::Stopped(NotLeading::Recovering { .. }) => {}
        Notice::Admitted { node, length } => info!(secondary = %node, %length, "a secondary joined"),
        Notice::JoinRefused { node, reason } => warn!(secondary = %node, reason, "refused a join"),
        Notice::Rival { node } => {
            error!(master = %node, "another master leads a log of this name: stop one of the two, or give it another --log");
        }
        Notice::TooLargeForBus { node, order, limit } => {
            error!(secondary = %node, %order, limit_bytes = limit, "an entry is larger than what nats-server takes: raise its max_payload; until then no secondary gets it or what stands behind it");
        }
        Notice::DigestMismatch { node, through } => {
            error!(secondary = %node, %through, "a secondary's log differs from this one: its acks do not count");
        }
    }
    debug!(?notice, "notice");
}
