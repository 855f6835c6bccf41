//! An entry is its line: encoded once, and these bytes are stored, sent and served.

use std::borrow::Cow;

use crate::{EpochNumber, Message, MessageId, Order, WallTime, json};

/// What the master gives an entry besides the client's id and message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// Its place in the total order.
    pub order: Order,
    /// The epoch in which it is appended.
    pub epoch: EpochNumber,
    /// When it got its order, on the master's wall clock; never before the entry before it.
    pub at: WallTime,
    /// Whether the batch it belongs to goes on with the next entry. A batch is in the log as a whole or not at all.
    pub more: bool,
}

/// Appends the line of an entry, line feed included:
/// `{"order":42,"epoch":"2.5","at":1764412800123,"id":"…","more":true,"message":…}`, `more` only where it is true.
pub fn encode(out: &mut Vec<u8>, head: EntryHead, id: &MessageId, message: &Message) {
    let EntryHead { order, epoch, at, more } = head;
    out.reserve(96 + id.as_str().len() + message.as_json().len());
    out.extend_from_slice(b"{\"order\":");
    json::push_number(out, order.get());
    out.extend_from_slice(b",\"epoch\":\"");
    json::push_number(out, epoch.reign.into());
    out.push(b'.');
    json::push_number(out, epoch.start.into());
    out.extend_from_slice(b"\",\"at\":");
    json::push_number(out, at.as_ms());
    out.extend_from_slice(b",\"id\":");
    json::push_string(out, id.as_str());
    if more {
        out.extend_from_slice(MORE);
    }
    out.extend_from_slice(b",\"message\":");
    out.extend_from_slice(message.as_json());
    out.extend_from_slice(b"}\n");
}

/// The most bytes that [`encode`] adds to an id's JSON text and a message.
pub const LINE_OVERHEAD_BYTES: usize = 120;

/// How a line says that its batch goes on.
const MORE: &[u8] = b",\"more\":true";

/// A line taken apart: borrowed from the line, nothing is copied or unescaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryLine<'a> {
    /// The entry's order.
    pub order: Order,
    /// The epoch in which it was appended.
    pub epoch: EpochNumber,
    /// When it was appended; none in a line of format 1.
    pub at: Option<WallTime>,
    /// The id's JSON text, quotes included.
    pub id_json: &'a [u8],
    /// Whether its batch goes on with the next entry. Never in a line of format 1.
    pub more: bool,
    /// The message's JSON text.
    pub message_json: &'a [u8],
}

/// Why bytes are no entry's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an entry's line: {{\"order\":…,\"epoch\":…,\"at\":…,\"id\":…,\"message\":…}} expected")]
pub struct EntryLineError;

impl<'a> EntryLine<'a> {
    /// Takes a line apart, with or without its line feed. Reads exactly the form that [`encode`] writes, and that of
    /// format 1, which has neither `at` nor `more`; the message's own JSON is not looked into.
    ///
    /// # Errors
    /// Any other form.
    pub fn parse(line: &'a [u8]) -> Result<EntryLine<'a>, EntryLineError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Self::split(line).ok_or(EntryLineError)
    }

    fn split(line: &'a [u8]) -> Option<EntryLine<'a>> {
        let rest = line.strip_prefix(b"{\"order\":")?;
        let (order, rest) = take_number(rest)?;
        let rest = rest.strip_prefix(b",\"epoch\":\"")?;
        let (reign, rest) = take_number(rest)?;
        let (start, rest) = take_number(rest.strip_prefix(b".")?)?;
        let rest = rest.strip_prefix(b"\",")?;
        let (at, rest) = match rest.strip_prefix(b"\"at\":") {
            Some(rest) => {
                let (at, rest) = take_number(rest)?;
                (Some(WallTime::from_ms(at)), rest.strip_prefix(b",")?)
            }
            None => (None, rest),
        };
        let (id_json, rest) = take_string(rest.strip_prefix(b"\"id\":")?)?;
        let goes_on = rest.strip_prefix(MORE).filter(|_| at.is_some());
        let more = goes_on.is_some();
        let message_json = goes_on.unwrap_or(rest).strip_prefix(b",\"message\":")?.strip_suffix(b"}")?;
        if message_json.is_empty() {
            return None;
        }
        let epoch = EpochNumber { reign: reign.try_into().ok()?, start: start.try_into().ok()? };
        Some(EntryLine { order: Order::new(order), epoch, at, id_json, more, message_json })
    }

    /// The id's text; empty if its JSON is malformed, which no id is.
    pub fn id_text(&self) -> Cow<'a, [u8]> {
        text_of(self.id_json)
    }

    /// Whether it carries this id.
    pub fn has_id(&self, id: &MessageId) -> bool {
        self.id_text() == id.as_str().as_bytes()
    }

    /// Whether it carries this message.
    pub fn has_message(&self, message: &Message) -> bool {
        self.message_json == message.as_json()
    }
}

/// The text of the id in a line that was checked or encoded here: the rest of the line is passed over. None if it has no
/// id.
pub fn id_text(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    // Only numbers stand before it, and no other member's name has an i: one search finds it.
    let at = memchr::memchr(b'i', line)?;
    let (id_json, _) = take_string(line[at..].strip_prefix(b"id\":")?)?;
    Some(text_of(id_json))
}

/// The text of a JSON string; empty if it is malformed.
fn text_of(json: &[u8]) -> Cow<'_, [u8]> {
    let inner = &json[1..json.len() - 1];
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    Cow::Owned(serde_json::from_slice::<String>(json).unwrap_or_default().into_bytes())
}

/// Whether the batch of an entry goes on behind its line.
pub fn goes_on(line: &[u8]) -> bool {
    EntryLine::parse(line).is_ok_and(|entry| entry.more)
}

