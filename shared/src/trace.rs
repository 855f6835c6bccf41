//! Which trace an append belongs to, in the words of W3C Trace Context.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::Order;

/// Characters of a `traceparent` of version 00.
const TRACEPARENT_CHARS: usize = 55;

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// Why a text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a traceparent is 00-, 32 hexadecimal digits, -, 16, -, 2: in lower case, and neither of the ids is 0"
)]
pub struct TraceParentError;

/// The id of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// The header `traceparent` of a request: it is carried along the entries' way as it came, and changes nothing.
///
/// Of a version above 00 the part that version 00 has is kept, as the specification wants it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace: u128,
    parent: u64,
    flags: u8,
}

/// A run of entries that one traced append put into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The first of them.
    pub order: Order,
    /// How many there are.
    pub count: u64,
    /// The trace.
    pub traceparent: TraceParent,
}

impl TraceParent {
    /// The trace that it belongs to.
    pub const fn trace_id(self) -> TraceId {
        TraceId(self.trace)
    }

    /// The span that the request is a part of; never 0.
    pub const fn parent_id(self) -> u64 {
        self.parent
    }

    /// Whether the caller records the trace, and so should others.
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// What a span of this id passes on; it is not 0.
    #[must_use]
    pub const fn child(self, span: u64) -> TraceParent {
        TraceParent { parent: span, ..self }
    }
}

impl TraceId {
    /// As a number; never 0.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl Trace {
    /// Exclusive end of the entries.
    pub const fn end(&self) -> Order {
        self.order.plus(self.count)
    }
}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    fn from_str(text: &str) -> Result<TraceParent, TraceParentError> {
        let longer = text.len() > TRACEPARENT_CHARS;
        let mut parts = text.splitn(5, '-');
        let version: u8 = hex(parts.next(), 2)?;
        let (trace, parent, flags) = (hex(parts.next(), 32)?, hex(parts.next(), 16)?, hex(parts.next(), 2)?);
        let fits = version != 0xff && (version > 0 || !longer) && longer == parts.next().is_some();
        if fits && trace != 0 && parent != 0 {
            Ok(TraceParent { trace, parent, flags })
        } else {
            Err(TraceParentError)
        }
    }
}

/// A number of so many digits. Upper case and signs, which `from_str_radix` takes, are none.
fn hex<T: TryFrom<u128>>(text: Option<&str>, digits: usize) -> Result<T, TraceParentError> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let text = text.filter(|text| text.len() == digits && text.bytes().all(is_digit));
    let number = text.and_then(|text| u128::from_str_radix(text, 16).ok());
    number.and_then(|number| T::try_from(number).ok()).ok_or(TraceParentError)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.parent, self.flags)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceParent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TraceParent, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_reads_back() {
        let parsed: TraceParent = EXAMPLE.parse().unwrap();
        assert_eq!(parsed.to_string(), EXAMPLE);
        assert_eq!(parsed.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(serde_json::from_str::<TraceParent>(&format!("\"{EXAMPLE}\"")).unwrap(), parsed);
    }

    #[test]
    fn of_a_later_version_the_known_part_is_kept() {
        let later = EXAMPLE.replacen("00", "01", 1);
        assert_eq!(later.parse::<TraceParent>().unwrap().to_string(), EXAMPLE);
        assert_eq!(format!("{later}-more").parse::<TraceParent>().unwrap().to_string(), EXAMPLE);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let upper = EXAMPLE.to_uppercase();
        let (none, no_parent) = (
            EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
        );
        let (more, forbidden) = (format!("{EXAMPLE}-more"), EXAMPLE.replacen("00", "ff", 1));
        let (signed, glued) =
            (EXAMPLE.replace("-4b", "-+b"), format!("{}x", EXAMPLE.replacen("00", "01", 1)));
        for bad in
            ["", "00", "00---", &EXAMPLE[1..], &upper, &none, &no_parent, &more, &forbidden, &signed, &glued]
        {
            assert_eq!(bad.parse::<TraceParent>(), Err(TraceParentError), "{bad}");
        }
    }
}
