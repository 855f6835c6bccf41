//! What is appended and cut.

use replog_shared::{Epoch, MarkKind, NodeName, Order};

use super::{History, Oracle, Submitted};
use crate::{
    disk::SimStore,
    mirror::{Content, Key, Mirror, Opening},
};

/// Why a log is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut<'a> {
    /// The node follows this epoch, whose history explains it.
    Followed(Option<&'a Epoch>),
    /// The node is being promoted, and another log ranks higher.
    Outranked,
    /// The log has nothing in it and gives way to another one.
    GaveWay,
    /// The log is emptied on purpose.
    Cleaned,
    /// A restarted master replaces its last mark, which no entry followed.
    Folded,
    /// A takeover did not come to its end: what was fetched is given up.
    Abandoned,
}

/// Whose lines are appended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Author<'a> {
    /// The node's own: it leads.
    Own,
    /// Another log's, which the node takes over.
    Fetched,
    /// Those of the epoch that a secondary follows.
    Followed(Option<&'a Epoch>),
}

impl Oracle {
    /// A run was appended from `from` on; `stored`: the store took it.
    pub(crate) fn on_append(
        &mut self,
        node: usize,
        from: Order,
        stored: bool,
        author: Author<'_>,
        store: &SimStore,
    ) {
        if !stored {
            return self.found(|| format!("a run at {from} did not continue the log of node {node}"));
        }
        if self.nodes[node].owes_a_cut {
            self.found(|| format!("whole: node {node} counts as whole no more, and gave nothing up"));
        }
        match self.nodes[node].mirror.reread(from, store) {
            Err(what) => return self.found(|| format!("node {node}: {what}")),
            Ok(first) => {
                let owns = matches!(author, Author::Own);
                let end = self.nodes[node].mirror.lines.len();
                (first..end).for_each(|index| self.check_line(node, index, owns));
            }
        }
        if let Author::Followed(Some(epoch)) = author {
            self.check_lineage(node, epoch);
        }
        self.on_durable(node, store.held());
    }

    /// A secondary's log is a prefix of the log that it follows, and it follows nothing older than it promised.
    fn check_lineage(&mut self, node: usize, epoch: &Epoch) {
        let this = &self.nodes[node];
        if Some(epoch) < this.promised.as_ref() {
            let promised = this.promised.clone();
            return self
                .found(|| format!("fencing: s{node} promised {promised:?} and takes entries in {epoch}"));
        }
        let Some(last) = this.mirror.lines.len().checked_sub(1) else { return };
        let digest = this.mirror.lines[last].digest;
        let theirs = self.histories.get(epoch).and_then(|history| history.digests.get(last));
        if theirs != Some(&digest) {
            self.found(|| {
                format!(
                    "prefix: line {last} of node {node} is not that of the log of {epoch}, which it follows"
                )
            });
        }
    }

    fn check_line(&mut self, node: usize, index: usize, owns: bool) {
        let mirror = &self.nodes[node].mirror;
        let (line, digest) = (&mirror.lines[index], mirror.lines[index].digest);
        let Some(opening) = mirror.opening_at(index + 1).cloned() else {
            return self.found(|| format!("line {index} of node {node} stands before every mark"));
        };
        let content = line.content.clone();
        let before = mirror.opening_at(index).map(|before| before.epoch.clone());
        if matches!(content, Content::Mark(_)) && before.as_ref() >= Some(&opening.epoch) {
            return self.found(|| format!("a mark of {} stands behind one of {before:?}", opening.epoch));
        }
        let written = self.histories.get(&opening.epoch).and_then(|history| history.digests.get(index));
        match (written, content) {
            (Some(written), Content::Mark(_)) if owns && *written != digest => {
                self.found(|| format!("epoch {} was opened twice", opening.epoch));
            }
            (Some(written), _) if *written == digest => {}
            (Some(_), _) => self.found(|| {
                format!(
                    "agreement: line {index} of node {node} is not what epoch {} has there",
                    opening.epoch
                )
            }),
            (None, Content::Mark(_)) if owns => self.on_opened(node, index, opening.clone()),
            (None, Content::Entry(key)) if owns => self.on_written(&opening.epoch, key, index),
            (None, _) => self.found(|| {
                format!("invention: line {index} of node {node} is in no log of epoch {}", opening.epoch)
            }),
        }
        if owns
            && let Some(history) = self.histories.get_mut(&opening.epoch)
            && history.digests.len() == index
        {
            history.digests.push(digest);
        }
    }

