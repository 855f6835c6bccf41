//! What must hold, judged by the bytes on the disks and never by the nodes' own books.
//!
//! | file | judges |
//! | --- | --- |
//! | `lines` | what is appended, cut, lost: agreement, invention, prefix, exactly once, monotone, fencing |
//! | `answers` | acks and answers: who holds what, and what a promotion must keep |
//! | `writes` | what clients sent and what they may find |

mod answers;
mod lines;
mod writes;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use replog_shared::{Digest, Epoch, Identity, LogId, MarkKind, NodeName, Order, Place, store::Ticket};

use super::{
    disk::{SimStore, line_of},
    mirror::{Key, Mirror},
    work::Undone,
};

pub(super) use answers::Answer;
pub(super) use lines::{Author, Cut};

/// The most nodes that a simulation has.
pub(super) const MAX_NODES: usize = 4;

/// The log of one epoch, as its owner wrote it: what every other log of that epoch must be a prefix of.
#[derive(Debug)]
struct History {
    /// The digest through each line.
    digests: Vec<Digest>,
    marks: Vec<(Epoch, MarkKind)>,
    ids: BTreeSet<u64>,
    log_id: Option<LogId>,
    kind: MarkKind,
    /// A promotion: how many whole nodes it reached. Else: all.
    reached: usize,
    /// The nodes that promised it, its owner among them, one bit each.
    promisers: u8,
    /// The nodes that a disaster made forget that they promised it, one bit each.
    forgotten_by: u8,
}

/// What a node saved, as far as it is judged.
#[derive(Clone, Debug, Default)]
pub(super) struct Saved {
    log_id: Option<LogId>,
    promised: Option<Epoch>,
    ranked: usize,
    whole: bool,
}

/// A node, over all its processes.
#[derive(Debug, Default)]
struct Node {
    mirror: Mirror,
    /// How many lines are held at the durability level.
    durable: usize,
    log_id: Option<LogId>,
    /// The highest epoch that it saved as its fence, unless a disaster took that back.
    promised: Option<Epoch>,
    /// How many lines it held then: these are its rank.
    ranked: usize,
    /// The epoch of the last log that it gave up because there was nothing in it.
    gave_up: Option<Epoch>,
    /// A line of its log was damaged while it ran.
    damaged: bool,
    /// It has ever saved that it is whole.
    was_whole: bool,
    /// Whether it counts as whole, as far as it saved.
    whole: bool,
    /// It counts as whole no more, and what it gives up for that is still there.
    owes_a_cut: bool,
}

impl Node {
    fn saved(&self) -> Saved {
        let Node { log_id, promised, ranked, whole, .. } = self;
        Saved { log_id: *log_id, promised: promised.clone(), ranked: *ranked, whole: *whole }
    }

    /// Whether what it saved as its fence is no promise: it followed a log of which nothing is left.
    fn has_only_followed(&self) -> bool {
        let is_first_reign = self.promised.as_ref().is_some_and(|promised| promised.reign <= 1);
        is_first_reign || self.promised == self.gave_up
    }
}

/// Who ever held a line, and lost it again.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// One bit a node.
    ever: u8,
    lost: u8,
    /// The last admission before a node lost it.
    lost_at: [u64; MAX_NODES],
}

/// An entry (or a clean's mark) whose caller was told which nodes hold it.
#[derive(Debug)]
struct Acked {
    order: u64,
    index: usize,
    digest: Digest,
    /// How many nodes the answer named as holders, its master among them.
    w: usize,
    epoch: Epoch,
    log_id: Option<LogId>,
    /// A later epoch rightly goes on without it.
    dead: bool,
    /// Nodes that held it when they saved that they are about to empty their log: one bit a node.
    given_up_by: u8,
    /// The node that answers, and the save or cut that its answer waits for.
    waits: Option<(usize, Ticket)>,
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
    names: Vec<NodeName>,
    nodes: Vec<Node>,
    histories: BTreeMap<Epoch, History>,
    held: HashMap<Digest, Held>,
    acked: Vec<Acked>,
    submitted: BTreeMap<Key, Submitted>,
    /// How often a master has admitted a node.
    admissions: u64,
    /// An old copy was restored: the bounds on what a promotion keeps do not hold.
    void: bool,
    /// The nodes whose directory was ever replaced, one bit each: they may have forgotten a promise.
    forgetful: u8,
    /// Lines were lost that had left their node: logs may diverge without an explanation.
    torn: bool,
    violation: Option<String>,
}

