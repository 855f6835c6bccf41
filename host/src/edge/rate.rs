//! How often one address may ask.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

use super::Problem;
use replog_shared::Code;

/// After so many requests, addresses that have been quiet are forgotten: so many are kept too long at most.
const REQUESTS_PER_SWEEP: u32 = 1_024;

/// Counts the requests of each address: so many in a second, and as many at once after a quiet one.
pub(super) struct Rate {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    per_second: NonZeroU32,
    until_sweep: AtomicU32,
}

impl Rate {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let limiter = RateLimiter::keyed(Quota::per_second(per_second));
        Self { limiter, per_second, until_sweep: AtomicU32::new(0) }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// 429: it is one too many now.
    pub(super) fn check(&self, client: IpAddr) -> Result<(), Problem> {
        if self.until_sweep.fetch_add(1, Relaxed) % REQUESTS_PER_SWEEP == REQUESTS_PER_SWEEP - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&of_one_client(client)).map_err(|early| {
            let limit = self.per_second.get();
            let detail =
                format!("This node takes {limit} requests a second from one address. Ask more slowly.");
            Problem::new(Code::TooManyRequests, detail)
                .with("limit", limit)
                .retry_after(early.wait_time_from(self.limiter.clock().now()))
        })
    }
}

/// A client of IPv6 has a whole network of 2⁶⁴ addresses to itself: they count as one.
fn of_one_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_a_rate_of_its_own() {
        let rate = Rate::new(NonZeroU32::new(2).unwrap());
        for client in ["10.0.0.1", "10.0.0.2", "2001:db8::1"] {
            assert!(rate.check(address(client)).is_ok() && rate.check(address(client)).is_ok());
            let problem = rate.check(address(client)).unwrap_err();
            assert_eq!(problem.code(), Code::TooManyRequests);
        }
    }

    #[test]
    fn an_address_in_two_ways_is_one_client() {
        for (one, other) in [("2001:db8::1", "2001:db8::ffff:1"), ("10.0.0.1", "::ffff:10.0.0.1")] {
            assert_eq!(of_one_client(address(one)), of_one_client(address(other)));
        }
        assert_ne!(of_one_client(address("2001:db8::1")), of_one_client(address("2001:db8:0:1::1")));
    }

    #[test]
    fn quiet_addresses_are_forgotten() {
        let rate = Rate::new(NonZeroU32::new(1_000_000).unwrap());
        for nth in 0..50_000u32 {
            rate.check(IpAddr::V4(nth.into())).unwrap();
        }
        assert!(rate.limiter.len() < 2 * REQUESTS_PER_SWEEP as usize, "{}", rate.limiter.len());
    }
}