    /// A node opened an epoch with the mark at `index`.
    fn on_opened(&mut self, node: usize, index: usize, opening: Opening) {
        let Opening { epoch, kind, reached } = opening;
        if self.histories.contains_key(&epoch) {
            return self.found(|| format!("epoch {epoch} was opened twice"));
        }
        if self.nodes[node].mirror.ends_within_a_batch(index) {
            return self.found(|| format!("all or nothing: epoch {epoch} begins within a batch"));
        }
        let this = &self.nodes[node];
        let all = self.nodes.len();
        let mut history = History {
            digests: Vec::new(),
            marks: Vec::new(),
            ids: std::collections::BTreeSet::new(),
            log_id: this.log_id,
            kind,
            reached: if kind == MarkKind::Promotion { reached.len() } else { all },
            promisers: self.promisers(node, &reached),
            forgotten_by: 0,
        };
        for line in &this.mirror.lines[..=index] {
            history.digests.push(line.digest);
            match &line.content {
                Content::Mark(opening) => history.marks.push((opening.epoch.clone(), opening.kind)),
                Content::Entry(key) => {
                    history.ids.insert(key.id);
                }
            }
        }
        self.check_promised(&epoch, &reached);
        self.check_one_promise_a_reign(&epoch, &history);
        self.check_kept(node, &epoch, &history, &reached);
        self.histories.insert(epoch, history);
    }

    /// The nodes that promised an epoch which this one opens, one bit each.
    fn promisers(&self, opener: usize, reached: &[NodeName]) -> u8 {
        let promised = |node: &usize| *node == opener || reached.contains(&self.names[*node]);
        (0..self.nodes.len()).filter(promised).map(|node| 1 << node).sum()
    }

    /// Who counts as reached has promised, and no crash can take that back.
    fn check_promised(&mut self, epoch: &Epoch, reached: &[NodeName]) {
        let is_unsaved = |node: &usize| {
            let promised = self.nodes[*node].promised.as_ref();
            reached.contains(&self.names[*node]) && self.forgetful >> node & 1 == 0 && promised < Some(epoch)
        };
        if let Some(node) = (0..self.nodes.len()).find(is_unsaved) {
            self.found(|| {
                format!("fencing: {epoch} was opened over a promise that node {node} has not saved")
            });
        }
    }

    /// Two promotions whose promisers overlap never open one reign.
    fn check_one_promise_a_reign(&mut self, epoch: &Epoch, history: &History) {
        if history.kind != MarkKind::Promotion || self.void {
            return;
        }
        let other = self.histories.iter().find(|(other, theirs)| {
            theirs.kind == MarkKind::Promotion
                && (other.reign, theirs.log_id) == (epoch.reign, history.log_id)
                && theirs.promisers & history.promisers & !self.forgetful != 0
        });
        if let Some((other, _)) = other {
            let other = other.clone();
            self.found(|| format!("one reign: {other} and {epoch} were opened over a promise of one node"));
        }
    }

    /// A node shows the entries before `length`: of a batch all or nothing.
    pub(crate) fn check_shown(&mut self, node: usize, length: Order) {
        let mirror = &self.nodes[node].mirror;
        let last = length.before().and_then(|last| mirror.index_of(last.get()));
        if last.is_some_and(|last| mirror.ends_within_a_batch(last + 1)) {
            self.found(|| {
                format!("all or nothing: node {node} shows the beginning of a batch, through {length}")
            });
        }
    }

