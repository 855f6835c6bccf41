//! How much processor time the load itself takes: it is missing to what is measured.

use std::time::Duration;

/// The processor time of the main thread, on which the whole load runs. `None` where the system does not
/// tell (it is Linux that does, in `/proc`).
pub(crate) fn main_thread_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanos = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}
