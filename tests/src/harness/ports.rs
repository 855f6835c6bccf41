//! Ports that nobody uses.

use std::net::TcpListener;

/// Below the range from which systems take ports for outgoing connections: a node that is down for a while finds its
/// port still free when it comes back.
const RANGE: std::ops::Range<u16> = 18_000..32_000;

/// A port of this machine on which nothing listens.
pub(super) fn free() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = std::iter::repeat_with(|| fastrand::u16(RANGE)).take(1_000).find(is_free);
    port.expect("there is a free port among a thousand")
}
