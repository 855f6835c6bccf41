//! What must hold, judged by the bytes in the stores and never by the nodes' own books.

use std::collections::{BTreeMap, BTreeSet};

use replog_shared::{Epoch, Incarnation, MarkKind, Order, store::MemoryStore, wire};

use super::mirror::{Content, Key, Mirror};

/// The log of one epoch, as its owner wrote it: what every other log of that epoch must be a prefix of.
#[derive(Debug, Default)]
struct History {
    lines: Vec<u64>,
    marks: Vec<(Epoch, MarkKind)>,
    ids: BTreeSet<u64>,
}

/// What is known of a process's acks: it said that it holds 0..this of that epoch.
type Acked = Option<(Epoch, u64)>;

/// A node, over all its processes.
#[derive(Debug, Default)]
struct Node {
    mirror: Mirror,
    /// The process that runs, by a number that no restart repeats.
    process: u64,
    incarnation: Option<Incarnation>,
    acked: Acked,
    /// What processes that died had acked.
    died: BTreeMap<u64, Acked>,
    /// The process that the master has admitted.
    admitted: Option<u64>,
}

/// An entry that was answered with at least two holders: while one of them lives, a promotion keeps it.
#[derive(Debug)]
struct Promised {
    order: u64,
    line: u64,
    holders: Vec<(usize, u64)>,
}

/// What a client wrote, as the oracle knows it.
#[derive(Clone, Copy, Debug, Default)]
struct Submitted {
    /// Attempts without an outcome.
    open: u32,
    /// Some attempt ended otherwise than by a refusal: it may be in the log.
    possible: bool,
}

/// Judges.
#[derive(Debug)]
pub(super) struct Oracle {
    /// The master first.
    nodes: Vec<Node>,
    histories: BTreeMap<Epoch, History>,
    submitted: BTreeMap<Key, Submitted>,
    promised: Vec<Promised>,
    processes: u64,
    /// The last process of a node under an incarnation.
    known: BTreeMap<(usize, Incarnation), u64>,
    violation: Option<String>,
}

impl Oracle {
    pub(super) fn new(secondaries: usize) -> Oracle {
        Oracle {
            nodes: (0..=secondaries).map(|_| Node::default()).collect(),
            histories: BTreeMap::new(),
            submitted: BTreeMap::new(),
            promised: Vec::new(),
            processes: 0,
            known: BTreeMap::new(),
            violation: None,
        }
    }

    /// Something is wrong; only the first finding counts.
    pub(super) fn found(&mut self, what: impl FnOnce() -> String) {
        self.violation.get_or_insert_with(what);
    }

    pub(super) fn take_violation(&mut self) -> Option<String> {
        self.violation.take()
    }

    /// A process starts, with nothing.
    pub(super) fn on_start(&mut self, node: usize, incarnation: Incarnation) {
        self.processes += 1;
        let process = self.processes;
        self.known.insert((node, incarnation), process);
        let node = &mut self.nodes[node];
        node.died.insert(node.process, node.acked.take());
        node.process = process;
        node.incarnation = Some(incarnation);
        node.mirror.clear();
    }

