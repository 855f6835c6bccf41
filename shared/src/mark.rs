//! The frame with which an epoch begins in the log.

use serde::{Deserialize, Serialize};

use crate::{Digest, Epoch, NodeName, Order, Place};

/// Why an epoch began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkKind {
    /// The reigning master started again (or a new log began). Explains no cut.
    Start,
    /// A node was promoted.
    Promotion,
    /// The log was emptied on purpose.
    Clean,
}

/// The frame without an order with which an epoch begins in the log. The marks *are* the epoch table: cut,
/// copied, digested and made durable together with the entries.
///
/// Its line is `{"mark":{…}}`. A mark is durable before anything of its epoch leaves the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The epoch that begins.
    #[serde(flatten)]
    pub epoch: Epoch,
    /// Why.
    pub kind: MarkKind,
    /// For a promotion: the whole nodes that had promised when the epoch was opened. Empty otherwise.
    pub reached: Vec<NodeName>,
    /// The configured nodes, the owner included, when the epoch was opened.
    pub members: Vec<NodeName>,
}

#[derive(Serialize, Deserialize)]
struct MarkLine<M> {
    mark: M,
}

/// How every mark's line begins; an entry's line never does.
const MARK_PREFIX: &[u8] = b"{\"mark\":";

impl Mark {
    /// Its line, line feed included.
    pub fn encode(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(&MarkLine { mark: self }).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Whether a line is a mark's (and not an entry's).
    pub fn is_mark(line: &[u8]) -> bool {
        line.starts_with(MARK_PREFIX)
    }

    /// Reads a mark's line, with or without its line feed.
    ///
    /// # Errors
    /// Bytes that are no mark.
    pub fn parse(line: &[u8]) -> Result<Mark, serde_json::Error> {
        serde_json::from_slice::<MarkLine<Mark>>(line).map(|line| line.mark)
    }
}

/// A mark and where it stands in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedMark {
    /// The mark.
    #[serde(flatten)]
    pub mark: Mark,
    /// The order of the first entry behind it.
    pub at: Order,
    /// The log's digest through the mark.
    pub digest: Digest,
}

/// Where two logs part: behind the last mark that both have, at the smaller of its two ends.
///
/// `mine` and `theirs` are the marks and the length of each log. This is the true longest common prefix of
/// two logs that follow the protocol, found in one round trip. Source: Kafka's KIP-101 and KIP-279.
pub fn fork(mine: (&[PlacedMark], Order), theirs: (&[PlacedMark], Order)) -> Place {
    let common =
        mine.0.iter().zip(theirs.0).take_while(|(a, b)| a.mark.epoch == b.mark.epoch && a.at == b.at);
    let common = common.count();
    if common == 0 {
        return Place::START;
    }
    let end = |(marks, length): (&[PlacedMark], Order)| marks.get(common).map_or(length, |next| next.at);
    Place::new(end(mine).min(end(theirs)), common as u32)
}

/// Whether the history of the master explains why a log must give up all behind `fork`: a promotion or a
/// clean behind the fork that is newer than everything in that suffix. A start explains nothing.
pub fn explains(master: &[PlacedMark], fork: Place, own: &[PlacedMark]) -> bool {
    let common = fork.marks as usize;
    let newest = own.get(common..).unwrap_or_default().iter().chain(own.get(common.wrapping_sub(1)));
    let newest = newest.map(|placed| &placed.mark.epoch).max();
    let behind = master.get(common..).unwrap_or_default();
    behind.iter().any(|placed| placed.mark.kind != MarkKind::Start && Some(&placed.mark.epoch) > newest)
}

/// Whether a log holds nothing behind `fork`: no entry, and no mark but such of kind start. Whoever gives that
/// up gives nothing up, so nothing needs to explain it. `own` are the log's marks, `length` is how long it is.
pub fn holds_nothing(own: &[PlacedMark], length: Order, fork: Place) -> bool {
    let marks = own.get(fork.marks as usize..).unwrap_or_default();
    length == fork.length && marks.iter().all(|placed| placed.mark.kind == MarkKind::Start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Incarnation;

    fn placed(reign: u32, start: u32, kind: MarkKind, at: u64) -> PlacedMark {
        let owner: NodeName = "m".parse().unwrap();
        let epoch = Epoch { reign, owner, start, incarnation: Incarnation::from_random(7) };
        let mark = Mark { epoch, kind, reached: vec![], members: vec![] };
        PlacedMark { mark, at: Order::new(at), digest: Digest::EMPTY }
    }

    #[test]
    fn a_marks_line_reads_back() {
        let mark = placed(2, 5, MarkKind::Promotion, 0).mark;
        let line = mark.encode();
        assert!(Mark::is_mark(&line));
        assert_eq!(Mark::parse(&line).unwrap(), mark);
        assert!(Mark::parse(b"{\"mark\":{}}").is_err());
    }

    #[test]
    fn the_fork_is_the_smaller_end_of_the_last_common_mark() {
        use MarkKind::{Promotion, Start};
        let old = [placed(1, 0, Start, 0)];
        let new = [placed(1, 0, Start, 0), placed(2, 0, Promotion, 5)];
        let fork_at =
            |a: &[PlacedMark], al, b: &[PlacedMark], bl| fork((a, Order::new(al)), (b, Order::new(bl)));
        assert_eq!(fork_at(&old, 9, &new, 7), Place::new(Order::new(5), 1));
        assert_eq!(fork_at(&old, 3, &new, 7), Place::new(Order::new(3), 1));
        assert_eq!(fork_at(&new, 9, &new, 7), Place::new(Order::new(7), 2));
        assert_eq!(fork_at(&[], 0, &new, 7), Place::START);
    }

    #[test]
    fn a_promotion_explains_a_cut_and_a_start_does_not() {
        use MarkKind::{Promotion, Start};
        let own = [placed(1, 0, Start, 0)];
        let fork = Place::new(Order::new(5), 1);
        assert!(explains(&[placed(1, 0, Start, 0), placed(2, 0, Promotion, 5)], fork, &own));
        assert!(!explains(&[placed(1, 0, Start, 0), placed(1, 1, Start, 5)], fork, &own));
        assert!(!explains(&[placed(1, 0, Start, 0)], fork, &own));
        let newer = [placed(1, 0, Start, 0), placed(3, 0, Promotion, 5)];
        assert!(!explains(&[placed(1, 0, Start, 0), placed(2, 0, Promotion, 5)], fork, &newer));
    }

    #[test]
    fn starts_without_an_entry_are_nothing_and_all_else_is_something() {
        use MarkKind::{Clean, Promotion, Start};
        let fork = Place::new(Order::new(5), 1);
        let behind = |marks: &[PlacedMark], length| {
            let own = [&[placed(1, 0, Start, 0)], marks].concat();
            holds_nothing(&own, Order::new(length), fork)
        };
        assert!(behind(&[], 5));
        assert!(behind(&[placed(1, 1, Start, 5), placed(1, 2, Start, 5)], 5));
        assert!(!behind(&[], 6));
        assert!(!behind(&[placed(1, 1, Start, 5)], 6));
        for kind in [Promotion, Clean] {
            assert!(!behind(&[placed(1, 1, Start, 5), placed(1, 2, kind, 5)], 5), "{kind:?}");
        }
    }
}
