//! An entry is its line: encoded once, and these bytes are stored, sent and served.

use std::borrow::Cow;

use crate::{EpochNumber, Message, MessageId, Order, json};

/// Appends the line of an entry, line feed included: `{"order":42,"epoch":"2.5","id":"…","message":…}`.
pub fn encode(out: &mut Vec<u8>, order: Order, epoch: EpochNumber, id: &MessageId, message: &Message) {
    out.reserve(64 + id.as_str().len() + message.as_json().len());
    out.extend_from_slice(b"{\"order\":");
    json::push_number(out, order.get());
    out.extend_from_slice(b",\"epoch\":\"");
    json::push_number(out, epoch.reign.into());
    out.push(b'.');
    json::push_number(out, epoch.start.into());
    out.extend_from_slice(b"\",\"id\":");
    json::push_string(out, id.as_str());
    out.extend_from_slice(b",\"message\":");
    out.extend_from_slice(message.as_json());
    out.extend_from_slice(b"}\n");
}

/// The most bytes that [`encode`] adds to an id's JSON text and a message.
pub const LINE_OVERHEAD_BYTES: usize = 100;

/// A line taken apart: borrowed from the line, nothing is copied or unescaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryLine<'a> {
    /// The entry's order.
    pub order: Order,
    /// The epoch in which it was appended.
    pub epoch: EpochNumber,
    /// The id's JSON text, quotes included.
    pub id_json: &'a [u8],
    /// The message's JSON text.
    pub message_json: &'a [u8],
}

/// Why bytes are no entry's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an entry's line: {{\"order\":…,\"epoch\":…,\"id\":…,\"message\":…}} expected")]
pub struct EntryLineError;

impl<'a> EntryLine<'a> {
    /// Takes a line apart, with or without its line feed. Reads exactly the form that [`encode`] writes;
    /// the message's own JSON is not looked into.
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
        let rest = rest.strip_prefix(b"\",\"id\":")?;
        let (id_json, rest) = take_string(rest)?;
        let message_json = rest.strip_prefix(b",\"message\":")?.strip_suffix(b"}")?;
        if message_json.is_empty() {
            return None;
        }
        let epoch = EpochNumber { reign: reign.try_into().ok()?, start: start.try_into().ok()? };
        Some(EntryLine { order: Order::new(order), epoch, id_json, message_json })
    }

    /// The id's text; empty if its JSON is malformed, which no id is.
    pub fn id_text(&self) -> Cow<'a, [u8]> {
        let inner = &self.id_json[1..self.id_json.len() - 1];
        if memchr::memchr(b'\\', inner).is_none() {
            return Cow::Borrowed(inner);
        }
        Cow::Owned(serde_json::from_slice::<String>(self.id_json).unwrap_or_default().into_bytes())
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

/// A canonical decimal number and what follows it.
fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    if digits == 0 || (digits > 1 && number[0] == b'0') {
        return None;
    }
    let value = number
        .iter()
        .try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    Some((value, rest))
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

    fn line(order: u64, id: &str, message: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let message = Message::from_json(Bytes::copy_from_slice(message.as_bytes())).unwrap();
        let epoch = EpochNumber { reign: 2, start: 5 };
        encode(&mut out, Order::new(order), epoch, &MessageId::new(id).unwrap(), &message);
        out
    }

    #[test]
    fn a_line_reads_as_the_contract_says() {
        let expected = "{\"order\":42,\"epoch\":\"2.5\",\"id\":\"a\",\"message\":{\"k\":[1]}}\n";
        assert_eq!(line(42, "a", r#"{"k":[1]}"#), expected.as_bytes());
    }

    #[test]
    fn other_forms_are_refused() {
        let good = "{\"order\":1,\"epoch\":\"2.5\",\"id\":\"a\",\"message\":1}";
        assert!(EntryLine::parse(good.as_bytes()).is_ok());
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
        ] {
            assert_eq!(EntryLine::parse(bad.as_bytes()), Err(EntryLineError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_parsed(order in any::<u64>(), id in "\\PC{1,128}", text in "\\PC{0,40}") {
            let message = serde_json::to_string(&text).unwrap();
            let line = line(order, &id, &message);
            let parsed = EntryLine::parse(&line).unwrap();
            prop_assert_eq!(parsed.order, Order::new(order));
            prop_assert!(parsed.has_id(&MessageId::new(&id).unwrap()));
            prop_assert_eq!(parsed.message_json, message.as_bytes());
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = EntryLine::parse(&bytes);
        }
    }
}
