//! What is asked of the master, and what it may answer.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fastrand::Rng;
use replog_core::master::events::{Append, Interruption, NewMessage, Refusal, WaitId, WriteOutcome, Written};
use replog_shared::{Message, MessageId, Moment, Order, WriteConcern};

use super::{
    coverage::{Coverage, Path},
    mirror::{Key, hash},
    oracle::{Answer, Oracle},
    plan::pick,
};

/// What a master's answer says besides its outcome.
#[derive(Clone, Debug)]
pub(super) struct Told(pub(super) Answer);

/// What a client sends to the master. A deadline is told as a duration: the master's clock gives the moment.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Append {
        wait: usize,
        messages: Vec<NewMessage>,
        w: WriteConcern,
        expect: Option<Order>,
        timeout: Option<u64>,
    },
    Wait {
        wait: usize,
        order: Order,
        w: WriteConcern,
        timeout: Option<u64>,
    },
    Clean {
        wait: usize,
        w: WriteConcern,
    },
    HangUp {
        wait: usize,
    },
}

/// A request without an answer.
#[derive(Clone, Debug, Default)]
struct Request {
    /// The node that it was sent to.
    node: usize,
    keys: Vec<Key>,
    w: u16,
    expect: Option<u64>,
    /// One of those after the healing, which must be answered.
    last: bool,
}

/// All clients of a simulation.
#[derive(Debug)]
pub(super) struct Clients {
    nodes: u16,
    open: BTreeMap<usize, Request>,
    next_wait: usize,
    /// Batches that were written, for retries.
    written: Vec<Vec<NewMessage>>,
    /// Ids that were sent again as a part of another batch, or with another message.
    spoiled: BTreeSet<u64>,
    messages: u64,
    /// Ids whose caller was told that its time is over.
    timed_out: BTreeSet<u64>,
    /// The write concerns that were met after the healing.
    pub(super) last_met: BTreeSet<u16>,
    pub(super) waits_for_last: BTreeSet<u16>,
}

impl Clients {
    pub(super) fn new(nodes: u16) -> Clients {
        Clients {
            nodes,
            open: BTreeMap::new(),
            next_wait: 0,
            written: Vec::new(),
            spoiled: BTreeSet::new(),
            messages: 0,
            timed_out: BTreeSet::new(),
            last_met: BTreeSet::new(),
            waits_for_last: BTreeSet::new(),
        }
    }

    /// The next request to a node; `length` is that of its log, `retries` how many of 20 repeat an old one.
    pub(super) fn draw(
        &mut self,
        node: usize,
        length: u64,
        retries: u8,
        random: &mut Rng,
        oracle: &mut Oracle,
    ) -> Command {
        match random.u8(..20) {
            0 if self.waits_at(node).next().is_some() => self.hang_up(node, random),
            1 if length > 0 => {
                let order = Order::new(random.u64(..length + 1));
                let w = self.w(random);
                let wait = self.open(Request { node, w: w.get(), ..Request::default() });
                Command::Wait { wait, order, w, timeout: timeout(random) }
            }
            draw if (2..2 + retries).contains(&draw) && !self.written.is_empty() => {
                let mut messages = pick(random, &self.written).clone();
                self.spoil(&mut messages, random);
                self.append(node, messages, None, random, oracle)
            }
            _ => {
                let messages = self.fresh(random);
                self.written.push(messages.clone());
                let near = (length + random.u64(..3)).saturating_sub(1);
                let expect = (random.u8(..6) == 0).then_some(near);
                self.append(node, messages, expect, random, oracle)
            }
        }
    }

    /// Now and then a retry is not quite what was sent first: other messages, a part, or something behind it.
    fn spoil(&mut self, messages: &mut Vec<NewMessage>, random: &mut Rng) {
        let how = random.u8(..8);
        if how <= 2 {
            self.spoiled.extend(messages.iter().map(|new| hash(new.id.as_str().as_bytes())));
        }
        match how {
            0 => {
                messages[0].message =
                    message(&format!("\"other {}\"", hash(messages[0].id.as_str().as_bytes())));
            }
            1 if messages.len() > 1 => drop(messages.remove(0)),
            2 => messages.extend(self.fresh(random)),
            _ => {}
        }
    }

