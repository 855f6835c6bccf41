//! Pages of a log for a master that takes it over.

use bytes::Bytes;
use replog_shared::{
    Epoch, Place,
    store::{ReadError, Span, Store},
    wire::{self, EntriesHeader},
};

/// A page of the log that a promoting master asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAnswer {
    /// Where the answer goes.
    pub reply: String,
    /// Who answers.
    pub sender: wire::Sender,
    /// The request it answers.
    pub request: u64,
    /// The epoch that was promised.
    pub epoch: Epoch,
    /// Where the page begins.
    pub from: Place,
}

impl ReadAnswer {
    /// The page, of at most about `bytes` bytes, and the header that it is sent with.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn page(self, bytes: usize, log: &impl Store) -> Result<(EntriesHeader, Bytes), ReadError> {
        let durable = log.durable();
        let (span, page) = Span::fitting(log, self.from, durable, bytes).read(log)?;
        let header =
            EntriesHeader::of(self.sender, self.epoch, span, &page, durable.length, Some(self.request));
        Ok((header, page.bytes))
    }
}
