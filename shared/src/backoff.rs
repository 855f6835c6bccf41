//! How long to wait before asking again.

use std::time::Duration;

use crate::limits::{RETRY_MAX, RETRY_MIN};

/// Full-jitter backoff: each delay is drawn evenly between [`RETRY_MIN`] and a ceiling that doubles with
/// each attempt up to [`RETRY_MAX`]. Never gives up.
///
/// Jitter keeps many nodes that lost one server from asking in step. Source: M. Brooker, "Exponential
/// Backoff And Jitter", 2015.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The delay before the next attempt.
    pub fn next_delay(&mut self, random: &mut fastrand::Rng) -> Duration {
        let ceiling = RETRY_MIN.saturating_mul(1 << self.attempts.min(16)).min(RETRY_MAX);
        self.attempts = self.attempts.saturating_add(1);
        let micros = |delay: Duration| u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(random.u64(micros(RETRY_MIN)..=micros(ceiling)))
    }

    /// How many attempts were made since the last sign of life.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The other side gave a sign of life: the next delay is a short one again.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_fall_back_at_a_sign_of_life() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next_delay(&mut random), RETRY_MIN);
        let delays: Vec<Duration> = (0..1000).map(|_| backoff.next_delay(&mut random)).collect();
        assert!(delays.iter().all(|delay| (RETRY_MIN..=RETRY_MAX).contains(delay)));
        assert!(delays.iter().any(|delay| *delay > RETRY_MAX / 2));
        backoff.reset();
        assert_eq!(backoff.next_delay(&mut random), RETRY_MIN);
    }
}
