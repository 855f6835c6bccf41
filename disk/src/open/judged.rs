//! A log that was judged, and not changed yet.

use replog_shared::{Epoch, lines::Tip, store::LineChunks};

use super::{
    CutAtDamage, DataDir, OpenOptions, OpenReport, TornTail,
    recover::Recovered,
    repair::{self, Repair},
};
use crate::{
    error::{Damage, OpenError},
    log::{DiskStore, Parts},
};

/// What the log on the disk lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing.
    Nothing,
    /// The end of a write that was never known to be on the disk.
    Torn(TornTail),
    /// Something that had been on the disk.
    Damaged(Damage),
}

/// What the log in a data directory is, and what is to be done before it can be used.
///
/// Between the verdict and [`Judged::repair`] its owner lowers what it claims of the log: a repair that a crash cuts
/// off leaves a log that looks sound and is shorter than what its node said that it held.
#[derive(Debug)]
pub struct Judged {
    pub(super) dir: DataDir,
    pub(super) options: OpenOptions,
    /// How many segments there were.
    pub(super) checked: usize,
    pub(super) recovered: Recovered,
    pub(super) loss: Loss,
    pub(super) repair: Repair,
}

impl Judged {
    /// What the log will have lost once it is repaired, of what had been on the disk.
    pub const fn damage(&self) -> Option<&Damage> {
        match &self.loss {
            Loss::Damaged(damage) => Some(damage),
            Loss::Nothing | Loss::Torn(_) => None,
        }
    }

    /// The epoch of the log's last mark.
    pub fn epoch(&self) -> Option<&Epoch> {
        self.recovered.marks.last().map(|placed| &placed.mark.epoch)
    }

    /// Does what is to be done, and starts the log. When it returns, all that the log holds is on the disk, at every
    /// level. `wake` is called, from other threads, whenever [`replog_shared::store::Store::refresh`] has news; it
    /// must not block.
    ///
    /// # Errors
    /// The file system refused. The next start finds the log as it was, as it is to be, or between the two.
    pub fn repair(
        self,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<(DiskStore, OpenReport), OpenError> {
        let Judged { dir, options, checked, mut recovered, loss, repair } = self;
        let quarantined = repair::carry_out(&dir, &mut recovered, repair, options.closed_at.is_some())?;
        let mut report = OpenReport { segments: checked, place: recovered.place, ..OpenReport::default() };
        report.bytes = recovered.segments.iter().map(|one| one.end).sum();
        match loss {
            Loss::Nothing => {}
            Loss::Torn(torn) => report.torn_tail = Some(torn),
            Loss::Damaged(damage) => report.cut_at_damage = Some(CutAtDamage { damage, quarantined }),
        }
        tell(&report);
        Ok((DiskStore::start(parts(&dir, recovered), options, wake), report))
    }
}

fn parts(dir: &DataDir, recovered: Recovered) -> Parts {
    let Recovered { segments, marks, ids, place, digest, entry_digest, trailing_marks, at, batch, .. } =
        recovered;
    let epoch = marks.last().map(|placed| placed.mark.epoch.clone());
    let tail = LineChunks::behind(place.length, entry_digest, &trailing_marks, digest);
    Parts { dir: dir.clone(), segments, tail, marks, tip: Tip { place, digest, epoch, at, batch }, ids }
}

fn tell(report: &OpenReport) {
    let (length, segments, bytes) = (report.place.length, report.segments, report.bytes);
    tracing::info!(%length, segments, bytes, "opened the log");
    if let Some(TornTail { file, offset, bytes, reason }) = &report.torn_tail {
        let file = file.display();
        tracing::warn!(%file, offset, bytes, reason, "cut off the torn end of a write that was never synced");
    }
    if let Some(CutAtDamage { damage, quarantined }) = &report.cut_at_damage {
        tracing::error!(%damage, ?quarantined, "the log is damaged; what is behind went into quarantine");
    }
}
