//! A shortage of file descriptors, of this process or of the machine: it passes, and says nothing of the disk.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// While it lasts, it is told this often.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// `EMFILE` and `ENFILE`, the same on every system that this is built for.
const SHORTAGES: [i32; 2] = [24, 23];

/// A descriptor that is given up at the first shortage, so that the log has one when it needs it.
static KEPT: Mutex<Option<File>> = Mutex::new(None);

/// Opens something by `open`, and waits while there is no descriptor for it.
///
/// The bug this prevents: a log that counts as failed, so that its node stops, because clients had all descriptors.
pub(super) fn wait_out<T>(path: &Path, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let mut told: Option<Instant> = None;
    loop {
        match open() {
            Err(error) if is_shortage(&error) => {
                // Closing it may be all that is needed; whoever is quicker may have it instead.
                let given_up = kept().take().is_some();
                if told.is_none_or(|told| told.elapsed() >= TELL_INTERVAL) {
                    tracing::warn!(%error, path = %path.display(), "waits until a file can be opened: the disk is fine");
                    told = Some(Instant::now());
                }
                if !given_up {
                    thread::sleep(PAUSE);
                }
            }
            done => {
                keep_one();
                return done;
            }
        }
    }
}

fn is_shortage(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| SHORTAGES.contains(&code))
}

fn keep_one() {
    let mut kept = kept();
    if kept.is_none() {
        *kept = File::open("/dev/null").ok();
    }
}

fn kept() -> MutexGuard<'static, Option<File>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_shortage_is_waited_out_and_nothing_else_is() {
        for code in SHORTAGES {
            let tries = Cell::new(0);
            let opened = wait_out(Path::new("x"), || {
                tries.set(tries.get() + 1);
                if tries.get() < 4 { Err(io::Error::from_raw_os_error(code)) } else { Ok(7) }
            });
            assert_eq!((opened.unwrap(), tries.get()), (7, 4));
        }
        let tries = Cell::new(0);
        let refused = wait_out(Path::new("x"), || {
            tries.set(tries.get() + 1);
            io::Result::<()>::Err(io::ErrorKind::PermissionDenied.into())
        });
        assert_eq!((refused.unwrap_err().kind(), tries.get()), (io::ErrorKind::PermissionDenied, 1));
    }

    #[test]
    fn what_is_a_shortage_to_the_system_is_one_here() {
        let (a, b) = (io::Error::from_raw_os_error(SHORTAGES[0]), io::Error::from_raw_os_error(SHORTAGES[1]));
        assert!(
            a.to_string().contains("open files") && b.to_string().contains("open files in system"),
            "{a} {b}"
        );
    }
}
