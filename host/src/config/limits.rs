//! The limits of the HTTP edge as flags.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use clap::Args;
use replog_shared::limits::{MAX_BATCH_MESSAGES, MAX_ID_CHARS, RUN_BYTES_MAX};

use super::Problems;
use crate::edge::EdgeLimits;

/// Between the smallest head that every client fits into and the largest that anybody should parse.
const HEADER_BYTES: RangeInclusive<u64> = 8_192..=1_048_576;
/// A body is held in memory, and each of its messages must fit into one envelope all the same.
const BODY_BYTES: RangeInclusive<u64> = 1_024..=268_435_456;
/// The line of an entry around its message and id: its order, its epoch, its time, the names of its members.
const LINE_BYTES: usize = 256;
// Whatever one request brings is a run that a store takes: no order is given that the log then lacks.
const _: () = assert!(
    *BODY_BYTES.end() as usize + MAX_BATCH_MESSAGES * (LINE_BYTES + 6 * MAX_ID_CHARS) < RUN_BYTES_MAX
);
/// Below a tenth of a second a busy network alone would be refused; a day is as good as for ever.
const TIMES_MS: RangeInclusive<u64> = 100..=86_400_000;
/// More than a process may have descriptors for.
const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// A rate that no machine serves is as good as none.
const REQUESTS_PER_SECOND: RangeInclusive<u64> = 0..=10_000_000;
/// From a megabyte, below which one client alone would crawl, to more than any network carries.
const TAIL_BYTES_PER_SECOND: RangeInclusive<u64> = 1_000_000..=1_000_000_000_000;
/// How many bodies of full size may arrive at one time.
const LARGE_BODIES: usize = 32;

/// What one client of HTTP may cost, as an operator says it.
#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// HTTP: bytes of a request's head; more is answered with 431
    #[arg(long, env = "REPLOG_MAX_HEADER_BYTES", value_name = "N", allow_negative_numbers = true,
        default_value_t = EdgeLimits::default().max_header_bytes.to_string())]
    max_header_bytes: String,
    /// HTTP: milliseconds from a head's first byte to its last; then the connection is closed
    #[arg(long, env = "REPLOG_HEADER_TIMEOUT_MS", value_name = "N", allow_negative_numbers = true,
        default_value_t = EdgeLimits::default().header_timeout.as_millis().to_string())]
    header_timeout_ms: String,
    /// HTTP: bytes of a request's body; more is answered with 413
    #[arg(long, env = "REPLOG_MAX_BODY_BYTES", value_name = "N", allow_negative_numbers = true,
        default_value_t = EdgeLimits::default().max_body_bytes.to_string())]
    max_body_bytes: String,
    /// HTTP: milliseconds of silence inside a body; then the answer is 408
    #[arg(long, env = "REPLOG_BODY_SILENCE_MS", value_name = "N", allow_negative_numbers = true,
        default_value_t = EdgeLimits::default().body_silence.as_millis().to_string())]
    body_silence_ms: String,
    /// HTTP: connections at one time; one more is answered with 503
    #[arg(long, env = "REPLOG_MAX_CONNECTIONS", value_name = "N", allow_negative_numbers = true,
        default_value_t = EdgeLimits::default().max_connections.to_string())]
    max_connections: String,
    /// HTTP: milliseconds that a connection is kept between two requests
    #[arg(long, env = "REPLOG_IDLE_TIMEOUT_MS", value_name = "N", allow_negative_numbers = true,
        default_value_t = EdgeLimits::default().idle_timeout.as_millis().to_string())]
    idle_timeout_ms: String,
    /// HTTP: requests in a second from one address, 0 for any number; more are answered with 429
    #[arg(
        long,
        env = "REPLOG_MAX_REQUESTS_PER_SECOND",
        value_name = "N",
        allow_negative_numbers = true,
        default_value = "0"
    )]
    max_requests_per_second: String,
    /// HTTP: clients that follow the log (GET /tail) at one time; one more is answered with 503
    #[arg(long, env = "REPLOG_MAX_TAILS", value_name = "N", allow_negative_numbers = true,
        default_value_t = EdgeLimits::default().max_tails.to_string())]
    max_tails: String,
    /// HTTP: bytes that all of them together are sent in a second; what exceeds it waits, so that appends do not
    #[arg(long, env = "REPLOG_MAX_TAIL_BYTES_PER_SECOND", value_name = "N", allow_negative_numbers = true,
        default_value_t = EdgeLimits::default().max_tail_bytes_per_second.to_string())]
    max_tail_bytes_per_second: String,
}

