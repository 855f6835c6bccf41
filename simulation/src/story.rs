//! What happened, one line an event.

/// Collects lines, or nothing.
#[derive(Debug, Default)]
pub(super) struct Story {
    told: bool,
    /// Simulated time since the start, in microseconds.
    pub(super) now: u64,
    lines: Vec<String>,
}

impl Story {
    pub(super) fn new(told: bool) -> Story {
        Story { told, ..Story::default() }
    }

    /// Adds a line; it is written only if somebody reads it.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.told {
            self.lines.push(format!("{:>10.3} ms  {}", self.now as f64 / 1000.0, line()));
        }
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}
