//! What opening a log changes on the disk. Each step may be the last one before a crash.

use std::path::{Path, PathBuf};

use super::{DataDir, scan::Scan};
use crate::{
    error::Failed,
    files::{read_full, write_full},
    format::{RECORD_BYTES, TEMPORARY_SUFFIX},
    limits::SCAN_BYTES,
    log::{next_number, sealed_end},
};

/// Makes the last segment durable as it was scanned, and ends it there. Returns where it ends.
///
/// The bytes behind go first: a torn write must not come back to life behind the lines that follow.
pub(super) fn seal(dir: &DataDir, path: &Path, scan: &Scan) -> Result<u64, Failed> {
    let file = dir.files.open(path).map_err(Failed::reading(path))?;
    if scan.size != scan.end {
        file.set_len(scan.end).map_err(Failed::writing(path))?;
    }
    file.sync().map_err(Failed::syncing(path))?;
    let is_sealed = scan.synced >= scan.lines_end && scan.end > scan.lines_end;
    if is_sealed {
        return Ok(scan.end);
    }
    let record = sealed_end(scan.header.salt, scan.end, scan.digest);
    write_full(&*file, &record, scan.end).map_err(Failed::writing(path))?;
    file.sync().map_err(Failed::syncing(path))?;
    Ok(scan.end + RECORD_BYTES as u64)
}

/// Removes a segment without lines.
pub(super) fn remove(dir: &DataDir, path: &Path) -> Result<(), Failed> {
    dir.files.remove(path).map_err(Failed::removing(path))?;
    dir.files.sync_dir(&dir.log).map_err(Failed::syncing(&dir.log))
}

/// Removes what was not part of the log yet when a process ended.
pub(super) fn remove_temporaries(dir: &DataDir) -> Result<(), Failed> {
    let names = dir.files.list(&dir.log).map_err(Failed::reading(&dir.log))?;
    for name in names.iter().filter(|name| name.ends_with(TEMPORARY_SUFFIX)) {
        let path = dir.log.join(name);
        dir.files.remove(&path).map_err(Failed::removing(&path))?;
    }
    Ok(())
}

/// Moves segments into quarantine as they are, the newest first, so that there is never a hole. The first
/// one is copied instead if a part of it stays.
pub(super) fn quarantine(
    dir: &DataDir,
    paths: &[PathBuf],
    first_stays: bool,
) -> Result<Vec<PathBuf>, Failed> {
    dir.create(&dir.quarantine)?;
    let number = next_number(&*dir.files, &dir.quarantine).map_err(Failed::reading(&dir.quarantine))?;
    let mut moved = Vec::new();
    for (nth, path) in paths.iter().enumerate().rev() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let to = dir.quarantine.join(format!("{number}-{name}"));
        if nth == 0 && first_stays {
            copy(dir, path, &to)?;
        } else {
            dir.files.rename(path, &to).map_err(Failed::creating(&to))?;
        }
        for changed in [&dir.quarantine, &dir.log] {
            dir.files.sync_dir(changed).map_err(Failed::syncing(changed))?;
        }
        moved.push(to);
    }
    moved.reverse();
    Ok(moved)
}

fn copy(dir: &DataDir, from: &Path, to: &Path) -> Result<(), Failed> {
    let old = dir.files.open(from).map_err(Failed::reading(from))?;
    let new = dir.files.create(to).map_err(Failed::creating(to))?;
    let (mut buffer, mut at) = (vec![0; SCAN_BYTES], 0);
    loop {
        let got = read_full(&*old, &mut buffer, at).map_err(Failed::reading(from))?;
        if got == 0 {
            return new.sync().map_err(Failed::syncing(to));
        }
        write_full(&*new, &buffer[..got], at).map_err(Failed::writing(to))?;
        at += got as u64;
    }
}
