//! What opening a log changes on the disk. Each step may be the last one before a crash.

use std::{
    io,
    path::{Path, PathBuf},
};

use replog_shared::Digest;

use super::{DataDir, recover::Recovered, scan::Scan};
use crate::{
    error::Failed,
    files::{File, read_full, write_full},
    format::{HEADER_BYTES, RECORD_BYTES, TEMPORARY_SUFFIX},
    limits::SCAN_BYTES,
    log::{Segment, close_segment, next_number, replace_by_prefix, sealed_end},
};

/// What is to be done to a log before it can be used.
#[derive(Debug)]
pub(super) enum Repair {
    /// Nothing: it has no segment.
    Nothing,
    /// Its last segment is made durable, and ends where its lines do.
    Seal(Seal),
    /// Its last segment has no lines and goes.
    RemoveLast(PathBuf),
    /// These segments are damaged, or follow one that is, and go. The first one stays as far as it is sound, if it is
    /// sound anywhere.
    Quarantine {
        /// The segments, oldest first.
        paths: Vec<PathBuf>,
        /// Whether a part of the first one stays.
        keeps_first: bool,
    },
}

/// What is known of the last segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal {
    /// The file's size.
    size: u64,
    /// Bytes `0..` this were on the disk once, says a record.
    synced: u64,
    /// Whether nothing but a record of all its lines stands behind them.
    is_closed: bool,
    digest: Digest,
}

impl Seal {
    pub(super) const fn of(scan: &Scan) -> Seal {
        let is_closed = scan.synced >= scan.lines_end && scan.end > scan.lines_end;
        Seal { size: scan.size, synced: scan.synced, is_closed, digest: scan.digest }
    }
}

/// Carries a repair out: the raw files that went into quarantine. `was_closed`: all that the log holds was on the
/// disk when its last process ended.
pub(super) fn carry_out(
    dir: &DataDir,
    log: &mut Recovered,
    repair: Repair,
    was_closed: bool,
) -> Result<Vec<PathBuf>, Failed> {
    if !was_closed {
        sync_names(dir)?;
    }
    let mut quarantined = Vec::new();
    match repair {
        Repair::Nothing => {}
        Repair::Seal(seal) => {
            if let Some(last) = log.segments.last_mut() {
                last.end = seal.carry_out(dir, last, was_closed)?;
            }
        }
        Repair::RemoveLast(path) => {
            close_last(dir, log)?;
            remove(dir, &path)?;
        }
        Repair::Quarantine { paths, keeps_first } => {
            if !keeps_first {
                close_last(dir, log)?;
            }
            quarantined = quarantine(dir, &paths, keeps_first)?;
            if let Some(last) = log.segments.last_mut().filter(|_| keeps_first) {
                last.end = replace_by_prefix(&*dir.files, &dir.log, last, last.end, log.digest)?;
            }
        }
    }
    Ok(quarantined)
}

/// Makes the names durable that a process which died had changed and not synced: a segment that was cut away would come
/// back behind the lines that follow.
fn sync_names(dir: &DataDir) -> Result<(), Failed> {
    for changed in [&dir.quarantine, &dir.log] {
        match dir.files.sync_dir(changed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => synced.map_err(Failed::syncing(changed))?,
        }
    }
    Ok(())
}

/// What follows the last segment goes: from now on it says itself that it is whole.
fn close_last(dir: &DataDir, log: &mut Recovered) -> Result<(), Failed> {
    match log.segments.last_mut() {
        Some(last) => close_segment(&*dir.files, last, log.digest),
        None => Ok(()),
    }
}

