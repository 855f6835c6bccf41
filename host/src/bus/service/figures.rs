//! What a service counts of its own requests.

use std::time::Duration;

use replog_shared::Code;

/// Counts since this process started; `nats micro stats` shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Figures {
    /// Requests that are done with.
    pub(super) requests: u64,
    /// Those of them that were refused or ignored.
    pub(super) errors: u64,
    /// Why, of the last one; empty if there was none.
    pub(super) last_error: String,
    /// Requests whose sender could not be told anything.
    pub(super) ignored: u64,
    /// From the arrival to the answer, of all together.
    pub(super) processing: Duration,
}

impl Figures {
    /// A request was answered after so long: by what was asked for, or by a refusal with this code.
    pub(in super::super) fn on_answered(&mut self, after: Duration, refused: Option<Code>) {
        self.requests += 1;
        self.processing += after;
        if let Some(code) = refused {
            self.on_error(code.status(), code.word());
        }
    }

    fn on_error(&mut self, status: u16, word: &str) {
        self.errors += 1;
        self.last_error = format!("{status}:{word}");
    }

    /// A request came whose sender cannot be told anything.
    pub(in super::super) fn on_ignored(&mut self) {
        self.ignored += 1;
        self.on_answered(Duration::ZERO, None);
        self.on_error(400, "no_reply_subject");
    }

    pub(super) fn average(&self) -> Duration {
        let requests = u32::try_from(self.requests).unwrap_or(u32::MAX).max(1);
        self.processing / requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_is_counted_and_the_last_error_is_kept() {
        let mut figures = Figures::default();
        assert_eq!(figures.average(), Duration::ZERO);
        figures.on_answered(Duration::from_millis(2), None);
        figures.on_answered(Duration::from_millis(4), Some(Code::InvalidField));
        figures.on_answered(Duration::from_millis(6), None);
        assert_eq!((figures.requests, figures.errors, figures.average().as_millis()), (3, 1, 4));
        assert_eq!(figures.last_error, "400:invalid_field");
        figures.on_ignored();
        assert_eq!((figures.requests, figures.errors, figures.ignored), (4, 2, 1));
        assert_eq!(figures.last_error, "400:no_reply_subject");
    }
}
