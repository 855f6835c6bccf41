//! What `import` and `export` have in common: a bar, and a limit to patience.

use indicatif::{ProgressBar, ProgressStyle};
use replog_shared::backoff::Backoff;
use tokio::time::sleep;

use crate::failure::Failure;

/// Attempts that may fail one after the other, about half a minute; then the command ends, to be started again.
const MAX_ATTEMPTS: u32 = 12;

/// A bar on standard error while it is a terminal. Without a `total`, it only counts.
pub(crate) fn bar(total: Option<u64>, unit: &str) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            format!("{{elapsed:>4}} [{{bar:30}}] {{percent:>3}} %  {{{unit}}}  {{msg}}"),
        ),
        None => (ProgressBar::no_length(), format!("{{elapsed:>4}} {{spinner}} {{{unit}}}  {{msg}}")),
    };
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// Waits before the next attempt.
pub(crate) struct Patience {
    backoff: Backoff,
    random: fastrand::Rng,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience { backoff: Backoff::default(), random: fastrand::Rng::new() }
    }

    /// Waits after an attempt that failed, for as long as another may help.
    ///
    /// # Errors
    /// The failure: it would be the same, or it has been too often.
    pub(crate) async fn bear(&mut self, failure: Failure) -> Result<(), Failure> {
        if !failure.may_pass() || self.backoff.attempts() >= MAX_ATTEMPTS {
            return Err(failure);
        }
        sleep(self.backoff.next_delay(&mut self.random)).await;
        Ok(())
    }

    /// An attempt has succeeded.
    pub(crate) fn renew(&mut self) {
        self.backoff.reset();
    }
}
