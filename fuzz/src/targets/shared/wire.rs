//! Envelopes: each kind is tried on the same bytes.

use std::fmt::Debug;

use bytes::Bytes;
use replog_shared::wire::{
    Ack, Ask, EntriesHeader, Fetch, Heartbeat, Join, JoinAnswer, Promise, Read, State, decode,
    decode_entries, encode, encode_entries,
};
use serde::{Serialize, de::DeserializeOwned};

pub(crate) fn run(input: &[u8]) {
    envelope::<Ack>(input);
    envelope::<Join>(input);
    envelope::<JoinAnswer>(input);
    envelope::<Fetch>(input);
    envelope::<Heartbeat>(input);
    envelope::<Ask>(input);
    envelope::<Promise>(input);
    envelope::<State>(input);
    envelope::<Read>(input);
    envelope::<EntriesHeader>(input);
    entries(&Bytes::copy_from_slice(input));
}

/// What is taken is what another reader takes it for, and reads back as the same. (What is passed over may be something
/// that not every reader takes: a number or a text that stands for nothing.)
fn envelope<T: Serialize + DeserializeOwned + PartialEq + Debug>(input: &[u8]) {
    let Ok(read) = decode::<T>(input) else { return };
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(input) {
        assert_eq!(serde_json::from_value::<T>(value).expect("it was taken before"), read);
    }
    let written = encode(&read);
    assert_eq!(decode::<T>(&written).expect("what was written reads back"), read);
    assert!(written.len() <= 3 * input.len() + 1_024, "{} bytes became {}", input.len(), written.len());
}

fn entries(input: &Bytes) {
    let Ok((header, lines)) = decode_entries(input) else { return };
    assert!(input.ends_with(&lines));
    let written = encode_entries(&header, &lines);
    if let Ok((header_again, lines_again)) = decode_entries(&written) {
        assert_eq!((header_again, lines_again), (header, lines));
    }
}