    /// The master dies: nobody is admitted any more.
    pub(super) fn on_master_start(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.admitted = None);
    }

    /// The master admitted this process, which may be dead by now.
    pub(super) fn on_admitted(&mut self, node: usize, incarnation: Incarnation) {
        self.nodes[node].admitted = self.known.get(&(node, incarnation)).copied();
    }

    /// The master opened an epoch: nobody is admitted to it.
    fn on_opened(&mut self, epoch: &Epoch, kind: MarkKind) {
        self.on_master_start();
        let mirror = &self.nodes[0].mirror;
        let mut history = History::default();
        for line in &mirror.lines {
            history.lines.push(line.hash);
            match &line.content {
                Content::Mark(epoch, kind) => history.marks.push((epoch.clone(), *kind)),
                Content::Entry(key) => {
                    history.ids.insert(key.id);
                }
            }
        }
        if self.histories.insert(epoch.clone(), history).is_some() {
            self.found(|| format!("epoch {epoch} was opened twice"));
        }
        match kind {
            MarkKind::Promotion => self.check_promises(),
            MarkKind::Start | MarkKind::Clean => self.promised.clear(),
        }
    }

    /// Entries that two nodes held survive a promotion unless all that held them died.
    fn check_promises(&mut self) {
        let mut lost = None;
        let (nodes, master) = (&self.nodes, &self.nodes[0].mirror);
        self.promised.retain(|promised| {
            let kept = master.entry(promised.order).is_some_and(|(_, line)| line == promised.line);
            let holder = promised.holders.iter().find(|(node, process)| nodes[*node].process == *process);
            if let (false, Some((node, _))) = (kept, holder) {
                lost = Some((promised.order, *node));
            }
            kept
        });
        if let Some((order, node)) = lost {
            self.found(|| {
                format!("the promotion lost the entry at {order}, which was answered and s{node} still held")
            });
        }
    }

    /// A run was appended from `from` on; `stored`: the store took it.
    pub(super) fn on_append(&mut self, node: usize, from: Order, stored: bool, store: &MemoryStore) {
        if !stored {
            return self.found(|| format!("a run at {from} did not continue the log of node {node}"));
        }
        match self.nodes[node].mirror.reread(from, store) {
            Err(what) => self.found(|| format!("node {node}: {what}")),
            Ok(first) => {
                (first..self.nodes[node].mirror.lines.len()).for_each(|index| self.check_line(node, index));
            }
        }
    }

    fn check_line(&mut self, node: usize, index: usize) {
        let line = &self.nodes[node].mirror.lines[index];
        let own = |epoch: &Epoch, oracle: &Oracle| {
            node == 0 && Some(epoch.incarnation) == oracle.nodes[0].incarnation
        };
        match line.content.clone() {
            Content::Mark(epoch, kind) => {
                if own(&epoch, self) && !self.histories.contains_key(&epoch) {
                    return self.on_opened(&epoch, kind);
                }
                self.check_prefix(node, &epoch, index);
            }
            Content::Entry(key) => {
                let hash = line.hash;
                let Some(epoch) = self.epoch_at(node, index) else { return };
                let written =
                    self.histories.get(&epoch).and_then(|history| history.lines.get(index)).copied();
                match written {
                    Some(written) if written == hash => {}
                    None if own(&epoch, self) => self.on_written(&epoch, key, hash),
                    Some(_) => self.found(|| {
                        format!("agreement: line {index} of node {node} is not what epoch {epoch} has there")
                    }),
                    None => self.found(|| {
                        format!("invention: line {index} of node {node} is in no log of epoch {epoch}")
                    }),
                }
            }
        }
    }

    /// The epoch of the last mark before a line.
    fn epoch_at(&self, node: usize, index: usize) -> Option<Epoch> {
        let lines = &self.nodes[node].mirror.lines[..index];
        lines.iter().rev().find_map(|line| match &line.content {
            Content::Mark(epoch, _) => Some(epoch.clone()),
            Content::Entry(_) => None,
        })
    }

    /// The master gives an order.
    fn on_written(&mut self, epoch: &Epoch, key: Key, line: u64) {
        let known = self.submitted.get(&key).copied();
        match known {
            None => self.found(|| "invention: an entry that no client wrote".to_owned()),
            Some(Submitted { open: 0, possible: false }) => {
                self.found(|| "an entry appeared although every attempt to write it was refused".to_owned());
            }
            Some(_) => {}
        }
        let Some(history) = self.histories.get_mut(epoch) else { return };
        history.lines.push(line);
        if !history.ids.insert(key.id) {
            self.found(|| "exactly once: an id got a second order".to_owned());
        }
    }

    /// The lines through the mark at `index` are those of the log that the epoch began with.
    fn check_prefix(&mut self, node: usize, epoch: &Epoch, index: usize) {
        let Some(history) = self.histories.get(epoch) else {
            return self.found(|| {
                format!("invention: node {node} has a mark of epoch {epoch}, which nobody opened")
            });
        };
        let own = self.nodes[node].mirror.lines[..=index].iter().map(|line| line.hash);
        if !own.eq(history.lines.iter().copied().take(index + 1)) {
            self.found(|| format!("prefix: the log of node {node} is no prefix of the log of epoch {epoch}"));
        }
    }

    /// A log was cut. `fence`: the epoch that its node follows.
    pub(super) fn on_truncate(&mut self, node: usize, store: &MemoryStore, fence: Option<&Epoch>) {
        let before = self.nodes[node].mirror.clone();
        if let Err(what) = self.nodes[node].mirror.reread(Order::ZERO, store) {
            return self.found(|| format!("node {node}: {what}"));
        }
        let kept = self.nodes[node].mirror.lines.len();
        let Some(cut) = before.lines.get(kept).filter(|_| node != 0) else { return };
        let Some(history) = fence.and_then(|fence| self.histories.get(fence)) else {
            return self.found(|| format!("s{node} cut its log while it follows nobody"));
        };
        let newest = before.epoch();
        let explained =
            history.marks.iter().any(|(epoch, kind)| *kind != MarkKind::Start && Some(epoch) > newest);
        if !explained {
            self.found(|| format!("monotone: s{node} cut its log and no promotion or clean explains it"));
        } else if history.lines.get(kept) == Some(&cut.hash) {
            self.found(|| format!("s{node} cut a line that its master has too"));
        }
    }

    /// A secondary says what it holds.
    pub(super) fn on_ack(&mut self, node: usize, ack: &wire::Ack) {
        if ack.error.is_some() {
            return;
        }
        let (mirror, through) = (&self.nodes[node].mirror, ack.through.get());
        let honest = through <= mirror.length() && ack.epoch.as_ref() == mirror.epoch();
        let digest_fits = through < mirror.length() || ack.digest == mirror.digest();
        if !honest || !digest_fits {
            let length = mirror.length();
            return self.found(|| format!("ack honesty: s{node} acked through {through} and holds {length}"));
        }
        self.nodes[node].acked = ack.epoch.clone().map(|epoch| (epoch, through));
    }

    /// Whether a secondary holds `0..through` of the master's epoch, as the master may believe: the process that
    /// it admitted does, or acked it and died since.
    fn holds(&self, node: usize, through: u64) -> bool {
        let (epoch, node) = (self.nodes[0].mirror.epoch(), &self.nodes[node]);
        let Some(admitted) = node.admitted else { return false };
        if admitted == node.process {
            return node.mirror.epoch() == epoch && node.mirror.length() >= through;
        }
        let acked = node.died.get(&admitted).and_then(Option::as_ref);
        acked.is_some_and(|(of, acked)| Some(of) == epoch && *acked >= through)
    }

    /// A caller is told that `w` nodes hold `first..first + count`.
    pub(super) fn on_met(&mut self, first: u64, count: u64, w: u16) {
        let through = first + count;
        let holders: Vec<usize> = (1..self.nodes.len()).filter(|node| self.holds(*node, through)).collect();
        if self.nodes[0].mirror.length() < through || holders.len() + 1 < usize::from(w) {
            let found = holders.len() + 1;
            return self.found(|| {
                format!("w honoured: {first}..{through} was answered for w = {w}, and {found} nodes hold it")
            });
        }
        if holders.is_empty() {
            return;
        }
        let holders: Vec<(usize, u64)> =
            holders.into_iter().filter_map(|node| Some((node, self.nodes[node].admitted?))).collect();
        for order in first..through {
            let line = self.nodes[0].mirror.entry(order).map(|(_, line)| line);
            self.promised.extend(line.map(|line| Promised { order, line, holders: holders.clone() }));
        }
    }

    /// The answer names this secondary as a holder.
    pub(super) fn on_named_holder(&mut self, node: usize, through: u64) {
        if !self.holds(node, through) {
            self.found(|| format!("an answer names s{node} as a holder of 0..{through}, which it is not"));
        }
    }

    /// The messages of a request stand where its answer says.
    pub(super) fn check_run(&mut self, first: u64, keys: &[Key]) {
        for (order, key) in (first..).zip(keys) {
            if self.nodes[0].mirror.entry(order).map(|(found, _)| found) != Some(*key) {
                return self.found(|| {
                    format!("an answer gives a message the order {order}, where something else stands")
                });
            }
        }
    }

    pub(super) fn on_submit(&mut self, keys: &[Key]) {
        for key in keys {
            self.submitted.entry(*key).or_default().open += 1;
        }
    }

    /// An attempt ended. `refused`: it promised that nothing was stored.
    pub(super) fn on_outcome(&mut self, keys: &[Key], refused: bool) {
        for key in keys {
            let Some(submitted) = self.submitted.get_mut(key) else { continue };
            submitted.open -= 1;
            submitted.possible |= !refused;
            let never = submitted.open == 0 && !submitted.possible;
            let stored =
                || self.nodes[0].mirror.lines.iter().any(|line| line.content == Content::Entry(*key));
            if never && stored() {
                self.found(|| "unknown is not failure: a refused write is in the log".to_owned());
            }
        }
    }

    pub(super) fn length(&self, node: usize) -> u64 {
        self.nodes[node].mirror.length()
    }

    /// The first secondary whose log is not the master's.
    pub(super) fn unequal(&self) -> Option<usize> {
        let of = |node: usize| self.nodes[node].mirror.lines.iter().map(|line| line.hash);
        (1..self.nodes.len()).find(|node| !of(0).eq(of(*node)))
    }

    /// The mirrors agree with a second, full look at a store.
    pub(super) fn check_store(&mut self, node: usize, store: &MemoryStore) {
        let mut fresh = Mirror::default();
        let read = fresh.reread(Order::ZERO, store);
        let digest = self.nodes[node].mirror.digest();
        if read.is_err() || fresh.digest() != digest {
            self.found(|| format!("the store of node {node} changed by itself"));
        }
    }
}