impl Oracle {
    pub(super) fn new(names: Vec<NodeName>) -> Oracle {
        Oracle {
            nodes: names.iter().map(|_| Node::default()).collect(),
            names,
            histories: BTreeMap::new(),
            held: HashMap::new(),
            acked: Vec::new(),
            submitted: BTreeMap::new(),
            admissions: 0,
            void: false,
            forgetful: 0,
            torn: false,
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

    /// Whether two logs may differ in a way that nothing in them explains.
    pub(super) const fn may_diverge(&self) -> bool {
        self.void || self.torn
    }

    /// Whether a node whose directory was replaced forgot an epoch that it had asked `promiser` to promise, and has not
    /// come as far again.
    pub(super) fn has_forgotten_reign(&self, node: usize, promiser: &NodeName) -> bool {
        let own = self.nodes[node].promised.as_ref();
        let promisers = self.names.iter().zip(&self.nodes).filter(|(name, _)| *name == promiser);
        let mut promised = promisers.filter_map(|(_, promiser)| promiser.promised.as_ref());
        self.forgetful >> node & 1 == 1
            && promised.any(|epoch| epoch.owner == self.names[node] && Some(epoch) > own)
    }

    /// A process starts over this disk.
    pub(super) fn on_start(&mut self, node: usize, whole: bool, store: &SimStore) {
        let this = &mut self.nodes[node];
        (this.whole, this.owes_a_cut) = (whole, false);
        self.look_again(node, store);
        self.on_durable(node, store.held());
    }

    /// A master admits a node, and learns of what that has lost so far. Returns which admission this is.
    pub(super) const fn on_admitted(&mut self) -> u64 {
        self.admissions += 1;
        self.admissions
    }

    /// A line of a running node is another one from now on, in a way that its own checks do not see.
    pub(super) fn on_flipped(&mut self, node: usize, store: &SimStore) {
        self.look_again(node, store);
        self.on_durable(node, store.held());
        self.nodes[node].damaged = true;
        self.torn = true;
    }

    /// Whether a node's log is damaged.
    pub(super) fn is_damaged(&self, node: usize) -> bool {
        self.nodes[node].damaged
    }

    /// A node died, and this is what is left on its disk.
    pub(super) fn on_death(&mut self, node: usize, store: &SimStore) {
        let lost = self.look_again(node, store);
        self.torn |= lost;
    }

    /// A node's directory is another one from now on: empty, or an old copy.
    pub(super) fn on_replaced(&mut self, node: usize, identity: &Identity, store: &SimStore) {
        self.look_again(node, store);
        self.nodes[node].log_id = identity.log_id;
        self.nodes[node].promised.clone_from(&identity.fence);
        self.forgetful |= 1 << node;
        let fence = identity.fence.as_ref();
        for (epoch, history) in self.histories.iter_mut().rev() {
            if Some(epoch) <= fence {
                break;
            }
            history.forgotten_by |= 1 << node;
        }
    }

    /// An old copy is on a disk: it may have forgotten anything.
    pub(super) const fn on_old_copy(&mut self) {
        self.void = true;
    }

    /// Reads a store anew. Returns whether lines are gone that were held at the durability level.
    fn look_again(&mut self, node: usize, store: &SimStore) -> bool {
        let mut fresh = Mirror::default();
        if let Err(what) = fresh.reread(Order::ZERO, store) {
            self.found(|| format!("node {node}: {what}"));
        }
        let this = &mut self.nodes[node];
        let before = std::mem::replace(&mut this.mirror, fresh);
        let (common, durable) = (this.mirror.common(&before), this.durable);
        this.durable = durable.min(common);
        for line in before.lines.iter().take(durable).skip(common) {
            let held = self.held.entry(line.digest).or_default();
            held.lost |= 1 << node;
            held.lost_at[node] = self.admissions;
        }
        common < durable
    }

    /// A log is held at the durability level up to this place.
    pub(super) fn on_durable(&mut self, node: usize, place: Place) {
        let this = &mut self.nodes[node];
        let through = (line_of(place) as usize).min(this.mirror.lines.len());
        for line in this.mirror.lines.iter().take(through).skip(this.durable) {
            let held = self.held.entry(line.digest).or_default();
            held.ever |= 1 << node;
            held.lost &= !(1 << node);
        }
        this.durable = through;
    }

    /// A crash came before some saves and cuts were done. Nobody was told of what they were to save.
    pub(super) fn on_undone(&mut self, node: usize, undone: Undone) {
        let this = &mut self.nodes[node];
        this.damaged |= undone.damaged;
        let Some(Saved { log_id, promised, ranked, whole }) = undone.saved else { return };
        let fence = promised.clone();
        (this.log_id, this.promised, this.ranked, this.whole) = (log_id, promised, ranked, whole);
        let is_taken_back = |(epoch, history): &(&Epoch, &History)| {
            Some(*epoch) > fence.as_ref()
                && epoch.owner != self.names[node]
                && history.kind == MarkKind::Promotion
                && (history.promisers & !self.forgetful) >> node & 1 == 1
        };
        if let Some(epoch) = self.histories.iter().find(is_taken_back).map(|(epoch, _)| epoch.clone()) {
            self.found(|| format!("fencing: a crash took back that node {node} had promised {epoch}"));
        }
        // An epoch of its own that it had opened above its fence began nowhere but in its memory.
        let owner = &self.names[node];
        let own = self.histories.iter_mut().filter(|(epoch, _)| epoch.owner == *owner);
        for (_, history) in own.filter(|(epoch, _)| Some(*epoch) > fence.as_ref()) {
            history.promisers &= !(1 << node);
            history.forgotten_by |= 1 << node;
        }
    }

    /// A node saves what it must never forget. Returns what is saved until that is done.
    pub(super) fn on_save(&mut self, node: usize, identity: &Identity) -> Saved {
        let before = self.nodes[node].saved();
        self.judge_save(node, identity);
        before
    }

    fn judge_save(&mut self, node: usize, identity: &Identity) {
        let this = &mut self.nodes[node];
        this.log_id = identity.log_id;
        this.was_whole |= identity.whole;
        if identity.cleaning.is_some() {
            let given_up = |acked: &&mut Acked| this.mirror.has(acked.index, acked.digest);
            self.acked.iter_mut().filter(given_up).for_each(|acked| acked.given_up_by |= 1 << node);
        }
        // An empty log has nothing to cut.
        this.owes_a_cut |= this.whole && !identity.whole && !this.mirror.lines.is_empty();
        this.whole = identity.whole;
        let has_no_log = identity.log_id.is_none() && this.mirror.lines.is_empty();
        if has_no_log && identity.fence.is_none() && this.has_only_followed() {
            // The log that it followed had nothing in it and gave way to another one.
            this.promised = None;
        }
        if identity.fence < this.promised {
            let (fence, promised) = (identity.fence.clone(), this.promised.clone());
            return self.found(|| {
                format!("fencing: node {node} promised {promised:?} and now saves the fence {fence:?}")
            });
        }
        if identity.fence > this.promised {
            this.promised.clone_from(&identity.fence);
            this.ranked = this.durable;
        }
    }

    /// How the log of an epoch last came to another hand, or to a new beginning.
    pub(super) fn last_turn(&self, epoch: &Epoch) -> Option<MarkKind> {
        let kinds = self.histories.get(epoch)?.marks.iter().rev().map(|(_, kind)| *kind);
        kinds.into_iter().find(|kind| *kind != MarkKind::Start)
    }

    /// Whether any node was ever saved as whole.
    pub(super) fn saw_a_whole_node(&self) -> bool {
        self.nodes.iter().any(|node| node.was_whole)
    }

    pub(super) fn length(&self, node: usize) -> u64 {
        self.nodes[node].mirror.length()
    }

    /// The rank of a node's log: the epoch of its last mark, then its length.
    pub(super) fn rank(&self, node: usize) -> (Option<&Epoch>, u64) {
        (self.nodes[node].mirror.epoch(), self.length(node))
    }

    /// Whether the promotion that a node has just opened reached one that holds marks of starts, and no entry,
    /// behind what both logs have.
    pub(super) fn reached_a_folded_mark(&self, opener: usize) -> bool {
        let mine = &self.nodes[opener].mirror;
        let holds_folded = |(name, node): (&NodeName, &Node)| {
            let common = node.mirror.common(mine);
            mine.opening().is_some_and(|opening| opening.reached.contains(name))
                && common < node.mirror.lines.len()
                && node.mirror.holds_only_starts(common)
        };
        self.names.iter().zip(&self.nodes).any(holds_folded)
    }

    /// The first node whose log is not this one's.
    pub(super) fn unequal(&self, to: usize) -> Option<usize> {
        let end = |node: usize| {
            let mirror = &self.nodes[node].mirror;
            (mirror.lines.len(), mirror.digest())
        };
        (0..self.nodes.len()).find(|node| end(*node) != end(to))
    }

    /// The mirrors agree with a second, full look at a store.
    pub(super) fn check_store(&mut self, node: usize, store: &SimStore) {
        let mut fresh = Mirror::default();
        let read = fresh.reread(Order::ZERO, store);
        let digest = self.nodes[node].mirror.digest();
        if read.is_err() || fresh.digest() != digest {
            self.found(|| format!("the store of node {node} changed by itself"));
        }
    }
}
