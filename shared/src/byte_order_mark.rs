//! Byte order marks: what some editors and shells put before the first character of a text.
//!
//! The bug this prevents: a file that looks right in every editor is refused with "expected value at column 1", or the
//! invisible character becomes a part of a message.

/// That of UTF-8, as a character.
const UTF_8: char = '\u{feff}';

/// The text without a byte order mark before it. For text that people write and programs read line by line.
pub fn skip(text: &str) -> &str {
    text.strip_prefix(UTF_8).unwrap_or(text)
}

/// As [`skip`], for bytes that are not known to be UTF-8.
pub fn skip_bytes(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// What is wrong with bytes that shall be UTF-8 and begin with a byte order mark, as a sentence: none if they do not.
/// `what` names them, such as `The body`.
pub fn complaint(what: &str, bytes: &[u8]) -> Option<String> {
    Some(match bytes {
        [0xef, 0xbb, 0xbf, ..] => format!(
            "{what} begins with a byte order mark (EF BB BF). JSON has none: write it as UTF-8 without one"
        ),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => format!(
            "{what} begins with the byte order mark of UTF-16 ({:02X} {:02X}): write it as UTF-8 without one",
            bytes[0], bytes[1]
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_at_the_beginning_is_passed_over_and_nothing_else() {
        assert_eq!(skip("\u{feff}a\u{feff}"), "a\u{feff}");
        assert_eq!(skip("\u{feff}\u{feff}a"), "\u{feff}a");
        assert_eq!((skip("a"), skip("")), ("a", ""));
        assert_eq!(skip_bytes(b"\xef\xbb\xbf\xff"), b"\xff");
        assert_eq!(skip_bytes(b"\xef\xbb"), b"\xef\xbb");
    }

    #[test]
    fn a_mark_is_named() {
        let named = |bytes: &[u8]| complaint("It", bytes).unwrap_or_default();
        assert!(named(b"\xef\xbb\xbf{}").contains("byte order mark (EF BB BF)"));
        assert!(named(b"\xff\xfe{\0").contains("UTF-16 (FF FE)"));
        assert!(named(b"\xfe\xff\0{").contains("UTF-16 (FE FF)"));
        assert_eq!(complaint("It", b"{}"), None);
    }
}
