//! How the client is set up, and what it listens on.

use std::time::Duration;

use async_nats::{Client, ConnectOptions};

use super::super::limits::{
    CONNECT_TIMEOUT, PING_INTERVAL, RECEIVE_QUEUE_PACKETS, RECONNECT_MAX, RECONNECT_MIN,
};
use super::inbound::Inbound;
use super::notices::NoticeSender;
use super::options::NatsSetupError;

/// What every connection of ours needs, whoever it logs in as.
pub(super) fn with_our_limits(
    options: ConnectOptions,
    notices: &NoticeSender,
    send_queue: usize,
) -> ConnectOptions {
    let notices = notices.clone();
    options
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

/// Full jitter, so that the nodes that lost one server do not come back in step.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(16);
    let ceiling = RECONNECT_MIN.saturating_mul(1 << doublings).min(RECONNECT_MAX);
    ceiling.mul_f64(fastrand::f64())
}

/// Subscribes to each subject and to everything below the inbox.
pub(super) async fn subscribe(
    client: &Client,
    subscriptions: Vec<String>,
    inbox: &str,
) -> Result<Inbound, NatsSetupError> {
    let mut subscribers = Vec::with_capacity(subscriptions.len() + 1);
    for subject in subscriptions.into_iter().chain([format!("{inbox}.>")]) {
        let subscriber = client.subscribe(subject.clone()).await;
        let refused = |error| NatsSetupError::one(format!("cannot subscribe to {subject:?}: {error}"));
        subscribers.push(subscriber.map_err(refused)?);
    }
    Ok(Inbound::new(subscribers))
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
