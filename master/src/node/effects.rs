//! What the core decides is done.

use replog_host::{
    bus::{Bus, Outgoing, Refused},
    held::HeldFailure,
    outbox::Passage,
};
use replog_shared::{
    Lines, Moment, Place,
    entry::EntryLine,
    store::{Cut, Span, Store},
    trace::{Trace, TraceParent},
    wire,
};
use tracing::{debug, warn};

use super::{Node, NodeFailure, notices};
use crate::bus::Translator;
use replog_core::master::{
    Effect, ReadAnswer,
    events::{NotLeading, Notice, WaitId, WriteOutcome},
};

/// What this node says to others.
#[derive(Debug)]
pub(super) enum Said {
    /// A packet for the bus.
    Packet(Outgoing),
    /// The answer to a caller.
    Answer(WaitId, WriteOutcome),
}

impl<S: Store, B: Bus> Node<S, B> {
    /// Executes what the core decided, in order. What it decided over a log that could not be read is no
    /// decision.
    pub(super) fn execute(&mut self, now: Moment) {
        let mut effects = std::mem::take(&mut self.effects);
        self.core.take_effects(&mut effects);
        self.stop_unless(self.held.check());
        for effect in effects.drain(..) {
            if self.failure.is_none() {
                self.execute_one(now, effect);
            }
        }
        self.effects = effects;
    }

    pub(super) fn stop_unless(&mut self, done: Result<(), HeldFailure>) {
        if let Err(failure) = done {
            self.failure.get_or_insert(failure.into());
        }
    }

    fn execute_one(&mut self, now: Moment, effect: Effect) {
        match effect {
            Effect::Save(identity) => self.held.save(&identity),
            Effect::Append(lines) => {
                note_entries(&lines, self.telemetry.trace());
                let appended = self.held.append(&lines);
                self.stop_unless(appended);
                self.telemetry.on_appended(&lines);
            }
            Effect::Truncate(place, cut) => self.truncate(now, place, cut),
            Effect::Answer { wait, outcome } => self.say(now, wait, outcome),
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
            Effect::Notice(Notice::Stopped(NotLeading::DryRun { report })) => {
                self.failure = Some(NodeFailure::DryRun(report));
            }
            Effect::Notice(notice) => notices::log(&notice),
        }
    }

    fn truncate(&mut self, now: Moment, place: Place, cut: Cut) {
        let cut = self.held.truncate(place, cut);
        self.stop_unless(cut);
        self.telemetry.on_cut(now, place.length, self.held.log().figures().bytes);
    }

    fn send_entries(&mut self, secondary: usize, push: Span, answer: Option<(u64, String)>) {
        let (request, reply) = answer.map_or((None, None), |(request, reply)| (Some(request), Some(reply)));
        let Some((push, page)) = self.held.part(push) else { return };
        let length = self.held.log().durable().length;
        if request.is_none() {
            self.telemetry.on_pushed(push);
        }
        if let Some(mut header) = self.core.entries_header(secondary, push, request, &page, length) {
            header.traces = self.telemetry.traces(push.from.length, page.to);
            note_traces(&header);
            self.send(self.translator.entries(&header, &page.bytes, reply));
        }
    }

    fn answer_read(&mut self, answer: ReadAnswer) {
        let ReadAnswer { reply, sender, request, epoch, from } = answer;
        let (durable, bytes) = (self.held.log().durable(), self.core.page_bytes());
        let span = Span::fitting(self.held.log(), from, durable, bytes);
        let Some((span, page)) = self.held.part(span) else { return };
        let header = wire::EntriesHeader::of(sender, epoch, span, &page, durable.length, Some(request));
        let payload = wire::encode_entries(&header, &page.bytes);
        self.send(Outgoing { subject: reply, reply: None, payload });
    }

    /// Answers a caller, once the saves and cuts before it are durable. A refusal claims nothing and waits for nothing.
    fn say(&mut self, now: Moment, wait: WaitId, outcome: WriteOutcome) {
        if matches!(outcome, WriteOutcome::Refused(_)) {
            return self.answer(now, wait, outcome);
        }
        if let Some(said) = self.outbox.pass_surely(self.held.open(), Said::Answer(wait, outcome)) {
            self.say_now(now, said);
        }
    }

    /// Hands a packet over, once the saves and cuts before it are durable. What the bus does not take is sent again
    /// from the log when its time comes.
    fn send(&mut self, packet: Outgoing) {
        match self.outbox.pass(self.held.open(), packet.payload.len(), Said::Packet(packet)) {
            Passage::Free(said) => self.say_now(self.now(), said),
            Passage::Held => {}
            Passage::Full => self.on_refused(Refused::Full),
        }
    }

    /// Says what waited for saves and cuts that are durable by now.
    pub(super) fn release(&mut self, now: Moment) {
        while let Some(said) = self.outbox.next_due(self.held.done()) {
            self.say_now(now, said);
        }
    }

    fn say_now(&mut self, now: Moment, said: Said) {
        match said {
            Said::Answer(wait, outcome) => self.answer(now, wait, outcome),
            Said::Packet(packet) => {
                if let Err(refused) = self.bus.send(packet) {
                    self.on_refused(refused);
                }
            }
        }
    }

    fn on_refused(&mut self, refused: Refused) {
        self.telemetry.bus.on_refused(refused);
        let comes_back = matches!(refused, Refused::NotConnected | Refused::Full);
        if !comes_back && self.refused.count("not_sent", "") {
            warn!(reason = %refused, "a packet cannot be sent");
        }
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
fn note_entries(lines: &Lines, trace: Option<TraceParent>) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        for entry in lines.entry_lines().map(EntryLine::parse).filter_map(Result::ok) {
            let id = entry.id_text();
            let trace_id = trace.map(|trace| tracing::field::display(trace.trace_id()));
            debug!(entry.order = %entry.order, message.id = %String::from_utf8_lossy(&id), trace_id, "appended");
        }
    }
}
