//! The lines of a file as messages, each with the id under which it is appended.

use std::io::BufRead;

use replog_shared::{Digest, byte_order_mark};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::failure::Failure;

/// A line of a file, as it is sent.
pub(crate) struct Item {
    /// Its number in the file, counted from 1.
    pub(crate) number: u64,
    /// The message with its id, as one line of JSON.
    pub(crate) json: Vec<u8>,
}

/// What a line may be: an entry as `replog export` writes it, or less of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    id: Option<String>,
    #[serde(rename = "order")]
    _order: Option<u64>,
    #[serde(rename = "epoch")]
    _epoch: Option<String>,
    #[serde(rename = "at")]
    _at: Option<u64>,
    #[serde(rename = "more")]
    _more: Option<bool>,
}

/// What is sent of it; the message as its text stands in the file.
#[derive(Serialize)]
struct Sent<'a> {
    id: &'a str,
    message: &'a RawValue,
}

/// Reads a file line by line.
pub(crate) struct Items<R> {
    input: R,
    /// Each line is a message itself.
    bare: bool,
    ids: Ids,
    number: u64,
    /// Bytes that were read so far.
    pub(crate) bytes: u64,
}

/// Gives ids to lines that have none: the same to the same line of the same file, however often it is read.
struct Ids {
    /// Tells files apart; none if there is nothing to tell them apart by.
    prefix: Option<String>,
    /// Of all lines so far: lines that are alike get different ids, and so does a line behind another beginning.
    digest: Digest,
}

impl<R: BufRead> Items<R> {
    /// `prefix` is the beginning of the ids that lines without one are given.
    pub(crate) fn new(input: R, bare: bool, prefix: Option<String>) -> Items<R> {
        let ids = Ids { prefix, digest: Digest::EMPTY };
        Items { input, bare, ids, number: 0, bytes: 0 }
    }

    /// The next line that is not blank; none behind the last.
    ///
    /// # Errors
    /// It cannot be read, or is no message.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, Failure> {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.number += 1;
            let read = self.input.read_until(b'\n', &mut line);
            let read = read.map_err(|error| self.bad(error))?;
            if read == 0 {
                return Ok(None);
            }
            self.bytes += read as u64;
            // No JSON begins with it; files that were joined have it in their middle, too.
            let text = byte_order_mark::skip_bytes(line.trim_ascii()).trim_ascii();
            if let Some(reason) = byte_order_mark::complaint("it", text).filter(|_| self.number == 1) {
                return Err(self.bad(reason));
            }
            if !text.is_empty() {
                return self.item(text).map(Some);
            }
        }
    }

    fn item(&mut self, line: &[u8]) -> Result<Item, Failure> {
        self.ids.digest = self.ids.digest.extend(line);
        let (message, id) = if self.bare {
            (serde_json::from_slice::<&RawValue>(line).map_err(|error| self.bad(error))?, None)
        } else {
            let line: Line<'_> = serde_json::from_slice(line).map_err(|error| {
                self.bad(format_args!(
                    "{error}; a line is {{\"message\": …, \"id\": …}}, or with --bare a message"
                ))
            })?;
            (line.message, line.id)
        };
        let id = match id {
            Some(id) => id,
            None => self.ids.give(self.number)?,
        };
        let json = serde_json::to_vec(&Sent { id: &id, message });
        Ok(Item { number: self.number, json: json.map_err(|error| self.bad(error))? })
    }

    fn bad(&self, reason: impl std::fmt::Display) -> Failure {
        Failure::Usage(format!("line {} of the input: {reason}", self.number))
    }
}

