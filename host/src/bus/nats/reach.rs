//! Whether NATS can be reached, and why not.

use std::collections::BTreeSet;

use tracing::{error, warn};

use super::super::limits::MAX_COMPLAINTS;
use super::cause::{Terms, explain};
use super::dial::Failure;
use super::notices::is_refusal;

/// The attempts to connect since there was a connection. Each cause is logged once for each server, then only counted.
#[derive(Debug, Default)]
pub(super) struct Reach {
    terms: Terms,
    /// What the last attempt failed of.
    last: Option<String>,
    attempts: u64,
    logged: BTreeSet<String>,
}

impl Reach {
    pub(super) fn new(terms: Terms) -> Reach {
        Reach { terms, ..Reach::default() }
    }

    /// An attempt has failed.
    pub(super) fn on_failure(&mut self, failure: &Failure) {
        let Failure { server, words, attempts } = failure;
        let cause = explain(words, self.terms);
        let (what, check) = cause.map_or(("", ""), |cause| (cause.what, cause.check));
        self.attempts = *attempts;
        self.last = Some(match cause {
            Some(_) => format!("{server}: {what} ({words}); check {check}"),
            None => format!("{server}: {words}"),
        });
        let is_new = self.logged.len() < MAX_COMPLAINTS
            && self.logged.insert(format!("{server} {}", if what.is_empty() { words } else { what }));
        if !is_new {
            return;
        }
        if is_refusal(words) {
            error!(
                nats.address = server,
                nats.error = words,
                what,
                check,
                "NATS refuses the connection of this node; tried again and again, further failures of this kind are only counted"
            );
        } else {
            warn!(
                nats.address = server,
                nats.error = words,
                what,
                check,
                "NATS cannot be reached; tried again and again, further failures of this kind are only counted"
            );
        }
    }

    /// There is a connection; it is not proven yet.
    pub(super) fn on_connected(&mut self) {
        self.last = None;
    }

    /// The connection is proven. How many attempts had failed before.
    pub(super) fn on_up(&mut self) -> u64 {
        std::mem::replace(self, Reach::new(self.terms)).attempts
    }

    /// Why there is no connection; none while there is one.
    pub(super) fn in_words(&self) -> Option<String> {
        let last = self.last.as_ref()?;
        Some(format!("{last}; attempts: {}", self.attempts))
    }
}
