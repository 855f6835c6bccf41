//! The client's payload and its identity.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::limits::{MAX_ID_CHARS, MAX_JSON_DEPTH};

/// The client's payload: any JSON value, opaque, as the text the client sent without the white space
/// between its tokens.
///
/// Two messages are the same if their texts are: numbers are not rounded, members not sorted, escapes not
/// rewritten. Invariant: well-formed JSON in UTF-8 on one line, without lone surrogates.
#[derive(Clone, PartialEq, Eq)]
pub struct Message(Bytes);

/// Why a JSON text is not taken as a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Arrays or objects within each other, too many levels of them.
    #[error("message is nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    /// Half of a UTF-16 pair in an escape: it stands for no character.
    #[error("message has a lone surrogate (an escape \\ud800 to \\udfff without its other half)")]
    LoneSurrogate,
    /// A number beyond the largest double: JSON has it, readers do not.
    #[error("message has a number beyond what a 64-bit float holds (about 1.8e308)")]
    NumberTooLarge,
}

impl MessageError {
    /// What a message may be, for who sent something else.
    pub fn allowed() -> String {
        format!(
            "any JSON value, nested at most {MAX_JSON_DEPTH} levels deep, without lone surrogates, numbers up to about 1.8e308"
        )
    }
}

impl Message {
    /// The message with this text, which a JSON parser has found to be one well-formed value in UTF-8.
    ///
    /// # Errors
    /// Too deep, a lone surrogate, or a number that is too large: most JSON readers would stumble over every
    /// answer that contains it.
    pub fn from_json(text: Bytes) -> Result<Message, MessageError> {
        let plain_string = text.first() == Some(&b'"') && memchr::memchr(b'\\', &text).is_none();
        if plain_string {
            return Ok(Message(text));
        }
        let shape = scan(&text)?;
        Ok(Message(if shape.has_white_space { compact(&text) } else { text }))
    }

    /// Its JSON text.
    pub fn as_json(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// What [`scan`] found.
struct Shape {
    has_white_space: bool,
}

/// Walks over well-formed JSON once.
fn scan(text: &[u8]) -> Result<Shape, MessageError> {
    let mut depth = 0usize;
    let mut has_white_space = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at = match byte {
            b'"' => check_string(text, at)?,
            b'-' | b'0'..=b'9' => check_number(text, at)?,
            _ => at + 1,
        };
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b' ' | b'\t' | b'\n' | b'\r' => has_white_space = true,
            _ => {}
        }
        if depth > MAX_JSON_DEPTH {
            return Err(MessageError::TooDeep);
        }
    }
    Ok(Shape { has_white_space })
}

/// Digits that a double holds whatever they are, unless an exponent follows.
const SAFE_DIGITS: usize = 300;

/// Checks the number that begins at `start`; the place behind it.
///
/// Asks serde_json itself, the reader of our own tools, and the standard library: at the very edge they differ.
fn check_number(text: &[u8], start: usize) -> Result<usize, MessageError> {
    let of_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
    let length = text[start..].iter().take_while(|byte| of_number(byte)).count();
    let number = &text[start..start + length];
    let may_be_large = length > SAFE_DIGITS || memchr::memchr2(b'e', b'E', number).is_some();
    if may_be_large {
        let finite = std::str::from_utf8(number).is_ok_and(|text| text.parse().is_ok_and(f64::is_finite));
        if !finite || serde_json::from_slice::<f64>(number).is_err() {
            return Err(MessageError::NumberTooLarge);
        }
    }
    Ok(start + length)
}

/// Checks the escapes of the string that begins at `start`; the place behind its closing quote.
fn check_string(text: &[u8], start: usize) -> Result<usize, MessageError> {
    let mut at = start + 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return Ok(at + 1);
        }
        at = check_escape(text, at)?;
    }
    Ok(text.len())
}

/// Checks the escape at `at`; the place behind it, or behind both where two make one character.
fn check_escape(text: &[u8], at: usize) -> Result<usize, MessageError> {
    match escaped_unit(text, at) {
        None => Ok(at + 2),
        Some(0xd800..=0xdbff) => match escaped_unit(text, at + 6) {
            Some(0xdc00..=0xdfff) => Ok(at + 12),
            _ => Err(MessageError::LoneSurrogate),
        },
        Some(0xdc00..=0xdfff) => Err(MessageError::LoneSurrogate),
        Some(_) => Ok(at + 6),
    }
}

