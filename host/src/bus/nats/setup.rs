//! How the client is set up.

use std::time::Duration;

use async_nats::ConnectOptions;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::super::limits::{
    CONNECT_TIMEOUT, LINK_CHECK_INTERVAL, PING_INTERVAL, RECEIVE_QUEUE_PACKETS, RECONNECT_MAX, RECONNECT_MIN,
};
use super::dial::Dial;
use super::notices::NoticeSender;

/// What every connection of ours needs, whoever it logs in as.
pub(super) fn with_our_limits(
    options: ConnectOptions,
    notices: &NoticeSender,
    dial: &Dial,
    send_queue: usize,
) -> ConnectOptions {
    let notices = notices.clone();
    dial.chooses(options)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .reconnect_delay_callback(reconnect_delay)
        .subscription_capacity(RECEIVE_QUEUE_PACKETS)
        .client_capacity(send_queue)
        .event_callback(move |event| {
            notices.on_event(event);
            std::future::ready(())
        })
}

/// When a connection is looked at, besides when something is known to have happened.
pub(super) fn look_interval() -> Interval {
    let mut look = interval(LINK_CHECK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

/// Full jitter, so that the nodes that lost one server do not come back in step.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(16);
    let ceiling = RECONNECT_MIN.saturating_mul(1 << doublings).min(RECONNECT_MAX);
    ceiling.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnect_delays_are_spread_and_never_longer_than_the_cap() {
        assert!(reconnect_delay(1) <= RECONNECT_MIN * 2);
        let delays: Vec<_> = (0..1000).map(|attempt| reconnect_delay(10 + attempt * 1_000_000)).collect();
        assert!(delays.iter().all(|delay| *delay <= RECONNECT_MAX));
        assert!(delays.iter().any(|delay| *delay < RECONNECT_MAX / 4));
        assert!(delays.iter().any(|delay| *delay > RECONNECT_MAX / 4 * 3));
    }
}
