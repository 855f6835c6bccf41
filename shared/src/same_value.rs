//! Whether two JSON texts are one value in other words.
//!
//! A client in another language that builds a message again may order members, spell numbers and escape characters in
//! another way than it did at first: `{"a":1,"b":2}` and `{"b":2.0,"a":1}` are one value. Numbers are compared as
//! decimals and never as floats: two that differ in their last digit are two values.

use std::borrow::Cow;

/// Whether two JSON texts, well-formed and without white space between tokens as a [`Message`](crate::Message) is, are
/// the same value: without regard to the order of members, the spelling of numbers, and escapes.
///
/// A text that is not well-formed has no value, and is the same as none.
pub fn same_value(one: &[u8], other: &[u8]) -> bool {
    matches!((Value::read(one), Value::read(other)), (Some(one), Some(other)) if one == other)
}

#[derive(Debug, PartialEq)]
enum Value<'a> {
    /// `null`, `true` or `false`.
    Word(&'a [u8]),
    Number(Decimal<'a>),
    Text(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    /// Sorted by name; equal names stay in their order.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    fn read(text: &'a [u8]) -> Option<Value<'a>> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value()?;
        (reader.at == text.len()).then_some(value)
    }
}

/// A number in the one form that all its spellings share: its digits without zeros at either end, times a power of ten.
#[derive(Debug, PartialEq)]
struct Decimal<'a> {
    is_negative: bool,
    /// Those before the point, and those after it.
    digits: Cow<'a, [u8]>,
    /// The power of ten of the last digit.
    exponent: i128,
}

impl<'a> Decimal<'a> {
    fn read(text: &'a [u8]) -> Option<Decimal<'a>> {
        let (is_negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?),
            None => (text, "0"),
        };
        let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &b""[..]),
        };
        let digits: Cow<'_, [u8]> =
            if fraction.is_empty() { whole.into() } else { [whole, fraction].concat().into() };
        let significant = digits.iter().rposition(|digit| *digit != b'0');
        let Some(last) = significant else {
            return Some(Decimal { is_negative: false, digits: (&b""[..]).into(), exponent: 0 });
        };
        let zeros = digits.len() - 1 - last;
        let exponent = exponent.parse::<i128>().ok()? - fraction.len() as i128 + zeros as i128;
        let first = digits.iter().position(|digit| *digit != b'0').unwrap_or(0);
        let digits = match digits {
            Cow::Borrowed(digits) => Cow::Borrowed(&digits[first..=last]),
            Cow::Owned(digits) => Cow::Owned(digits[first..=last].to_vec()),
        };
        Some(Decimal { is_negative, digits, exponent })
    }
}

/// Reads one value after another. Its depth is that of the text, which a message bounds.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Option<Value<'a>> {
        match self.text.get(self.at)? {
            b'"' => self.string().map(Value::Text),
            b'[' => self.array(),
            b'{' => self.object(),
            b'-' | b'0'..=b'9' => Decimal::read(self.atom()).map(Value::Number),
            _ => Some(Value::Word(self.atom())),
        }
    }

    /// All up to the next byte that ends a value.
    fn atom(&mut self) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}')).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let mut at = start + 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', self.text.get(at..)?)?;
            if self.text[at] == b'"' {
                break;
            }
            at += 2;
        }
        self.at = at + 1;
        let inside = &self.text[start + 1..at];
        if memchr::memchr(b'\\', inside).is_none() {
            return std::str::from_utf8(inside).ok().map(Cow::Borrowed);
        }
        serde_json::from_slice(&self.text[start..self.at]).ok().map(Cow::Owned)
    }

    fn array(&mut self) -> Option<Value<'a>> {
        let mut elements = Vec::new();
        self.list(b']', |reader| {
            elements.push(reader.value()?);
            Some(())
        })?;
        Some(Value::Array(elements))
    }

    fn object(&mut self) -> Option<Value<'a>> {
        let mut members = Vec::new();
        self.list(b'}', |reader| {
            let name = reader.string()?;
            reader.skip(b':')?;
            members.push((name, reader.value()?));
            Some(())
        })?;
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        Some(Value::Object(members))
    }

    /// Reads what is between brackets: elements with commas between them.
    fn list(&mut self, end: u8, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        if self.skip(end).is_some() {
            return Some(());
        }
        loop {
            element(self)?;
            if self.skip(end).is_some() {
                return Some(());
            }
            self.skip(b',')?;
        }
    }

    fn skip(&mut self, byte: u8) -> Option<()> {
        (self.text.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn assert_same(one: &str, other: &str, same: bool) {
        assert_eq!(same_value(one.as_bytes(), other.as_bytes()), same, "{one} and {other}");
        assert_eq!(same_value(other.as_bytes(), one.as_bytes()), same, "{other} and {one}");
    }

    #[test]
    fn one_value_in_other_words_is_the_same() {
        for (one, other) in [
            (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#),
            ("1", "1.0"),
            ("100", "1e2"),
            ("0.001", "1E-3"),
            ("-0", "0.0e7"),
            ("120", "1.2e+2"),
            (r#""é""#, r#""\u00e9""#),
            (r#""a/b""#, r#""a\/b""#),
            (r#"[{"é":[true,null]}]"#, r#"[{"\u00e9":[true,null]}]"#),
            ("[]", "[]"),
            ("{}", "{}"),
        ] {
            assert_same(one, other, true);
        }
    }

    #[test]
    fn other_values_are_not() {
        for (one, other) in [
            ("1", "-1"),
            ("1", "\"1\""),
            ("10", "1"),
            ("0.1", "0.01"),
            ("9007199254740993", "9007199254740992"),
            ("18446744073709551616", "18446744073709551617"),
            ("[1,2]", "[2,1]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
            ("null", "false"),
            ("[]", "{}"),
        ] {
            assert_same(one, other, false);
        }
    }

    #[test]
    fn what_has_no_value_is_the_same_as_nothing() {
        for broken in ["", "[", "{\"a\"", "[1,]", "\"a", "1 2", "{\"a\":}", "[1}"] {
            let _ = same_value(broken.as_bytes(), b"1");
            assert_same(broken, "1", false);
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map("\\PC{0,4}", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// serde_json is the twin: where no float is involved, both say the same.
        #[test]
        fn values_are_the_same_if_a_parser_says_so(one in any_json(), other in any_json()) {
            let (one_text, other_text) = (one.to_string(), other.to_string());
            prop_assert!(same_value(one_text.as_bytes(), one_text.as_bytes()));
            prop_assert_eq!(same_value(one_text.as_bytes(), other_text.as_bytes()), one == other);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = same_value(&bytes, &bytes);
        }
    }
}
