//! The directory of a stopped node.

use std::path::Path;

use replog_disk::{CheckReport, DataDir, TornTail};
use serde_json::json;

use crate::{failure::Failure, format::grouped, output};

/// Checks the log in `dir` and changes nothing.
///
/// # Errors
/// There is none, it is in use, or it is damaged: then the file and the offset are named.
pub(super) fn verify(dir: &Path, as_json: bool) -> Result<(), Failure> {
    if !dir.join("log").is_dir() {
        return Err(Failure::Usage(format!("{} is no data directory: it has no log in it", dir.display())));
    }
    let opened = DataDir::open(dir).map_err(|error| Failure::Bad(error.to_string()))?;
    let closed_at = replog_disk::recorded_end(&opened).map_err(|error| Failure::Bad(error.to_string()))?;
    let report = replog_disk::check(&opened, closed_at).map_err(|error| Failure::Bad(error.to_string()))?;
    Ok(output::data_line(if as_json { as_document(&report) } else { as_text(&report) })?)
}

fn as_document(report: &CheckReport) -> String {
    let torn = report.torn_tail.as_ref().map(
        |torn| json!({"file": torn.file, "offset": torn.offset, "bytes": torn.bytes, "reason": torn.reason}),
    );
    json!({
        "status": "ok",
        "length": report.place.length.get(),
        "marks": report.place.marks,
        "epoch": report.epoch.as_ref().map(|epoch| epoch.number().to_string()),
        "epoch_owner": report.epoch.as_ref().map(|epoch| epoch.owner.as_str()),
        "digest": report.digest.to_string(),
        "segments": report.segments,
        "bytes": report.bytes,
        "torn_tail": torn,
    })
    .to_string()
}

fn as_text(report: &CheckReport) -> String {
    let epoch = report.epoch.as_ref().map_or_else(|| "none".to_owned(), |epoch| epoch.to_string());
    let mut text = format!(
        "sound: {} entries, {} marks, last epoch {epoch}, digest {}\n{} bytes in {} segments",
        grouped(report.place.length.get()),
        report.place.marks,
        report.digest,
        grouped(report.bytes),
        report.segments,
    );
    if let Some(TornTail { file, offset, bytes, reason }) = &report.torn_tail {
        text += &format!(
            "\ntorn end: {} from byte {offset} on, {bytes} bytes that were never synced ({reason}); the next start cuts them off",
            file.display()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use replog_disk::{NodeFile, OpenMode, OpenOptions, SegmentSizes};
    use replog_shared::{
        Durability, Epoch, Incarnation, Lines, Mark, MarkKind, Order,
        store::{LogView as _, Store as _},
    };

    use super::*;

    /// A node that holds one mark, and was stopped well.
    fn live_once(dir: &Path) {
        let (dir, name) = (DataDir::open(dir).unwrap(), "node1".parse().unwrap());
        let mut file = NodeFile::open(&dir, &name, Durability::Disk).unwrap();
        file.begin_run(false).unwrap();
        let (level, mode, segments) = (Durability::Disk, OpenMode::Strict, SegmentSizes::default());
        let options = OpenOptions { level, ids: None, mode, closed_at: None, segments };
        let (mut store, _) = replog_disk::open(&dir, options, || {}).unwrap();
        let epoch = Epoch { reign: 1, owner: name, start: 1, incarnation: Incarnation::from_random(1) };
        let mark =
            Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO };
        assert!(store.append(&Lines::of_mark(mark, store.tip())));
        let tip = store.tip().clone();
        store.close().unwrap();
        file.close((&tip).into()).unwrap();
    }

    #[test]
    fn a_log_that_lacks_its_end_after_a_clean_stop_is_found_damaged() {
        let dir = tempfile::tempdir().unwrap();
        live_once(dir.path());
        verify(dir.path(), true).unwrap();
        let segment = fs::read_dir(dir.path().join("log")).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&segment).unwrap();
        fs::write(&segment, &bytes[..bytes.len() - 40]).unwrap();
        let found = verify(dir.path(), true).unwrap_err();
        assert!(matches!(found, Failure::Bad(why) if why.contains("is damaged at byte")));
    }
}
