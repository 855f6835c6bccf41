//! The bar on standard error while a load runs. It shows only on a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{load::Load, tally::Tally};
use crate::format::grouped;

/// How often the bar moves. Drawing costs time that is missing to the load.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// The bar of one run.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    messages_per_request: u64,
    count: Option<u64>,
}

impl Progress {
    /// A bar that begins now.
    pub(crate) fn new(load: &Load) -> Self {
        let whole = load.measured.map(|measured| millis(load.warmup + measured));
        let bar = ProgressBar::new(load.count.or(whole).unwrap_or(0));
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} [{bar:30}] {percent:>3} %  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        let messages_per_request = u64::from(load.settings.batch);
        Self { bar, started: Instant::now(), messages_per_request, count: load.count }
    }

    /// Shows how far the run is and its rate until now.
    pub(crate) fn update(&self, tally: &Tally) {
        let done = if self.count.is_some() { tally.answered() } else { millis(self.started.elapsed()) };
        self.bar.set_position(done);
        let seconds = tally.measured(Instant::now()).as_secs_f64();
        let message = match tally.answered_in_window() * self.messages_per_request {
            0 => "warming up".to_owned(),
            messages => {
                format!("{} msg/s, {} errors", grouped((messages as f64 / seconds) as u64), tally.errors())
            }
        };
        self.bar.set_message(message);
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