    fn fresh(&mut self, random: &mut Rng) -> Vec<NewMessage> {
        let count = *pick(random, &[1, 1, 1, 2, 3, 6]);
        (0..count).map(|_| self.fresh_message(random)).collect()
    }

    fn fresh_message(&mut self, random: &mut Rng) -> NewMessage {
        self.messages += 1;
        let number = self.messages;
        let padding = if random.u8(..8) == 0 { "x".repeat(random.usize(..200)) } else { String::new() };
        NewMessage { id: id(number), message: message(&format!("\"m{number}{padding}\"")) }
    }

    fn append(
        &mut self,
        node: usize,
        messages: Vec<NewMessage>,
        expect: Option<u64>,
        random: &mut Rng,
        oracle: &mut Oracle,
    ) -> Command {
        let w = self.w(random);
        let wait = self.submit(node, &messages, w, expect, oracle);
        Command::Append { wait, messages, w, expect: expect.map(Order::new), timeout: timeout(random) }
    }

    fn submit(
        &mut self,
        node: usize,
        messages: &[NewMessage],
        w: WriteConcern,
        expect: Option<u64>,
        oracle: &mut Oracle,
    ) -> usize {
        let keys: Vec<Key> =
            messages.iter().map(|new| Key::of(new.id.as_str(), new.message.as_json())).collect();
        oracle.on_submit(&keys);
        self.open(Request { node, keys, w: w.get(), expect, last: false })
    }

    fn open(&mut self, request: Request) -> usize {
        self.next_wait += 1;
        self.open.insert(self.next_wait, request);
        self.next_wait
    }

    fn w(&self, random: &mut Rng) -> WriteConcern {
        concern(random.u16(1..=self.nodes), self.nodes)
    }

    /// The requests that a node has not answered.
    fn waits_at(&self, node: usize) -> impl Iterator<Item = usize> {
        self.open.iter().filter(move |(_, request)| request.node == node).map(|(wait, _)| *wait)
    }

    fn hang_up(&mut self, node: usize, random: &mut Rng) -> Command {
        let waits: Vec<usize> = self.waits_at(node).collect();
        Command::HangUp { wait: *pick(random, &waits) }
    }

    /// The log is to be emptied.
    pub(super) fn clean(&mut self, node: usize, random: &mut Rng) -> Command {
        let w = self.w(random);
        let wait = self.open(Request { node, w: w.get(), ..Request::default() });
        Command::Clean { wait, w }
    }

    /// The writes that must be answered once all is well: one for each w that has none under way.
    pub(super) fn last_writes(&mut self, node: usize, random: &mut Rng, oracle: &mut Oracle) -> Vec<Command> {
        let mut commands = Vec::new();
        for number in 1..=self.nodes {
            if self.last_met.contains(&number) || !self.waits_for_last.insert(number) {
                continue;
            }
            let (messages, w) = (vec![self.fresh_message(random)], concern(number, self.nodes));
            let wait = self.submit(node, &messages, w, None, oracle);
            if let Some(request) = self.open.get_mut(&wait) {
                request.last = true;
            }
            commands.push(Command::Append { wait, messages, w, expect: None, timeout: None });
        }
        commands
    }

    pub(super) fn all_last_met(&self) -> bool {
        self.last_met.len() == usize::from(self.nodes)
    }

    /// How many requests have no answer.
    pub(super) fn open_requests(&self) -> usize {
        self.open.len()
    }

    /// A request did not reach its master.
    pub(super) fn on_unreachable(&mut self, command: &Command, oracle: &mut Oracle) {
        if let Command::Append { wait, .. } | Command::Wait { wait, .. } | Command::Clean { wait, .. } =
            command
        {
            let Some(request) = self.open.remove(wait) else { return };
            self.forget_last(&request);
            oracle.on_outcome(&request.keys, true);
        }
    }

    /// A caller has gone: it never learns what became of its write.
    pub(super) fn on_hung_up(&mut self, wait: usize, oracle: &mut Oracle) {
        if let Some(request) = self.open.remove(&wait) {
            self.forget_last(&request);
            oracle.on_outcome(&request.keys, false);
        }
    }

