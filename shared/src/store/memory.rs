//! The log in memory: gone with its process, durable at once.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::{
    Chore, Cut, IdIndex, IdSeed, LineChunks, LogView, Lookup, OldLines, Page, ReadError, Reader, Store,
    StoreError, StoreFigures, Ticket,
};
use crate::{Digest, Lines, MessageId, Order, Place, PlacedMark, entry::EntryLine, lines::Tip};

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// The log in memory (`--durability memory`).
#[derive(Debug, Default)]
pub struct MemoryStore {
    /// Shared with the readers.
    chunks: Arc<RwLock<LineChunks>>,
    marks: Vec<PlacedMark>,
    tip: Tip,
    /// Only where ids are looked up: on a master.
    ids: Option<IdIndex>,
    /// Of a chore: the log itself does not fail.
    failure: Option<StoreError>,
}

impl MemoryStore {
    /// An empty log that finds entries by their id, hashed with this seed: a master's.
    pub fn with_ids(seed: IdSeed) -> MemoryStore {
        MemoryStore { ids: Some(IdIndex::new(seed)), ..MemoryStore::default() }
    }

    /// An empty log that does not look up ids: a secondary's.
    pub fn without_ids() -> MemoryStore {
        MemoryStore::default()
    }
}

impl LogView for MemoryStore {
    fn tip(&self) -> &Tip {
        &self.tip
    }

    fn durable(&self) -> Place {
        self.tip.place
    }

    fn pending_bytes(&self) -> usize {
        0
    }

    fn visible_through(&self) -> Order {
        self.tip.visible_through()
    }

    fn marks(&self) -> &[PlacedMark] {
        &self.marks
    }

    fn digest_at(&self, place: Place) -> Option<Digest> {
        super::digest_at_mark(&self.tip, &self.marks, place)?
            .or_else(|| read(&self.chunks).digest_after(place.length))
    }

    fn find(&self, id: &MessageId) -> Option<Order> {
        let chunks = read(&self.chunks);
        let carries = |order: Order| chunks.line(order).is_some_and(|line| has_id(line, id));
        self.ids.as_ref()?.find(id.as_str().as_bytes(), carries)
    }

    fn entry(&self, order: Order) -> Option<Bytes> {
        read(&self.chunks).line(order).map(Bytes::copy_from_slice)
    }

    fn candidates(&self, id: &MessageId, show: &mut dyn FnMut(Order)) {
        if let Some(ids) = &self.ids {
            ids.candidates(id.as_str().as_bytes(), show);
        }
    }

    fn size(&self, from: Order, to: Order) -> usize {
        read(&self.chunks).size(from, to)
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        read(&self.chunks).fit(from, bytes)
    }
}

fn has_id(line: &[u8], id: &MessageId) -> bool {
    EntryLine::parse(line).is_ok_and(|entry| entry.has_id(id))
}

impl Store for MemoryStore {
    type Reader = MemoryReader;

    fn reader(&self) -> MemoryReader {
        MemoryReader { chunks: self.chunks.clone() }
    }

    fn append(&mut self, lines: &Lines) -> bool {
        if lines.is_empty() {
            return true;
        }
        if lines.from() != self.tip.place.length || self.failure.is_some() {
            return false;
        }
        if let Some(ids) = &mut self.ids {
            ids.insert_lines(lines);
        }
        write(&self.chunks).push(lines);
        self.marks.extend_from_slice(lines.marks());
        self.tip = lines.tip().clone();
        true
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        self.failure().map_or(Ok(()), Err)
    }

    fn failure(&self) -> Option<StoreError> {
        self.failure.clone()
    }

    fn figures(&self) -> StoreFigures {
        StoreFigures::new(read(&self.chunks).bytes() as u64)
    }

    /// What is cut is gone: a log in memory has nowhere to keep it.
    fn truncate(&mut self, place: Place, _cut: Cut) -> Result<Ticket, StoreError> {
        let digest = self.digest_at(place).ok_or(StoreError::NoSuchPlace { place })?;
        let tip = super::tip_of_cut(self, place, digest);
        let marks_after = self.marks.split_off(place.marks as usize);
        write(&self.chunks).cut(place.length, &marks_after, digest);
        self.tip = tip;
        if let Some(ids) = &mut self.ids {
            ids.truncate(place.length);
        }
        Ok(Ticket::NONE)
    }

    fn run(&mut self, chore: Chore) -> Ticket {
        if self.failure.is_none() {
            self.failure = chore().err().map(|reason| StoreError::Failed { reason });
        }
        Ticket::NONE
    }

    fn done(&self) -> Ticket {
        Ticket::NONE
    }

    fn close(self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Reads a log in memory.
#[derive(Clone, Debug)]
pub struct MemoryReader {
    chunks: Arc<RwLock<LineChunks>>,
}

impl Reader for MemoryReader {
    fn read(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        Ok(read(&self.chunks).page(from, to, bytes))
    }

    fn old(&self, lookup: Lookup) -> Result<OldLines, ReadError> {
        Ok(read(&self.chunks).copy(lookup))
    }

    fn recent(&self, from: Order, to: Order, bytes: usize) -> Option<Page> {
        Some(read(&self.chunks).page(from, to, bytes))
    }
}

#[cfg(test)]
mod tests;
