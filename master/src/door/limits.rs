//! Every size and time of the door, with its reason.

use std::time::Duration;

use replog_host::bus::MAX_SERVICE_REQUESTS;

/// Requests that may wait for longer than [`SHORT_WAIT`]. NATS does not tell when a client has given up, so these may
/// wait for nobody, for ever: the other half of the places stays free for those that do not.
pub(super) const MAX_LONG_WAITS: usize = MAX_SERVICE_REQUESTS / 2;

/// What a request waits at the most when so many others wait for longer. Twice what `nats req` waits by itself.
pub(super) const SHORT_WAIT: Duration = Duration::from_secs(10);

/// How long a door that closes for good waits for the answers: longer than a node that stops waits for its disk, so that it
/// has told all of them by then.
pub(super) const LAST_ANSWERS: Duration = Duration::from_secs(5);