impl Ids {
    fn give(&self, number: u64) -> Result<String, Failure> {
        let prefix = self.prefix.as_ref().ok_or_else(|| {
            Failure::Usage(
                "lines of standard input without an id need --id-prefix: with the same one, what is read twice is appended once"
                    .to_owned(),
            )
        })?;
        Ok(format!("{prefix}:{number}:{}", self.digest))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn sent(text: &str, bare: bool) -> Vec<String> {
        let mut items = Items::new(text.as_bytes(), bare, Some("f".to_owned()));
        let mut sent = Vec::new();
        while let Some(item) = items.next().unwrap() {
            sent.push(String::from_utf8(item.json).unwrap());
        }
        sent
    }

    #[test]
    fn what_was_exported_keeps_its_ids_and_its_text() {
        let line = r#"{"order":3,"epoch":"1.0","at":7,"id":"a","more":true,"message":{"b":1.10,"a":2}}"#;
        assert_eq!(sent(line, false), [r#"{"id":"a","message":{"b":1.10,"a":2}}"#]);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_also_where_files_were_joined() {
        let line = "{\"id\":\"a\",\"message\":1}\n";
        let marked = format!("\u{feff}{line}\u{feff}{line}\u{feff}\n");
        assert_eq!(sent(&marked, false), [line.trim(), line.trim()]);
        assert_eq!(sent("\u{feff}1\n", true), sent("1\n", true), "nor is it a part of an id");
    }

    #[test]
    fn text_in_utf_16_is_named() {
        let utf_16: Vec<u8> = "\u{feff}1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let refusal = Items::new(&utf_16[..], true, None).next().err().map(|failure| failure.to_string());
        assert!(refusal.as_ref().is_some_and(|text| text.contains("UTF-16 (FF FE)")), "{refusal:?}");
    }

    #[test]
    fn the_same_line_of_the_same_file_gets_the_same_id_and_no_other_does() {
        let file = "{\"message\":1}\n\n{\"message\":1}\n{\"message\":2}\n";
        let (first, second) = (sent(file, false), sent(file, false));
        assert_eq!(first, second);
        let ids: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!(ids.len(), 3);
        assert_ne!(
            sent("{\"message\":9}\n{\"message\":2}\n", false)[1],
            sent("{\"message\":8}\n{\"message\":2}\n", false)[1]
        );
    }

    #[test]
    fn a_bare_line_is_a_message() {
        assert!(sent("{\"message\":1}", true)[0].ends_with(r#""message":{"message":1}}"#));
    }

    #[test]
    fn a_line_that_is_no_message_is_named() {
        for bad in ["{}", "1", "{\"message\":1,\"x\":2}", "{\"message\":"] {
            let mut items = Items::new(format!("\n{bad}").leak().as_bytes(), false, None);
            let Err(Failure::Usage(text)) = items.next() else { panic!("{bad} passed") };
            assert!(text.contains("line 2"), "{text}");
        }
    }

    /// All items of a file, or the first refusal.
    fn read(file: &[u8], bare: bool) -> Result<Vec<(u64, Vec<u8>)>, String> {
        let mut items = Items::new(file, bare, Some("f".to_owned()));
        let mut read = Vec::new();
        loop {
            match items.next() {
                Ok(Some(item)) => read.push((item.number, item.json)),
                Ok(None) => return Ok(read),
                Err(failure) => return Err(failure.to_string()),
            }
        }
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        const TEXTS: [&str; 11] = [
            "{\"message\":",
            "1",
            "}",
            "\n",
            "\r\n",
            ",\"id\":\"a\"",
            ",\"order\":3",
            "[",
            "\"",
            " ",
            "\\ud800",
        ];
        prop_oneof![
            9 => prop::sample::select(&TEXTS[..]).prop_map(|text| text.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..6),
        ]
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_file_is_sent_as_json_or_named(
            pieces in prop::collection::vec(piece(), 0..24),
            bare in any::<bool>(),
        ) {
            let file = pieces.concat();
            let found = read(&file, bare);
            prop_assert_eq!(&found, &read(&file, bare), "twice the same");
            let lines = file.split(|byte| *byte == b'\n').count() as u64;
            match found {
                Ok(items) => for (number, json) in items {
                    prop_assert!((1..=lines).contains(&number));
                    prop_assert!(!json.contains(&b'\n'), "one line");
                    let sent: BTreeMap<String, &RawValue> = serde_json::from_slice(&json).unwrap();
                    prop_assert_eq!(sent.keys().collect::<Vec<_>>(), ["id", "message"]);
                },
                Err(refusal) => prop_assert!(refusal.contains("line "), "{}", refusal),
            }
        }
    }
}