impl LimitArgs {
    pub(super) fn check(&self, problems: &mut Problems) -> Option<EdgeLimits> {
        let header_bytes = problems.number("max-header-bytes", &self.max_header_bytes, HEADER_BYTES);
        let header_timeout = problems.number("header-timeout-ms", &self.header_timeout_ms, TIMES_MS);
        let body_bytes = problems.number("max-body-bytes", &self.max_body_bytes, BODY_BYTES);
        let body_silence = problems.number("body-silence-ms", &self.body_silence_ms, TIMES_MS);
        let connections = problems.number("max-connections", &self.max_connections, CONNECTIONS);
        let idle_timeout = problems.number("idle-timeout-ms", &self.idle_timeout_ms, TIMES_MS);
        let requests =
            problems.number("max-requests-per-second", &self.max_requests_per_second, REQUESTS_PER_SECOND);
        let tails = problems.number("max-tails", &self.max_tails, CONNECTIONS);
        let tail_rate = problems.number(
            "max-tail-bytes-per-second",
            &self.max_tail_bytes_per_second,
            TAIL_BYTES_PER_SECOND,
        );
        let max_body_bytes = usize::try_from(body_bytes?).ok()?;
        Some(EdgeLimits {
            max_header_bytes: usize::try_from(header_bytes?).ok()?,
            header_timeout: Duration::from_millis(header_timeout?),
            max_body_bytes,
            max_arriving_bytes: LARGE_BODIES * max_body_bytes,
            body_silence: Duration::from_millis(body_silence?),
            max_connections: usize::try_from(connections?).ok()?,
            idle_timeout: Duration::from_millis(idle_timeout?),
            max_requests_per_second: NonZeroU32::new(u32::try_from(requests?).ok()?),
            max_tails: usize::try_from(tails?).ok()?,
            max_tail_bytes_per_second: tail_rate?,
            ..EdgeLimits::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        limits: LimitArgs,
    }

    #[test]
    fn without_flags_the_limits_are_the_documented_ones() {
        let args = Program::parse_from(["program"]);
        assert_eq!(args.limits.check(&mut Problems::default()), Some(EdgeLimits::default()));
    }

    #[test]
    fn each_flag_sets_its_limit() {
        let flags = [
            ("--max-header-bytes", "9000"),
            ("--header-timeout-ms", "101"),
            ("--max-body-bytes", "2000"),
            ("--body-silence-ms", "102"),
            ("--max-connections", "7"),
            ("--idle-timeout-ms", "103"),
            ("--max-requests-per-second", "9"),
            ("--max-tails", "8"),
            ("--max-tail-bytes-per-second", "2000000"),
        ];
        let line =
            std::iter::once("program").chain(flags.into_iter().flat_map(|(flag, value)| [flag, value]));
        let expected = EdgeLimits {
            max_header_bytes: 9_000,
            header_timeout: Duration::from_millis(101),
            max_body_bytes: 2_000,
            max_arriving_bytes: 64_000,
            body_silence: Duration::from_millis(102),
            max_connections: 7,
            idle_timeout: Duration::from_millis(103),
            max_requests_per_second: NonZeroU32::new(9),
            max_tails: 8,
            max_tail_bytes_per_second: 2_000_000,
            ..EdgeLimits::default()
        };
        assert_eq!(Program::parse_from(line).limits.check(&mut Problems::default()), Some(expected));
    }
}
