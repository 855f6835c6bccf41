//! A node's log as the oracle knows it: read back from the node's store, line by line.

use std::hash::{DefaultHasher, Hasher};

use replog_shared::{
    Digest, Epoch, Mark, MarkKind, Order,
    entry::EntryLine,
    store::{MemoryStore, Reader, Store},
};

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

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Entry(Key),
    Mark(Epoch, MarkKind),
}

/// A line of a log.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) hash: u64,
    pub(super) content: Content,
    /// The log's digest through it, computed here.
    digest: Digest,
    /// Entries through it.
    entries: u64,
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

    /// The epoch of the last mark.
    pub(super) fn epoch(&self) -> Option<&Epoch> {
        match &self.lines.get(self.lines.last()?.mark?)?.content {
            Content::Mark(epoch, _) => Some(epoch),
            Content::Entry(_) => None,
        }
    }

    /// The line of the entry at `order`.
    pub(super) fn entry(&self, order: u64) -> Option<(Key, u64)> {
        let at = self.lines.partition_point(|line| line.entries <= order);
        let line = self.lines.get(at)?;
        match line.content {
            Content::Entry(key) => Some((key, line.hash)),
            Content::Mark(..) => None,
        }
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    /// Reads the store again from `order` on. Returns the index of the first line that was read.
    ///
    /// # Errors
    /// The store shows what no log may be.
    pub(super) fn reread(&mut self, order: Order, store: &MemoryStore) -> Result<usize, String> {
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
            if from == replog_shared::store::LogView::tip(store).place.length {
                return Ok(keep.min(self.lines.len()));
            }
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (entries, digest) = (self.length(), self.digest().extend(bytes));
        let mark = self.lines.last().and_then(|line| line.mark);
        let line = if Mark::is_mark(bytes) {
            let parsed =
                Mark::parse(bytes).map_err(|error| format!("a stored mark is malformed: {error}"))?;
            let content = Content::Mark(parsed.epoch, parsed.kind);
            Line { hash: hash(bytes), content, digest, entries, mark: Some(self.lines.len()) }
        } else {
            let content = Content::Entry(self.entry_key(bytes, entries)?);
            Line { hash: hash(bytes), content, digest, entries: entries + 1, mark }
        };
        self.lines.push(line);
        Ok(())
    }

    fn entry_key(&self, bytes: &[u8], due: u64) -> Result<Key, String> {
        let entry =
            EntryLine::parse(bytes).map_err(|error| format!("a stored line is malformed: {error}"))?;
        if entry.order.get() != due {
            return Err(format!("order {} is shown where {due} is due: a gap or a repetition", entry.order));
        }
        if self.epoch().map(Epoch::number) != Some(entry.epoch) {
            return Err(format!("the entry at {due} names epoch {}, not its mark's", entry.epoch));
        }
        Ok(Key { id: hash(&entry.id_text()), message: hash(entry.message_json) })
    }
}