    /// The owner of an epoch gives an order.
    fn on_written(&mut self, epoch: &Epoch, key: Key, index: usize) {
        match self.submitted.get(&key).copied() {
            None => self.found(|| "invention: an entry that no client wrote".to_owned()),
            Some(Submitted { open: 0, possible: false }) => {
                self.found(|| "an entry appeared although every attempt to write it was refused".to_owned());
            }
            Some(_) => {}
        }
        let Some(history) = self.histories.get_mut(epoch) else { return };
        if history.digests.len() != index {
            return self.found(|| format!("the owner of epoch {epoch} left out a line before {index}"));
        }
        if !history.ids.insert(key.id) {
            self.found(|| "exactly once: an id got a second order".to_owned());
        }
    }

    /// A log was cut.
    pub(crate) fn on_truncate(&mut self, node: usize, store: &SimStore, cut: Cut<'_>) {
        let before = self.nodes[node].mirror.clone();
        if let Err(what) = self.nodes[node].mirror.reread(Order::ZERO, store) {
            return self.found(|| format!("node {node}: {what}"));
        }
        let kept = self.nodes[node].mirror.lines.len();
        self.nodes[node].owes_a_cut &= kept == before.lines.len();
        self.nodes[node].durable = self.nodes[node].durable.min(kept);
        self.on_durable(node, store.held());
        let gone = |acked: &super::Acked| acked.index >= kept && before.has(acked.index, acked.digest);
        match cut {
            Cut::Cleaned => {
                self.acked.iter_mut().filter(|acked| gone(acked)).for_each(|acked| acked.dead = true);
            }
            // Whether what is given up here may be lost is judged when the epoch opens.
            Cut::Outranked | Cut::Abandoned | Cut::Folded => {}
            Cut::GaveWay if before.holds_only_starts(0) => {
                self.nodes[node].gave_up = before.epoch().cloned();
            }
            Cut::GaveWay => {
                self.found(|| format!("monotone: node {node} gave up a log that holds something"));
            }
            Cut::Followed(_) => {
                let of_log = self.nodes[node].log_id;
                let fence = self.nodes[node].promised.as_ref();
                let alive = |acked: &&super::Acked| !acked.dead && acked.log_id == of_log;
                let older = |acked: &&super::Acked| Some(&acked.epoch) < fence;
                let lost = self.acked.iter().filter(alive).filter(older).find(|acked| gone(acked));
                if let Some(order) = lost.map(|acked| acked.order).filter(|_| !self.void) {
                    self.found(|| {
                        format!("monotone: node {node} cut the entry at {order}, which was answered")
                    });
                }
            }
        }
        // What is damaged must go, whatever explains it.
        let damaged = std::mem::take(&mut self.nodes[node].damaged);
        if let Cut::Followed(epoch) = cut
            && kept < before.lines.len()
            && !damaged
        {
            self.check_explained(node, epoch, &before, kept);
        }
    }

    /// A secondary may cut only what is nothing, or what a promotion or a clean of the log that it follows
    /// explains.
    fn check_explained(&mut self, node: usize, follows: Option<&Epoch>, before: &Mirror, kept: usize) {
        let Some(history) = follows.and_then(|epoch| self.histories.get(epoch)) else {
            return self.found(|| format!("s{node} cut its log while it follows nobody"));
        };
        let newest = before.epoch();
        let explains = |(epoch, kind): &(Epoch, MarkKind)| *kind != MarkKind::Start && Some(epoch) > newest;
        if !before.holds_only_starts(kept) && !history.marks.iter().any(explains) {
            self.found(|| format!("monotone: s{node} cut its log and no promotion or clean explains it"));
        } else if history.digests.get(kept) == Some(&before.lines[kept].digest) {
            self.found(|| format!("s{node} cut a line that its master has too"));
        }
    }
}
