//! Whether what a client has seen elsewhere is still in the log that a node shows.
//!
//! A client that appends is told an order and an epoch. After a promotion or a clean another entry can have that order:
//! the order alone does not say what the client wrote. The marks in a log do: they are its epochs, each with the order
//! at which it began.

use std::sync::Arc;

use replog_shared::{Digest, Epoch, EpochNumber, MarkKind, NodeName, Order, PlacedMark};

/// The epochs of the log that a node shows. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    epochs: Arc<[Opened]>,
    /// The log's digest through the last mark: no other marks have it.
    through: Option<Digest>,
}

/// An epoch, and where it began.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Opened {
    epoch: Epoch,
    at: Order,
    /// The reigning master started again: nothing was cut.
    is_start: bool,
}

/// What a client has seen: at this order, in this epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The order.
    pub order: Order,
    /// The epoch that the client was told.
    pub epoch: EpochNumber,
    /// The node that opened it; none if the client does not say: two nodes can open one number, on two sides of a cut.
    pub owner: Option<NodeName>,
}

/// What a log says to what a client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The log has that history through the order, as soon as it is so long.
    Shared,
    /// The log ends before that epoch: it may get there.
    Behind,
    /// The log went on without it: what the client has seen is not in it, and another entry has its order or will get
    /// it.
    Gone,
}

impl History {
    /// The epochs of a log with these marks.
    pub fn of(marks: &[PlacedMark]) -> History {
        let opened = |placed: &PlacedMark| Opened {
            epoch: placed.mark.epoch.clone(),
            at: placed.at,
            is_start: placed.mark.kind == MarkKind::Start,
        };
        History { epochs: marks.iter().map(opened).collect(), through: through(marks) }
    }

    /// The number of the last epoch; none before the first.
    pub fn epoch(&self) -> Option<EpochNumber> {
        self.epochs.last().map(|opened| opened.epoch.number())
    }

    /// Whether a log with these marks has this history.
    pub fn is_of(&self, marks: &[PlacedMark]) -> bool {
        self.epochs.len() == marks.len() && self.through == through(marks)
    }

    /// Where a log with this history stands.
    ///
    /// An epoch holds what is before the next one began. A master that starts again replaces the mark of its last start
    /// if no entry followed that one; what was before it then is before the new one, too.
    pub fn standing(&self, seen: &Seen) -> Standing {
        let found = self.epochs.iter().rposition(|opened| seen.is(&opened.epoch));
        let next = match found {
            Some(at) => self.epochs.get(at + 1),
            None => match self.epochs.iter().find(|opened| seen.is_before(&opened.epoch)) {
                None => return Standing::Behind,
                Some(next) if next.is_start && seen.is_of_reign(&next.epoch) => Some(next),
                Some(_) => return Standing::Gone,
            },
        };
        match next {
            Some(next) if next.at <= seen.order => Standing::Gone,
            _ => Standing::Shared,
        }
    }
}

impl Seen {
    fn is(&self, epoch: &Epoch) -> bool {
        self.epoch == epoch.number() && self.is_of_reign(epoch)
    }

    fn is_of_reign(&self, epoch: &Epoch) -> bool {
        self.epoch.reign == epoch.reign && self.owner.as_ref().is_none_or(|owner| *owner == epoch.owner)
    }

    /// Whether the client's epoch is older than this one, in the order in which logs rank.
    fn is_before(&self, epoch: &Epoch) -> bool {
        let owner = self.owner.as_ref().unwrap_or(&epoch.owner);
        (self.epoch.reign, owner, self.epoch.start) < (epoch.reign, &epoch.owner, epoch.start)
    }
}

fn through(marks: &[PlacedMark]) -> Option<Digest> {
    marks.last().map(|placed| placed.digest)
}

#[cfg(test)]
mod tests {
    use MarkKind::{Clean, Promotion, Start};
    use Standing::{Behind, Gone, Shared};
    use replog_shared::{Incarnation, Mark};

    use super::*;