/// A canonical decimal number and what follows it.
fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut digits) = (0u64, 0);
    for digit in text.iter().take_while(|byte| byte.is_ascii_digit()) {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        digits += 1;
    }
    let is_canonical = digits == 1 || digits > 1 && text[0] != b'0';
    is_canonical.then(|| (value, &text[digits..]))
}

/// A JSON string, quotes included, and what follows it.
fn take_string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(text.split_at(at + 1));
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    const EPOCH: EpochNumber = EpochNumber { reign: 2, start: 5 };

    fn head(order: u64, at: u64, more: bool) -> EntryHead {
        EntryHead { order: Order::new(order), epoch: EPOCH, at: WallTime::from_ms(at), more }
    }

    fn line(head: EntryHead, id: &str, message: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let message = Message::from_json(Bytes::copy_from_slice(message.as_bytes())).unwrap();
        encode(&mut out, head, &MessageId::new(id).unwrap(), &message);
        out
    }

    #[test]
    fn a_line_reads_as_the_contract_says() {
        let expected =
            "{\"order\":42,\"epoch\":\"2.5\",\"at\":1764412800123,\"id\":\"a\",\"message\":{\"k\":[1]}}\n";
        assert_eq!(line(head(42, 1_764_412_800_123, false), "a", r#"{"k":[1]}"#), expected.as_bytes());
        let of_a_batch = expected.replace(",\"message\"", ",\"more\":true,\"message\"");
        assert_eq!(line(head(42, 1_764_412_800_123, true), "a", r#"{"k":[1]}"#), of_a_batch.as_bytes());
    }

    #[test]
    fn a_line_of_format_1_has_no_time_and_is_no_part_of_a_batch() {
        let entry =
            EntryLine::parse(b"{\"order\":1,\"epoch\":\"2.5\",\"id\":\"a\",\"message\":1}\n").unwrap();
        assert_eq!((entry.order, entry.epoch, entry.at, entry.more), (Order::new(1), EPOCH, None, false));
        assert_eq!((entry.id_json, entry.message_json), (&b"\"a\""[..], &b"1"[..]));
        let line = b"{\"order\":1,\"epoch\":\"2.5\",\"id\":\"a\",\"message\":1}\n";
        assert_eq!(id_text(line).as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn a_line_adds_no_more_than_its_limit_to_id_and_message() {
        let largest = EpochNumber { reign: u32::MAX, start: u32::MAX };
        let line = line(EntryHead { epoch: largest, ..head(u64::MAX, u64::MAX, true) }, "a", "1");
        assert!(line.len() - 4 <= LINE_OVERHEAD_BYTES, "{} bytes", line.len());
    }

    #[test]
    fn other_forms_are_refused() {
        for good in [
            "{\"order\":1,\"epoch\":\"2.5\",\"id\":\"a\",\"message\":1}",
            "{\"order\":1,\"epoch\":\"2.5\",\"at\":0,\"id\":\"a\",\"message\":1}",
            "{\"order\":1,\"epoch\":\"2.5\",\"at\":7,\"id\":\"a\",\"more\":true,\"message\":1}",
        ] {
            assert!(EntryLine::parse(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "{}",
            "{\"order\":01,\"epoch\":\"2.5\",\"id\":\"a\",\"message\":1}",
            "{\"order\":1, \"epoch\":\"2.5\",\"id\":\"a\",\"message\":1}",
            "{\"order\":1,\"epoch\":\"2\",\"id\":\"a\",\"message\":1}",
            "{\"order\":1,\"epoch\":\"2.5\",\"id\":\"a,\"message\":1}",
            "{\"order\":1,\"epoch\":\"2.5\",\"id\":\"a\",\"message\":}",
            "{\"order\":99999999999999999999,\"epoch\":\"2.5\",\"id\":\"a\",\"message\":1}",
            "{\"order\":1,\"epoch\":\"2.5\",\"id\":\"a\\",
            "{\"order\":1,\"epoch\":\"2.5\",\"at\":01,\"id\":\"a\",\"message\":1}",
            "{\"order\":1,\"epoch\":\"2.5\",\"at\":-1,\"id\":\"a\",\"message\":1}",
            "{\"order\":1,\"epoch\":\"2.5\",\"at\":\"7\",\"id\":\"a\",\"message\":1}",
            "{\"order\":1,\"epoch\":\"2.5\",\"at\":99999999999999999999,\"id\":\"a\",\"message\":1}",
            "{\"order\":1,\"epoch\":\"2.5\",\"at\":7,\"id\":\"a\",\"more\":false,\"message\":1}",
            "{\"order\":1,\"epoch\":\"2.5\",\"id\":\"a\",\"more\":true,\"message\":1}",
        ] {
            assert_eq!(EntryLine::parse(bad.as_bytes()), Err(EntryLineError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_parsed(
            order in any::<u64>(), at in any::<u64>(), more in any::<bool>(),
            id in "\\PC{1,128}", text in "\\PC{0,40}",
        ) {
            let message = serde_json::to_string(&text).unwrap();
            let line = line(head(order, at, more), &id, &message);
            let parsed = EntryLine::parse(&line).unwrap();
            prop_assert_eq!(parsed.order, Order::new(order));
            prop_assert_eq!((parsed.at, parsed.more), (Some(WallTime::from_ms(at)), more));
            prop_assert!(parsed.has_id(&MessageId::new(&id).unwrap()));
            prop_assert_eq!(id_text(&line).unwrap(), parsed.id_text());
            prop_assert_eq!(parsed.message_json, message.as_bytes());
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = EntryLine::parse(&bytes);
        }
    }
}
