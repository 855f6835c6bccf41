//! Names, ids, epochs, traces, digests: small texts that stand in subjects, envelopes, headers and lines.

use std::{fmt::Display, str::FromStr};

use replog_shared::{
    Digest, Durability, EpochNumber, Incarnation, LogId, LogName, MessageId, NodeName, json,
    trace::TraceParent,
};
use serde::{Serialize, de::DeserializeOwned};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Some(name) = written_as_read::<NodeName>(text) {
        assert!(!name.as_str().contains(['.', '*', '>', ' ', '\n', '\r', '\t']) && !name.as_str().is_empty());
    }
    written_as_read::<LogName>(text);
    written_as_read::<EpochNumber>(text);
    if let Ok(trace) = text.parse::<TraceParent>() {
        assert_eq!(trace.to_string().parse::<TraceParent>(), Ok(trace));
        assert!(text.len() >= 55 && text.starts_with(|c: char| c.is_ascii_hexdigit()));
    }
    if let Ok(id) = MessageId::new(text) {
        assert_eq!(id.as_str(), text);
        assert!((1..=128).contains(&text.chars().count()));
    }
    in_json::<Incarnation>(text);
    in_json::<Digest>(text);
    in_json::<LogId>(text);
    in_json::<MessageId>(text);
    in_json::<Durability>(text);
    in_json::<EpochNumber>(text);
    in_json::<NodeName>(text);
    let mut quoted = Vec::new();
    json::push_string(&mut quoted, text);
    assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), text);
}

/// There is one way to write it.
fn written_as_read<T: FromStr + Display>(text: &str) -> Option<T> {
    let read = text.parse::<T>().ok()?;
    assert_eq!(read.to_string(), text);
    Some(read)
}

/// As a JSON text, and as the content of a JSON string.
fn in_json<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str) {
    let quoted = serde_json::to_string(text).unwrap();
    for json in [text, &quoted] {
        let Ok(read) = serde_json::from_str::<T>(json) else { continue };
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<T>(&written).unwrap(), read);
    }
}
