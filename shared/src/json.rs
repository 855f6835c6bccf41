//! Small pieces of JSON that serde does not have.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Reads 16 lower-case hexadecimal digits.
///
/// # Errors
/// Anything else.
pub(crate) fn hex_u64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !digits {
        return Err(D::Error::custom("16 hexadecimal digits expected"));
    }
    u64::from_str_radix(&text, 16).map_err(D::Error::custom)
}

/// Writes a value of the protocol or of a file.
///
/// # Panics
/// It cannot be written: a defect of its type, which ends the node. Bytes that say nothing would be sent or stored as if
/// they were its words.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    written(serde_json::to_vec(value))
}

/// The same over several lines, for people.
///
/// # Panics
/// As [`encode`].
pub fn encode_pretty<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    written(serde_json::to_vec_pretty(value))
}

fn written(bytes: serde_json::Result<Vec<u8>>) -> Vec<u8> {
    bytes.expect("what nodes say and keep can be written as JSON")
}

/// Appends `text` as a JSON string, quotes included.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    // Looks at every byte, found or not: without an early end the loop becomes a few vector instructions.
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if !text.bytes().fold(false, |found, byte| found | special(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

/// Appends a whole number in decimal digits.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    #[should_panic(
        expected = "what nodes say and keep can be written as JSON: Error(\"key must be a string\""
    )]
    fn a_value_that_cannot_be_written_ends_the_node() {
        encode(&BTreeMap::from([([1, 2], 3)]));
    }

    #[test]
    #[should_panic(expected = "what nodes say and keep can be written as JSON")]
    fn a_value_that_cannot_be_written_for_people_ends_the_node() {
        encode_pretty(&BTreeMap::from([([1, 2], 3)]));
    }

    #[test]
    fn numbers_and_strings_are_what_serde_json_writes() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
        for text in ["", "plain", "quo\"te", "back\\slash", "new\nline", "ünï", "\u{7f}\u{1f}"] {
            let mut out = Vec::new();
            push_string(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(text).unwrap());
        }
    }
}