    /// A master died: nobody who asked it is answered.
    pub(super) fn on_master_died(&mut self, node: usize, oracle: &mut Oracle) {
        let waits: Vec<usize> = self.waits_at(node).collect();
        for wait in waits {
            self.on_hung_up(wait, oracle);
        }
    }

    fn forget_last(&mut self, request: &Request) {
        if request.last {
            self.waits_for_last.remove(&request.w);
        }
    }

    /// A master answers. `told`: what else it says; none where it has no log.
    pub(super) fn on_answer(
        &mut self,
        wait: WaitId,
        outcome: &WriteOutcome,
        told: Option<&Told>,
        oracle: &mut Oracle,
        coverage: &mut Coverage,
    ) {
        // Whoever hung up may be answered in that very moment, and hears nothing.
        let Some(request) = self.open.remove(&wait.0) else { return };
        self.forget_last(&request);
        match (outcome, told) {
            (WriteOutcome::Met { written, .. }, Some(Told(answer))) => {
                check_written(&request, written, answer, oracle);
                oracle.on_met(answer, written.first.get(), written.count, request.w);
                self.on_met(&request, written, coverage);
            }
            (WriteOutcome::Interrupted { written, by: Interruption::Stopping }, Some(Told(answer))) => {
                coverage.hit(Path::StopTold);
                check_written(&request, written, answer, oracle);
            }
            (WriteOutcome::Unconfirmed { written, .. }, Some(Told(answer))) => {
                check_written(&request, written, answer, oracle);
                self.timed_out.extend(request.keys.iter().map(|key| key.id));
            }
            (WriteOutcome::Refused(Refusal::PartlyKnown { .. }), _)
                if !request.keys.iter().any(|key| self.spoiled.contains(&key.id)) =>
            {
                oracle.found(|| "all or nothing: a batch was stored in part".to_owned());
            }
            _ => {}
        }
        oracle.on_outcome(&request.keys, matches!(outcome, WriteOutcome::Refused(_)));
    }

    fn on_met(&mut self, request: &Request, written: &Written, coverage: &mut Coverage) {
        coverage.hit(Path::Met);
        if request.last {
            self.last_met.insert(request.w);
        }
        if written.duplicate && request.keys.len() > 1 {
            coverage.hit(Path::RetryFound);
        }
        if request.keys.iter().any(|key| self.timed_out.contains(&key.id)) {
            coverage.hit(Path::AnswerAfterTimeout);
        }
    }
}

fn check_written(request: &Request, written: &Written, answer: &Answer, oracle: &mut Oracle) {
    oracle.check_durable(answer.node, written.first.get() + written.count);
    oracle.check_named_holders(answer, written.first.get() + written.count);
    oracle.check_run(answer.node, written.first.get(), &request.keys);
    if request.keys.is_empty() {
        return;
    }
    if written.count != request.keys.len() as u64 {
        oracle.found(|| "an answer counts other messages than were sent".to_owned());
    }
    if !written.duplicate && request.expect.is_some_and(|expected| expected != written.first.get()) {
        oracle.found(|| format!("a write got the order {}, which its caller did not expect", written.first));
    }
}

/// The append as the core takes it.
pub(super) fn append(
    messages: Vec<NewMessage>,
    w: WriteConcern,
    expect_order: Option<Order>,
    deadline: Option<Moment>,
) -> Append {
    Append { messages, w, expect_order, deadline }
}

/// From 0 to a second, or none.
fn timeout(random: &mut Rng) -> Option<u64> {
    (random.u8(..4) != 0).then(|| random.u64(..1_000_000))
}

fn concern(w: u16, nodes: u16) -> WriteConcern {
    WriteConcern::checked(Some(w.into()), nodes).unwrap_or(WriteConcern::ONE)
}

fn id(number: u64) -> MessageId {
    // Some ids need an escape in JSON.
    let text = if number.is_multiple_of(7) { format!("\"{number}\\ü") } else { format!("id{number}") };
    MessageId::new(&text).unwrap_or_else(|error| unreachable!("a made up id: {error}"))
}

fn message(json: &str) -> Message {
    Message::from_json(Bytes::copy_from_slice(json.as_bytes()))
        .unwrap_or_else(|error| unreachable!("a made up message: {error}"))
}