impl Seal {
    /// Makes the last segment durable as it was scanned, and ends it there. Returns where it ends.
    ///
    /// The bytes behind go first: a torn write must not come back to life behind the lines that follow.
    fn carry_out(self, dir: &DataDir, segment: &Segment, was_closed: bool) -> Result<u64, Failed> {
        let (path, end) = (&segment.path, segment.end);
        if was_closed && self.is_closed && self.size == end {
            return Ok(end);
        }
        let file = dir.files.open(path).map_err(Failed::reading(path))?;
        if !was_closed {
            write_again(&*file, path, self.synced.max(HEADER_BYTES as u64), end)?;
        }
        if self.size != end {
            file.set_len(end).map_err(Failed::writing(path))?;
        }
        file.sync().map_err(Failed::syncing(path))?;
        if self.is_closed {
            return Ok(end);
        }
        let record = sealed_end(segment.header.salt, end, self.digest);
        let written = write_full(&*file, &record, end).map_err(Failed::writing(path));
        if written.as_ref().is_err_and(Failed::is_for_want_of_room) {
            // A log without it is whole, too: what is on the disk is only proven by less.
            file.set_len(end).map_err(Failed::writing(path))?;
            return Ok(end);
        }
        written?;
        file.sync().map_err(Failed::syncing(path))?;
        Ok(end + RECORD_BYTES as u64)
    }
}

/// Writes what a file shows at `from..to` once more.
///
/// After a sync that failed, the system may show what is not on the disk and take it for written: the next sync would
/// succeed and write nothing.
fn write_again(file: &dyn File, path: &Path, from: u64, to: u64) -> Result<(), Failed> {
    let (mut buffer, mut at) = (vec![0; SCAN_BYTES.min(to.saturating_sub(from) as usize)], from);
    while at < to {
        let count = (to - at).min(buffer.len() as u64) as usize;
        let got = read_full(file, &mut buffer[..count], at).map_err(Failed::reading(path))?;
        if got == 0 {
            break;
        }
        write_full(file, &buffer[..got], at).map_err(Failed::writing(path))?;
        at += got as u64;
    }
    Ok(())
}

/// Removes a segment without lines.
fn remove(dir: &DataDir, path: &Path) -> Result<(), Failed> {
    dir.files.remove(path).map_err(Failed::removing(path))?;
    dir.files.sync_dir(&dir.log).map_err(Failed::syncing(&dir.log))
}

/// Takes segments into quarantine as they are. The first one is copied if a part of it stays, before the others go: as
/// long as they are there, it cannot be taken for one with a torn end. They are moved, the newest first, so that there
/// is never a hole.
fn quarantine(dir: &DataDir, paths: &[PathBuf], keeps_first: bool) -> Result<Vec<PathBuf>, Failed> {
    dir.create(&dir.quarantine)?;
    let number = next_number(&*dir.files, &dir.quarantine).map_err(Failed::reading(&dir.quarantine))?;
    let kept_as: Vec<PathBuf> = paths
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            dir.quarantine.join(format!("{number}-{name}"))
        })
        .collect();
    let copied = usize::from(keeps_first);
    for (path, to) in paths.iter().zip(&kept_as).take(copied) {
        copy(dir, path, to)?;
    }
    for (path, to) in paths.iter().zip(&kept_as).skip(copied).rev() {
        dir.files.rename(path, to).map_err(Failed::creating(to))?;
        for changed in [&dir.quarantine, &dir.log] {
            dir.files.sync_dir(changed).map_err(Failed::syncing(changed))?;
        }
    }
    Ok(kept_as)
}

/// Copies a file: under its name there is always the whole of it.
fn copy(dir: &DataDir, from: &Path, to: &Path) -> Result<(), Failed> {
    let mut temporary = to.as_os_str().to_owned();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = PathBuf::from(temporary);
    let old = dir.files.open(from).map_err(Failed::reading(from))?;
    let new = dir.files.create(&temporary).map_err(Failed::creating(&temporary))?;
    let (mut buffer, mut at) = (vec![0; SCAN_BYTES], 0);
    loop {
        let got = read_full(&*old, &mut buffer, at).map_err(Failed::reading(from))?;
        if got == 0 {
            break;
        }
        write_full(&*new, &buffer[..got], at).map_err(Failed::writing(&temporary))?;
        at += got as u64;
    }
    new.sync().map_err(Failed::syncing(&temporary))?;
    dir.files.rename(&temporary, to).map_err(Failed::creating(to))?;
    dir.files.sync_dir(&dir.quarantine).map_err(Failed::syncing(&dir.quarantine))
}