/// The UTF-16 unit of a `\uXXXX` at `at`, if there is one.
fn escaped_unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Well-formed JSON without the white space between its tokens.
fn compact(text: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let end = if byte == b'"' { check_string(text, at).unwrap_or(text.len()) } else { at + 1 };
        if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            out.extend_from_slice(&text[at..end]);
        }
        at = end;
    }
    out.into()
}

/// The identity of a message, given by the client or generated: the key of deduplication.
///
/// Invariant: 1 to 128 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Arc<str>);

/// Why a text is no message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is a string of 1 to {MAX_ID_CHARS} characters")]
pub struct MessageIdError;

impl MessageId {
    /// The id with this text.
    ///
    /// # Errors
    /// Empty, or longer than 128 characters.
    pub fn new(text: &str) -> Result<MessageId, MessageIdError> {
        let short = text.len() <= MAX_ID_CHARS || text.chars().nth(MAX_ID_CHARS).is_none();
        if text.is_empty() || !short { Err(MessageIdError) } else { Ok(MessageId(text.into())) }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<uuid::Uuid> for MessageId {
    fn from(id: uuid::Uuid) -> MessageId {
        let mut buffer = uuid::Uuid::encode_buffer();
        MessageId(Arc::from(&*id.hyphenated().encode_lower(&mut buffer)))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        MessageId::new(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(text: &str) -> Result<Message, MessageError> {
        Message::from_json(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn white_space_between_tokens_goes_and_within_strings_stays() {
        let compacted = message("{ \"a b\" : [ 1 ,\n\t\"x \\\" y\" ] }\r\n").unwrap();
        assert_eq!(compacted.as_json(), br#"{"a b":[1,"x \" y"]}"#);
    }

    #[test]
    fn numbers_keep_their_spelling() {
        for number in ["1.10", "1E3", "-0", "1e-400", "0e9999999999", "123456789012345678901234567890"] {
            assert_eq!(message(number).unwrap().as_json(), number.as_bytes());
        }
    }

    #[test]
    fn numbers_that_no_double_holds_are_refused() {
        let many_digits = "9".repeat(400);
        for bad in ["1e400", "-1E+400", "[1, {\"a\": 2e308}]", "1e99999999999999999999", &many_digits] {
            assert_eq!(message(bad), Err(MessageError::NumberTooLarge), "{bad}");
        }
        for fine in ["\"1e400\"", "1e308", &format!("0.{many_digits}"), "{\"1e400\": 1}"] {
            assert!(message(fine).is_ok(), "{fine}");
            assert!(serde_json::from_str::<serde_json::Value>(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn lone_surrogates_are_refused_and_pairs_are_not() {
        for bad in [r#""\ud800""#, r#""\udc00""#, r#""\ud800x""#, r#""\ud800\u0041""#, r#"["\\","\udfff"]"#] {
            assert_eq!(message(bad), Err(MessageError::LoneSurrogate), "{bad}");
        }
        assert!(message(r#""\ud83d\ude00""#).is_ok());
        assert!(message(r#""\\ud800""#).is_ok());
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(message(&nested(MAX_JSON_DEPTH)).is_ok());
        assert_eq!(message(&nested(MAX_JSON_DEPTH + 1)), Err(MessageError::TooDeep));
    }

    #[test]
    fn an_id_has_1_to_128_characters_not_bytes() {
        assert!(MessageId::new("").is_err());
        assert!(MessageId::new(&"ä".repeat(128)).is_ok());
        assert!(MessageId::new(&"ä".repeat(129)).is_err());
    }

    proptest! {
        #[test]
        fn compacting_keeps_the_value(text in "\\PC{0,20}", number in any::<i64>()) {
            let value = serde_json::json!({"a": [text, number, null], "b": {"c": true}});
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let message = message(&pretty).unwrap();
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(message.as_json()).unwrap(), value);
            prop_assert!(!message.as_json().contains(&b'\n'));
        }
    }
}
