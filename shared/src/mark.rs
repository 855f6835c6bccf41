//! The frame with which an epoch begins in the log.

use serde::{Deserialize, Serialize};

use crate::{Digest, Epoch, NodeName, Order, json};

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
    /// The order at which the log begins: 0, until logs can be trimmed. A mark of format 1 does not say it.
    #[serde(default)]
    pub first: Order,
}

#[derive(Serialize, Deserialize)]
struct MarkLine<M> {
    mark: M,
}

/// How every mark's line begins; an entry's line never does.
const MARK_PREFIX: &[u8] = b"{\"mark\":";

impl Mark {
    /// Its line, line feed included.
    ///
    /// # Panics
    /// As [`json::encode`]: no log gets a line with nothing in it.
    pub fn encode(&self) -> Vec<u8> {
        let mut line = json::encode(&MarkLine { mark: self });
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

/// The last **turn** of a log with these marks: the newest epoch that a promotion or a clean opened, when the log
/// came to another hand or began with nothing.
pub fn last_turn(marks: &[PlacedMark]) -> Option<&Epoch> {
    marks.iter().rev().find(|placed| placed.mark.kind != MarkKind::Start).map(|placed| &placed.mark.epoch)
}

/// The newest epoch that a clean opened in a log with these marks: what is older was dropped because somebody wanted it
/// to go.
pub fn last_clean(marks: &[PlacedMark]) -> Option<&Epoch> {
    marks.iter().rev().find(|placed| placed.mark.kind == MarkKind::Clean).map(|placed| &placed.mark.epoch)
}

/// Whether a log with this last turn explains why another one, whose last mark is of epoch `newest`, must give up
/// what it has behind the fork: the turn is newer than everything there. (Then it stands behind the fork itself:
/// marks rise, so the other log has no mark so new.) A start explains nothing (docs/RECOVERY.md, section 7).
pub fn explains(turn: Option<&Epoch>, newest: Option<&Epoch>) -> bool {
    turn > newest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Incarnation;

    fn placed(reign: u32, start: u32, kind: MarkKind, at: u64) -> PlacedMark {
        let owner: NodeName = "m".parse().unwrap();
        let epoch = Epoch { reign, owner, start, incarnation: Incarnation::from_random(7) };
        let mark = Mark { epoch, kind, reached: vec![], members: vec![], first: Order::ZERO };
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
    fn a_mark_says_where_its_log_begins_and_one_of_format_1_begins_with_0() {
        let mark = placed(2, 5, MarkKind::Start, 0).mark;
        let line = String::from_utf8(mark.encode()).unwrap();
        assert!(line.ends_with(",\"reached\":[],\"members\":[],\"first\":0}}\n"), "{line}");
        assert_eq!(Mark::parse(line.replace(",\"first\":0", "").as_bytes()).unwrap(), mark);
    }

    #[test]
    fn a_promotion_explains_a_cut_and_a_start_does_not() {
        use MarkKind::{Clean, Promotion, Start};
        let explained =
            |master: &[PlacedMark], own: &PlacedMark| explains(last_turn(master), Some(&own.mark.epoch));
        let own = placed(1, 0, Start, 0);
        assert!(explained(&[own.clone(), placed(2, 0, Promotion, 5)], &own));
        assert!(explained(&[own.clone(), placed(2, 0, Promotion, 5), placed(2, 1, Start, 9)], &own));
        assert!(explained(&[placed(1, 1, Clean, 0)], &own));
        assert!(!explained(&[own.clone(), placed(1, 1, Start, 5)], &own));
        assert!(!explained(std::slice::from_ref(&own), &own));
        assert!(!explained(&[own.clone(), placed(2, 0, Promotion, 5)], &placed(3, 0, Promotion, 5)));
        assert!(explains(Some(&own.mark.epoch), None), "an empty log has nothing to lose");
    }
}
