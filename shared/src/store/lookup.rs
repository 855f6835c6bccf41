//! What an event will look at of the old part of a log, before it is brought to a core.
//!
//! A core looks into the log while it decides, and a log on disk has only its recent lines in memory. So the node asks
//! beforehand, by the same functions, over a [`LookAhead`]: it answers from memory, reads nothing, and notes what it
//! could not answer. What is noted is read by a thread that may wait, and lent to the store for that one event.

use std::cell::Cell;

use bytes::Bytes;

use super::{LogView, Span, digest_at_mark};
use crate::{Digest, MessageId, Order, Place, PlacedMark, entry::goes_on, lines::Tip};

/// Bytes of lines that are read at one time where nobody said how many will be looked at: what one read of a disk brings
/// anyway.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// Old lines that are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The entries of `from..to` with the marks before each, but at most about `bytes` bytes and at least one entry.
    Lines {
        /// The first entry.
        from: Order,
        /// Exclusive end.
        to: Order,
        /// How many bytes.
        bytes: usize,
    },
    /// What a cut looks at: the entry before this order, all of its batch if that goes on here, and the entry at it with
    /// the marks before that.
    Cut {
        /// Where the log is to end.
        at: Order,
    },
}

impl Lookup {
    /// The same, but not less than so many bytes: for what has been looked up in vain before.
    #[must_use]
    pub fn at_least(self, least: usize) -> Lookup {
        match self {
            Lookup::Lines { from, to, bytes } => Lookup::Lines { from, to, bytes: bytes.max(least) },
            Lookup::Cut { .. } => self,
        }
    }
}

/// A log as its node can see it without a disk.
///
/// Where it does not know it answers as if there were nothing, and notes the first of what is missing: so the answer of
/// a question that was asked over it counts only where [`LookAhead::missing`] is `None`.
pub struct LookAhead<'a> {
    log: &'a dyn LogView,
    missing: Cell<Option<Lookup>>,
}

impl<'a> LookAhead<'a> {
    /// Looks into this log.
    pub fn new(log: &'a dyn LogView) -> LookAhead<'a> {
        LookAhead { log, missing: Cell::new(None) }
    }

    /// What is to be read before the same is asked again; none: all was there.
    pub fn missing(&self) -> Option<Lookup> {
        self.missing.get()
    }

    /// A page of the log is read from `from` on, as [`Span::fitting`] cuts it.
    pub fn page(&self, from: Place, end: Place, bytes: usize) {
        let first = from.length.min(end.length);
        if self.is_there(
            first,
            first.next(),
            Lookup::Lines { from: first, to: end.length.max(first.next()), bytes },
        ) {
            let span = Span::fitting(self, from, end, bytes);
            if span.entries() == 0 {
                self.digest_at(span.to);
            }
        }
    }

    /// The log is cut at `place`, or what it would be then is asked for.
    pub fn cut(&self, place: Place) {
        let cut = Lookup::Cut { at: place.length };
        let mut at = place.length;
        self.is_there(at, at.next(), cut);
        while let Some(before) = at.before() {
            let goes_on =
                self.is_there(before, at, cut) && self.log.entry(before).is_some_and(|line| goes_on(&line));
            if !goes_on {
                return;
            }
            at = before;
        }
    }

    fn is_there(&self, from: Order, to: Order, otherwise: Lookup) -> bool {
        let there = self.log.has_at_hand(from, to);
        if !there && self.missing.get().is_none() {
            self.missing.set(Some(otherwise));
        }
        there
    }

    fn has_entry(&self, order: Order) -> bool {
        let to = self.log.recent_from();
        self.is_there(order, order.next(), Lookup::Lines { from: order, to, bytes: READ_AHEAD_BYTES })
    }
}

impl LogView for LookAhead<'_> {
    fn tip(&self) -> &Tip {
        self.log.tip()
    }

    fn durable(&self) -> Place {
        self.log.durable()
    }

    fn pending_bytes(&self) -> usize {
        self.log.pending_bytes()
    }

    fn visible_through(&self) -> Order {
        self.log.visible_through()
    }

    fn marks(&self) -> &[PlacedMark] {
        self.log.marks()
    }

    fn digest_at(&self, place: Place) -> Option<Digest> {
        if let Some(digest) = digest_at_mark(self.tip(), self.marks(), place)? {
            return Some(digest);
        }
        let before = place.length.before().filter(|_| place.length != self.log.recent_from());
        let lookup = |from| Lookup::Lines { from, to: place.length, bytes: 0 };
        let there = before.is_none_or(|before| self.is_there(before, place.length, lookup(before)));
        there.then(|| self.log.digest_at(place)).flatten()
    }

    fn find(&self, id: &MessageId) -> Option<Order> {
        let (mut any, mut all) = (false, true);
        self.log.candidates(id, &mut |order| {
            any = true;
            all &= self.has_entry(order);
        });
        if any && all { self.log.find(id) } else { None }
    }

    fn entry(&self, order: Order) -> Option<Bytes> {
        if self.has_entry(order) { self.log.entry(order) } else { None }
    }

    fn size(&self, from: Order, to: Order) -> usize {
        let lookup = Lookup::Lines { from, to, bytes: usize::MAX };
        if self.is_there(from, to, lookup) { self.log.size(from, to) } else { 0 }
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        let lookup = Lookup::Lines { from, to: self.log.recent_from(), bytes };
        if self.is_there(from, from.next(), lookup) { self.log.fit(from, bytes) } else { from }
    }

    fn recent_from(&self) -> Order {
        self.log.recent_from()
    }

    fn has_at_hand(&self, from: Order, to: Order) -> bool {
        self.log.has_at_hand(from, to)
    }

    fn candidates(&self, id: &MessageId, show: &mut dyn FnMut(Order)) {
        self.log.candidates(id, show);
    }
}
