//! The next epoch of the own reign, whose mark replaces one that no entry followed (docs/RECOVERY.md, section 11).

use replog_shared::{
    Epoch, MarkKind, Moment, Place, PlacedMark,
    lines::Tip,
    store::{Cut, LogView, tip_of_cut},
};

use crate::master::{
    Effect, MasterCore,
    mutant::{self, Mutant},
};

impl MasterCore {
    /// Opens the next epoch of the own reign.
    ///
    /// The fence is saved before the log is touched, so that a crash between the cut and the new mark does no harm.
    pub(super) fn lead_on(&mut self, now: Moment, epoch: Epoch, log: &dyn LogView) {
        self.note_silent();
        self.remember(|identity| identity.fence = Some(epoch.clone()));
        let tip = self.fold(log).unwrap_or_else(|| log.tip().clone());
        self.open(now, epoch, MarkKind::Start, Vec::new(), &tip);
    }

    /// Cuts the log's last mark if it holds nothing. Returns where the log ends then.
    fn fold(&mut self, log: &dyn LogView) -> Option<Tip> {
        let place = before_fold(log.marks(), log.tip().place)?;
        let tip = tip_of_cut(log, place, log.digest_at(place)?);
        self.effect(Effect::Truncate(place, Cut::Drop));
        Some(tip)
    }
}

/// The place before the last mark of a log that ends at `tip`, if that mark may be replaced: it is a start, no
/// entry stands behind it, and another mark stands before it. So a log never loses the mark with which its
/// reign began, and whoever leads a log has one.
pub(super) fn before_fold(marks: &[PlacedMark], tip: Place) -> Option<Place> {
    let (last, before) = marks.split_last()?;
    let holds_nothing = last.at == tip.length || mutant::is(Mutant::EntriesFolded);
    let is_start = last.mark.kind == MarkKind::Start && !before.is_empty() || mutant::is(Mutant::TurnFolded);
    (holds_nothing && is_start).then(|| Place::new(last.at, before.len() as u32))
}

#[cfg(test)]
mod tests {
    use replog_shared::{Digest, Incarnation, Mark, Order};

    use super::*;

    fn mark(start: u32, kind: MarkKind, at: u64) -> PlacedMark {
        let owner = "m".parse().unwrap();
        let epoch = Epoch { reign: 1, owner, start, incarnation: Incarnation::from_random(1) };
        let mark = Mark { epoch, kind, reached: vec![], members: vec![], first: Order::ZERO };
        PlacedMark { mark, at: Order::new(at), digest: Digest::EMPTY }
    }

    #[test]
    fn only_a_start_without_entries_and_with_a_mark_before_it_is_replaced() {
        use MarkKind::{Clean, Promotion, Start};
        let replaced = |marks: &[PlacedMark], length| {
            before_fold(marks, Place::new(Order::new(length), marks.len() as u32))
        };
        let first = mark(0, Start, 0);
        assert_eq!(replaced(&[], 0), None);
        assert_eq!(replaced(std::slice::from_ref(&first), 0), None, "no log is without a mark");
        let twice = [first.clone(), mark(1, Start, 5)];
        assert_eq!(replaced(&twice, 5), Some(Place::new(Order::new(5), 1)));
        assert_eq!(replaced(&twice, 6), None);
        for kind in [Promotion, Clean] {
            assert_eq!(replaced(&[first.clone(), mark(1, kind, 5)], 5), None, "{kind:?}");
        }
    }
}
