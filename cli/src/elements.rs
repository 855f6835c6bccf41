//! The members of the array in `{"messages": [ … ]}`, one by one, while the answer is still arriving.
//!
//! A log may be larger than memory, so an answer is never parsed as a whole. This scanner only knows where
//! a JSON value begins and ends; whether it is valid inside is the node's business.

/// Cuts an answer into the members of its first array.
///
/// Invariant: it never holds more than one member that is not complete yet.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    place: Place,
    text: Text,
    /// Open brackets and braces within the current member.
    depth: usize,
    /// The bytes of the current member so far, without line breaks between tokens.
    element: Vec<u8>,
}

/// Where the scanner is, seen from the array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Inside,
    After,
}

/// Brackets, commas and line breaks mean nothing inside a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    Escaped,
}

impl Elements {
    /// Takes the next bytes of the answer and hands each member that is complete to `on_element`, as one
    /// line of JSON.
    ///
    /// # Errors
    /// The first error of `on_element`.
    pub(crate) fn push<E>(
        &mut self,
        bytes: &[u8],
        mut on_element: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for &byte in bytes {
            let structural = self.text == Text::Outside;
            self.text = self.text.after(byte);
            match self.place {
                Place::Before if structural && byte == b'[' => self.place = Place::Inside,
                Place::Inside if self.ends_element(structural, byte) => {
                    if byte == b']' {
                        self.place = Place::After;
                    }
                    self.emit(&mut on_element)?;
                }
                Place::Inside => self.keep(structural, byte),
                Place::Before | Place::After => {}
            }
        }
        Ok(())
    }

    /// Whether the array's end has been seen: an answer that breaks off has none.
    pub(crate) fn is_complete(&self) -> bool {
        self.place == Place::After
    }

    fn ends_element(&self, structural: bool, byte: u8) -> bool {
        structural && self.depth == 0 && matches!(byte, b',' | b']')
    }

    fn keep(&mut self, structural: bool, byte: u8) {
        if structural {
            match byte {
                b'[' | b'{' => self.depth += 1,
                b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b'\n' | b'\r' => return,
                _ => {}
            }
        }
        self.element.push(byte);
    }

    fn emit<E>(&mut self, on_element: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let element = self.element.trim_ascii();
        // Nothing stands between the brackets of an empty array.
        let result = if element.is_empty() { Ok(()) } else { on_element(element) };
        self.element.clear();
        result
    }
}

impl Text {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Outside, b'"') | (Self::Escaped, _) => Self::Inside,
            (Self::Inside, b'\\') => Self::Escaped,
            (Self::Inside, b'"') => Self::Outside,
            (text, _) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of `json` when it arrives in pieces of `size` bytes.
    fn members(json: &str, size: usize) -> (Vec<String>, bool) {
        let mut elements = Elements::default();
        let mut found = Vec::new();
        for piece in json.as_bytes().chunks(size) {
            let kept = elements.push(piece, |element| {
                found.push(String::from_utf8(element.to_vec()).unwrap());
                Ok::<_, ()>(())
            });
            kept.unwrap();
        }
        (found, elements.is_complete())
    }

    #[test]
    fn members_are_found_however_the_answer_is_cut() {
        let json = r#"{"epoch": "[2,5]", "messages": [ "a,]\"\\", {"b": [1, {"c": "}"}]} ,3, null,[]], "more": [1]}"#;
        let expected = [r#""a,]\"\\""#, r#"{"b": [1, {"c": "}"}]}"#, "3", "null", "[]"];
        for size in 1..json.len() {
            let (found, complete) = members(json, size);
            assert_eq!(found, expected, "in pieces of {size}");
            assert!(complete);
        }
    }

    #[test]
    fn an_empty_array_has_no_members() {
        assert_eq!(members(r#"{"messages": [ ]}"#, 3), (Vec::new(), true));
    }

    #[test]
    fn a_broken_off_answer_is_not_complete() {
        assert_eq!(members(r#"{"messages": ["a", "b"#, 4), (vec![r#""a""#.to_owned()], false));
        assert_eq!(members("", 1), (Vec::new(), false));
    }

    #[test]
    fn a_member_becomes_one_line() {
        let (found, _) = members("{\"messages\": [{\n  \"a\":\r\n 1}\n]}", 5);
        assert_eq!(found, [r#"{  "a": 1}"#]);
    }
}
