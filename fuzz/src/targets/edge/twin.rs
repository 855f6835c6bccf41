//! What an append may be, said once more and as plainly as possible, over the text as serde_json reads it.

use std::fmt;

use replog_shared::limits::{MAX_BATCH_MESSAGES, MAX_ID_CHARS, MAX_JSON_DEPTH};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

/// The configured nodes of the master that is asked.
pub(super) const NODES: u16 = 3;

/// The members of an object, in their order and with those that are repeated.
pub(super) struct Members(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

impl Members {
    /// Whether each has another name, of those that are known.
    fn are_of(&self, known: &[&str]) -> bool {
        let names: std::collections::BTreeSet<_> = self.0.iter().map(|(name, _)| name).collect();
        names.len() == self.0.len() && names.iter().all(|name| known.contains(&name.as_str()))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    fn has_numbers(&self) -> bool {
        let is_count = |name: &str| self.get(name).is_none_or(Value::is_u64);
        let w = self.get("w").is_none_or(|w| w.as_u64().is_some_and(|w| (1..=NODES.into()).contains(&w)));
        w && is_count("timeout_ms") && is_count("expect_order")
    }

    fn is_message(&self) -> bool {
        let id = self
            .get("id")
            .is_none_or(|id| id.as_str().is_some_and(|id| (1..=MAX_ID_CHARS).contains(&id.chars().count())));
        id && self.get("message").is_some_and(|message| depth(message) <= MAX_JSON_DEPTH)
    }
}

/// Whether `text`, which serde_json has read, is an append.
pub(super) fn is_append(text: &[u8]) -> bool {
    let Ok(members) = serde_json::from_slice::<Members>(text) else { return false };
    members.are_of(&["message", "id", "w", "timeout_ms", "expect_order"])
        && members.is_message()
        && members.has_numbers()
}

/// Whether it is a batch. `None` where this twin cannot tell: a repeated member inside of an element.
pub(super) fn is_batch(text: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Elements {
        messages: Vec<Members>,
    }
    let Ok(members) = serde_json::from_slice::<Members>(text) else { return false };
    let Ok(Elements { messages }) = serde_json::from_slice(text) else { return false };
    members.are_of(&["messages", "w", "timeout_ms", "expect_order"])
        && members.has_numbers()
        && (1..=MAX_BATCH_MESSAGES).contains(&messages.len())
        && messages.iter().all(is_element)
        && ids_differ(&messages)
}

/// Whether it is a batch of lines.
pub(super) fn is_batch_of_lines(text: &[u8]) -> bool {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let read: Result<Vec<Members>, _> = lines.map(serde_json::from_slice).collect();
    let Ok(messages) = read else { return false };
    (1..=MAX_BATCH_MESSAGES).contains(&messages.len())
        && messages.iter().all(is_element)
        && ids_differ(&messages)
}

fn is_element(element: &Members) -> bool {
    element.are_of(&["message", "id"]) && element.is_message()
}

fn ids_differ(messages: &[Members]) -> bool {
    let ids: Vec<_> = messages.iter().filter_map(|one| one.get("id")?.as_str()).collect();
    ids.iter().collect::<std::collections::BTreeSet<_>>().len() == ids.len()
}

/// Whether serde_json reads it whole: deeper than this, or with numbers that no double holds, it does not.
pub(super) fn is_readable(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok()
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
