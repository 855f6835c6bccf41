//! A node's log as the oracle knows it: read back from the node's store, line by line.

use std::hash::{DefaultHasher, Hasher};

use replog_shared::{
    Digest, Epoch, Mark, MarkKind, NodeName, Order, WallTime,
    entry::EntryLine,
    store::{LogView, Reader, Store},
};

use super::disk::SimStore;

/// A hash of text; the same on every machine and in every run.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// An entry's identity and content, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) id: u64,
    pub(super) message: u64,
}

impl Key {
    pub(super) fn of(id: &str, message_json: &[u8]) -> Key {
        Key { id: hash(id.as_bytes()), message: hash(message_json) }
    }
}

/// What a mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) epoch: Epoch,
    pub(super) kind: MarkKind,
    pub(super) reached: Vec<NodeName>,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Entry(Key),
    Mark(Opening),
}

/// A line of a log.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) content: Content,
    /// The log's digest through it, computed here: it names the line and all before it.
    pub(super) digest: Digest,
    /// Entries through it.
    pub(super) entries: u64,
    /// An entry whose batch goes on with the next one.
    pub(super) more: bool,
    /// When the last entry through it was appended.
    at: Option<WallTime>,
    /// Index of the last mark's line through it.
    mark: Option<usize>,
}

/// The lines of one node's log. Invariant: entries without holes, each of its mark's epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    pub(super) lines: Vec<Line>,
}

impl Mirror {
    pub(super) fn length(&self) -> u64 {
        self.lines.last().map_or(0, |line| line.entries)
    }

    pub(super) fn digest(&self) -> Digest {
        self.lines.last().map_or(Digest::EMPTY, |line| line.digest)
    }

    /// The last mark.
    pub(super) fn opening(&self) -> Option<&Opening> {
        self.opening_at(self.lines.len())
    }

    /// The last of the marks among the first `count` lines.
    pub(super) fn opening_at(&self, count: usize) -> Option<&Opening> {
        match &self.lines.get(self.lines.get(count.checked_sub(1)?)?.mark?)?.content {
            Content::Mark(opening) => Some(opening),
            Content::Entry(_) => None,
        }
    }

    /// The epoch of the last mark.
    pub(super) fn epoch(&self) -> Option<&Epoch> {
        self.opening().map(|opening| &opening.epoch)
    }

    /// Index of the last mark's line.
    pub(super) fn last_mark(&self) -> Option<usize> {
        self.lines.last()?.mark
    }

    /// Index of the line of the entry at `order`.
    pub(super) fn index_of(&self, order: u64) -> Option<usize> {
        let at = self.lines.partition_point(|line| line.entries <= order);
        self.lines.get(at).filter(|line| matches!(line.content, Content::Entry(_))).map(|_| at)
    }

    /// The entry at `order`.
    pub(super) fn entry(&self, order: u64) -> Option<Key> {
        match self.lines[self.index_of(order)?].content {
            Content::Entry(key) => Some(key),
            Content::Mark(_) => None,
        }
    }

    /// Index of the last line of the batch to which the line at this index belongs; none if it is not there.
    pub(super) fn batch_end(&self, index: usize) -> Option<usize> {
        let rest = self.lines.get(index..)?.iter().position(|line| !line.more)?;
        Some(index + rest)
    }

    /// Whether the lines before this index end within a batch.
    pub(super) fn ends_within_a_batch(&self, count: usize) -> bool {
        count.checked_sub(1).and_then(|last| self.lines.get(last)).is_some_and(|line| line.more)
    }

    /// Whether the line at this index is the one with this digest, and so all before it is the same.
    pub(super) fn has(&self, index: usize, digest: Digest) -> bool {
        self.lines.get(index).is_some_and(|line| line.digest == digest)
    }

    /// Whether all lines from this index on are marks of starts.
    pub(super) fn holds_only_starts(&self, from: usize) -> bool {
        let start =
            |line: &Line| matches!(&line.content, Content::Mark(opening) if opening.kind == MarkKind::Start);
        self.lines[from..].iter().all(start)
    }

    /// How many lines it has in common with another log.
    pub(super) fn common(&self, other: &Mirror) -> usize {
        self.lines.iter().zip(&other.lines).take_while(|(a, b)| a.digest == b.digest).count()
    }

    /// Reads the store again from `order` on. Returns the index of the first line that was read.
    ///
    /// # Errors
    /// The store shows what no log may be.
    pub(super) fn reread(&mut self, order: Order, store: &SimStore) -> Result<usize, String> {
        let keep = match order.get() {
            0 => 0,
            order => self.lines.partition_point(|line| line.entries < order) + 1,
        };
        self.lines.truncate(keep);
        let mut from = order;
        loop {
            let page = store
                .reader()
                .read(from, Order::new(u64::MAX), usize::MAX)
                .map_err(|error| error.to_string())?;
            for line in page.bytes.split_inclusive(|byte| *byte == b'\n') {
                self.push(line)?;
            }
            if page.to <= from {
                return Ok(keep.min(self.lines.len()));
            }
            if page.to.get() != self.length() {
                return Err(format!("a page that ends at {} has entries through {}", page.to, self.length()));
            }
            from = page.to;
            if from == store.tip().place.length {
                return Ok(keep.min(self.lines.len()));
            }
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (entries, digest) = (self.length(), self.digest().extend(bytes));
        let mark = self.lines.last().and_then(|line| line.mark);
        let at = self.lines.last().and_then(|line| line.at);
        let line = if Mark::is_mark(bytes) {
            let parsed =
                Mark::parse(bytes).map_err(|error| format!("a stored mark is malformed: {error}"))?;
            let opening = Opening { epoch: parsed.epoch, kind: parsed.kind, reached: parsed.reached };
            let (content, mark) = (Content::Mark(opening), Some(self.lines.len()));
            Line { content, digest, entries, more: false, at, mark }
        } else {
            let entry =
                EntryLine::parse(bytes).map_err(|error| format!("a stored line is malformed: {error}"))?;
            if entry.at < at {
                return Err(format!(
                    "the entry at {entries} was appended at {:?}, before the one before it",
                    entry.at
                ));
            }
            let content = Content::Entry(self.entry_key(&entry, entries)?);
            Line { content, digest, entries: entries + 1, more: entry.more, at: entry.at, mark }
        };
        self.lines.push(line);
        Ok(())
    }

    fn entry_key(&self, entry: &EntryLine<'_>, due: u64) -> Result<Key, String> {
        if entry.order.get() != due {
            return Err(format!("order {} is shown where {due} is due: a gap or a repetition", entry.order));
        }
        if self.epoch().map(Epoch::number) != Some(entry.epoch) {
            return Err(format!("the entry at {due} names epoch {}, not its mark's", entry.epoch));
        }
        Ok(Key { id: hash(&entry.id_text()), message: hash(entry.message_json) })
    }
}
