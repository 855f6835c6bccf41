//! How numbers look to people.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A latency with three digits or so: `265 µs`, `1.24 ms`, `2.10 s`.
pub(crate) fn latency(latency: Duration) -> String {
    let micros = latency.as_secs_f64() * 1e6;
    match micros {
        ..1e3 => format!("{micros:.0} µs"),
        ..1e6 => format!("{:.2} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn latencies_keep_three_digits() {
        assert_eq!(latency(Duration::from_nanos(265_400)), "265 µs");
        assert_eq!(latency(Duration::from_micros(1_240)), "1.24 ms");
        assert_eq!(latency(Duration::from_millis(2_100)), "2.10 s");
    }
}
