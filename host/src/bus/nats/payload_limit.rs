//! The server's limit for one payload, asked for again while there is a connection.
//!
//! A reload of nats-server changes `max_payload` and tells nobody: one larger packet than it takes now ends the connection,
//! and one that it would take now is refused here. The greeting of a second connection says the limit of the moment, before any login or TLS.

use std::time::{Duration, Instant};

use async_nats::ServerAddr;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::super::limits::{
    LIMIT_CHECK_INTERVAL, LIMIT_CHECK_TIMEOUT, MAX_GREETING_BYTES, MAX_SERVER_ADDRESSES,
    SUSPECTED_LIMIT_CHECK_INTERVAL,
};

/// When the limit is asked for.
#[derive(Debug, Default)]
pub(super) struct LimitWatch {
    asked: Option<Instant>,
    /// Something is too large for the limit that is known.
    suspected: bool,
}

/// What a server says of itself to everyone who connects.
#[derive(Debug, Deserialize)]
struct Greeting {
    server_id: String,
    max_payload: usize,
}

impl LimitWatch {
    /// A connection was proven: its limit is known as of now.
    pub(super) fn on_up(&mut self, now: Instant) {
        *self = LimitWatch { asked: Some(now), suspected: false };
    }

    /// Something is refused or held back because it is larger than the limit that is known.
    pub(super) const fn suspect(&mut self) {
        self.suspected = true;
    }

    /// Whether to ask now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let interval = self.interval();
        let due = self.asked.is_none_or(|asked| now.duration_since(asked) >= interval);
        if due {
            *self = LimitWatch { asked: Some(now), suspected: false };
        }
        due
    }

    const fn interval(&self) -> Duration {
        if self.suspected { SUSPECTED_LIMIT_CHECK_INTERVAL } else { LIMIT_CHECK_INTERVAL }
    }
}

/// The limit of the server `server_id` at this address. None if it does not say: with `handshake_first` it waits for TLS, and
/// behind one name there can be other servers.
pub(super) async fn ask(address: ServerAddr, server_id: String) -> Option<usize> {
    let asked = timeout(LIMIT_CHECK_TIMEOUT, async {
        for address in lookup_host((address.host(), address.port())).await.ok()?.take(MAX_SERVER_ADDRESSES) {
            let greeting = greeting_of(TcpStream::connect(address).await.ok()?).await;
            if let Some(greeting) = greeting.filter(|greeting| greeting.server_id == server_id) {
                return Some(greeting.max_payload);
            }
        }
        None
    });
    asked.await.ok().flatten()
}

async fn greeting_of(connection: TcpStream) -> Option<Greeting> {
    let mut line = Vec::new();
    BufReader::new(connection.take(MAX_GREETING_BYTES)).read_until(b'\n', &mut line).await.ok()?;
    serde_json::from_slice(line.strip_prefix(b"INFO ")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_asked_for_now_and_then_and_sooner_if_something_is_too_large() {
        let start = Instant::now();
        let mut watch = LimitWatch::default();
        watch.on_up(start);
        assert!(!watch.is_due(start + SUSPECTED_LIMIT_CHECK_INTERVAL));
        watch.suspect();
        assert!(!watch.is_due(start));
        let sooner = start + SUSPECTED_LIMIT_CHECK_INTERVAL;
        assert!(watch.is_due(sooner));
        assert!(!watch.is_due(sooner + SUSPECTED_LIMIT_CHECK_INTERVAL), "it is not suspected any more");
        assert!(watch.is_due(sooner + LIMIT_CHECK_INTERVAL));
    }
}
