//! Waiting for a condition.

use std::time::{Duration, Instant};

/// Long enough for anything that should happen by itself, also on a machine that is busy.
pub const SOON: Duration = Duration::from_secs(20);

/// Between two looks at a condition.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(15);

/// Waits until `condition` holds.
///
/// # Panics
/// It does not hold within `limit`: the panic names `what` was waited for.
pub async fn wait_until(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    eventually(what, limit, async || condition().await.then_some(())).await;
}

/// Waits until `look` finds something, and gives that.
///
/// # Panics
/// It finds nothing within `limit`: the panic names `what` was waited for.
pub async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain until {what}");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
