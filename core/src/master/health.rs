//! Healthy, suspected, unhealthy: what silence means.

use std::time::Duration;

use replog_shared::{
    Moment,
    limits::{SUSPECTED_AFTER_INTERVALS, UNHEALTHY_AFTER_INTERVALS},
};

/// How a node seems, judged by when it last gave a sign of life. Touches pacing and the read-only mode
/// only: never what is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Heard of late.
    Healthy,
    /// Silent for some heartbeats.
    Suspected,
    /// Silent for long, or never heard.
    Unhealthy,
}

impl Health {
    /// The health of a node last heard at `heard`, with this interval between signs of life.
    pub fn of(heard: Option<Moment>, now: Moment, interval: Duration) -> Health {
        match heard.map(|heard| now.since(heard)) {
            Some(silence) if silence < interval * SUSPECTED_AFTER_INTERVALS => Health::Healthy,
            Some(silence) if silence < interval * UNHEALTHY_AFTER_INTERVALS => Health::Suspected,
            _ => Health::Unhealthy,
        }
    }

    /// As it is written in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Suspected => "suspected",
            Health::Unhealthy => "unhealthy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_turns_into_suspicion_and_then_into_illness() {
        let at = |millis| Moment::after_start(Duration::from_millis(millis));
        let health = |now| Health::of(Some(at(1000)), at(now), Duration::from_millis(100));
        assert_eq!(health(1399), Health::Healthy);
        assert_eq!(health(1400), Health::Suspected);
        assert_eq!(health(2200), Health::Unhealthy);
        assert_eq!(Health::of(None, at(0), Duration::from_millis(100)), Health::Unhealthy);
    }
}
