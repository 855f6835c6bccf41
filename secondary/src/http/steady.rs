//! A reader that sees one history.

use replog_shared::{
    Order,
    store::{Page, ReadError, Reader},
};
use tokio::sync::watch;

use crate::node::Facts;

/// Reads a log until it is cut; from then on nothing.
///
/// The bug this prevents: an answer of many pages that begins in one history and ends, after a promotion cut
/// the log, in another.
#[derive(Clone, Debug)]
pub(super) struct SteadyReader<R> {
    reader: R,
    facts: watch::Receiver<Facts>,
    /// How often the log had been cut at the beginning.
    cuts: u64,
}

impl<R: Reader> SteadyReader<R> {
    pub(super) fn new(reader: R, facts: watch::Receiver<Facts>) -> SteadyReader<R> {
        let cuts = facts.borrow().cuts;
        SteadyReader { reader, facts, cuts }
    }
}

impl<R: Reader> Reader for SteadyReader<R> {
    fn read(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        let page = self.reader.read(from, to, bytes)?;
        // Asked after the read: a cut is told before it is made.
        if self.facts.borrow().cuts == self.cuts {
            return Ok(page);
        }
        Err(ReadError { order: from, reason: "the log was cut while it was read".into() })
    }
}

#[cfg(test)]
mod tests {
    use replog_shared::store::{MemoryStore, Store};

    use super::*;

    #[test]
    fn a_cut_ends_the_reading() {
        let (told, facts) = watch::channel(Facts::default());
        let reader = SteadyReader::new(MemoryStore::without_ids().reader(), facts);
        assert!(reader.read(Order::ZERO, Order::ZERO, 1).is_ok());
        told.send_modify(|facts| facts.cuts += 1);
        assert!(reader.read(Order::ZERO, Order::ZERO, 1).is_err());
    }
}