    /// A history of marks such as `("1.0", "a", Start, 0)`.
    fn history(marks: &[(&str, &str, MarkKind, u64)]) -> History {
        let placed = |(number, owner, kind, at): &(&str, &str, MarkKind, u64)| {
            let EpochNumber { reign, start } = number.parse().unwrap();
            let (owner, incarnation) = (owner.parse().unwrap(), Incarnation::from_random(1));
            let epoch = Epoch { reign, owner, start, incarnation };
            let mark = Mark { epoch, kind: *kind, reached: vec![], members: vec![], first: Order::ZERO };
            PlacedMark { mark, at: Order::new(*at), digest: Digest::EMPTY }
        };
        History::of(&marks.iter().map(placed).collect::<Vec<_>>())
    }

    #[track_caller]
    fn assert_standing(history: &History, order: u64, epoch: &str, owner: Option<&str>, expected: Standing) {
        let owner = owner.map(|owner| owner.parse().unwrap());
        let seen = Seen { order: Order::new(order), epoch: epoch.parse().unwrap(), owner };
        assert_eq!(history.standing(&seen), expected, "{seen:?}");
    }

    #[test]
    fn an_epoch_holds_what_is_before_the_next() {
        let promoted = history(&[("1.0", "a", Start, 0), ("2.0", "b", Promotion, 5)]);
        assert_standing(&promoted, 4, "1.0", Some("a"), Shared);
        assert_standing(&promoted, 5, "1.0", Some("a"), Gone);
        assert_standing(&promoted, 5, "2.0", Some("b"), Shared);
        // A retry in the new epoch is told the old order.
        assert_standing(&promoted, 3, "2.0", None, Shared);
        assert_standing(&promoted, 900, "2.0", None, Shared);
    }

    #[test]
    fn a_log_that_ends_before_the_epoch_may_get_there() {
        assert_standing(&history(&[]), 0, "1.0", None, Behind);
        let old = history(&[("1.0", "a", Start, 0)]);
        assert_standing(&old, 7, "1.1", Some("a"), Behind);
        assert_standing(&old, 7, "2.0", None, Behind);
    }

    #[test]
    fn an_epoch_that_the_log_passed_by_is_gone() {
        let promoted = history(&[("1.0", "a", Start, 0), ("2.0", "b", Promotion, 5)]);
        assert_standing(&promoted, 3, "1.1", Some("a"), Gone);
        let cleaned = history(&[("1.1", "a", Clean, 0)]);
        assert_standing(&cleaned, 0, "1.0", None, Gone);
        assert_standing(&cleaned, 0, "1.1", None, Shared);
    }

    /// Two nodes were promoted on two sides of a cut. The second of their names wins.
    #[test]
    fn of_two_owners_of_one_number_the_log_has_one() {
        let of_b = history(&[("1.0", "m", Start, 0), ("2.0", "b", Promotion, 5)]);
        assert_standing(&of_b, 5, "2.0", Some("b"), Shared);
        assert_standing(&of_b, 5, "2.0", Some("a"), Gone);
        assert_standing(&of_b, 5, "2.0", Some("c"), Behind);
        assert_standing(&of_b, 5, "2.0", None, Shared);
    }

    #[test]
    fn a_start_that_was_replaced_by_the_next_keeps_what_was_before_it() {
        let folded = history(&[("1.0", "a", Start, 0), ("1.2", "a", Start, 5)]);
        assert_standing(&folded, 4, "1.1", Some("a"), Shared);
        assert_standing(&folded, 5, "1.1", Some("a"), Gone);
        assert_standing(&folded, 4, "1.1", Some("b"), Behind);
    }

    #[test]
    fn marks_are_known_again() {
        let marks = |at| {
            let epoch = Epoch {
                reign: 1,
                owner: "a".parse().unwrap(),
                start: 0,
                incarnation: Incarnation::from_random(1),
            };
            let mark = Mark { epoch, kind: Start, reached: vec![], members: vec![], first: Order::ZERO };
            [PlacedMark { mark, at, digest: Digest::EMPTY.extend(&at.get().to_le_bytes()) }]
        };
        let known = History::of(&marks(Order::ZERO));
        assert!(known.is_of(&marks(Order::ZERO)));
        assert!(!known.is_of(&marks(Order::new(1))) && !known.is_of(&[]));
    }
}
