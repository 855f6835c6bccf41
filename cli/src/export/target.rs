//! The file that a log is written to.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use crate::{failure::Failure, output};

/// Bytes that are looked at at one time, from the end backwards.
const STEP_BYTES: u64 = 64 * 1024;

/// A file, open to be written at its end.
pub(crate) struct ExportFile {
    pub(crate) out: BufWriter<File>,
    /// Its last line; none if it is empty.
    pub(crate) last: Option<String>,
}

impl ExportFile {
    /// Makes the file, or with `resume` goes on with the one that is there.
    ///
    /// # Errors
    /// It is there and shall not be, or cannot be written.
    pub(crate) fn open(path: &Path, resume: bool) -> Result<ExportFile, Failure> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::Usage(format!("{} is there already; --resume adds to it", path.display()))
            }
            _ => Failure::Usage(format!("{}: {error}", path.display())),
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(resume).create_new(!resume);
        let mut file = options.open(path).map_err(failed)?;
        let last = last_line(&mut file).map_err(failed)?;
        Ok(ExportFile { out: BufWriter::new(file), last })
    }
}

/// Cuts off what stands behind the last line feed, stands at the end, and gives the last line.
fn last_line(file: &mut File) -> io::Result<Option<String>> {
    let size = file.seek(SeekFrom::End(0))?;
    let end = behind_line_feed(file, size)?;
    if end < size {
        output::say(format_args!("replog: the last line of the file was not whole: cut it off"));
        file.set_len(end)?;
    }
    file.seek(SeekFrom::Start(end))?;
    if end == 0 {
        return Ok(None);
    }
    let start = behind_line_feed(file, end - 1)?;
    let line = bytes(file, start, end - 1)?;
    file.seek(SeekFrom::Start(end))?;
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// Where the last line begins of those that end before `end`: behind the last line feed there; 0 if there is none.
fn behind_line_feed(file: &mut File, mut end: u64) -> io::Result<u64> {
    while end > 0 {
        let start = end.saturating_sub(STEP_BYTES);
        let step = bytes(file, start, end)?;
        if let Some(at) = step.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn bytes(file: &mut File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(to - from).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[test]
    fn a_file_goes_on_behind_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let long = "x".repeat(3 * STEP_BYTES as usize);
        for (before, last, kept) in [
            (String::new(), None, String::new()),
            ("torn".to_owned(), None, String::new()),
            ("a\n".to_owned(), Some("a".to_owned()), "a\n".to_owned()),
            (format!("a\n{long}\ntorn"), Some(long.clone()), format!("a\n{long}\n")),
            (format!("a\n{long}"), Some("a".to_owned()), "a\n".to_owned()),
        ] {
            fs::write(&path, &before).unwrap();
            let mut opened = ExportFile::open(&path, true).unwrap();
            assert_eq!(opened.last, last);
            opened.out.write_all(b"next\n").unwrap();
            drop(opened);
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{kept}next\n"));
        }
    }

    #[test]
    fn a_file_that_is_there_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(ExportFile::open(&path, false), Err(Failure::Usage(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
