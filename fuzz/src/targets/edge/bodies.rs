//! The bodies of appends, held to a twin that asks serde_json.

use bytes::Bytes;
use replog_core::master::events::Append;
use replog_host::edge::{Problem, json::JsonBody};
use replog_master::http::fuzzing;

use super::twin;

pub(crate) fn append(input: &[u8]) {
    let body = JsonBody::from(Bytes::copy_from_slice(input));
    let read = fuzzing::append(&body, twin::NODES);
    if twin::is_readable(input) {
        assert_eq!(read.is_ok(), twin::is_append(input), "{read:?}");
    }
    hold(&read, input);
    if let Err(problem) = fuzzing::clean(&body, twin::NODES) {
        is_told_well(&problem);
    }
}

pub(crate) fn batch(input: &[u8]) {
    let read = fuzzing::batch(&JsonBody::from(Bytes::copy_from_slice(input)), twin::NODES);
    if twin::is_readable(input) {
        assert_eq!(read.is_ok(), twin::is_batch(input), "{read:?}");
    }
    hold(&read, input);
}

pub(crate) fn batch_lines(input: &[u8]) {
    let read = fuzzing::lines(&Bytes::copy_from_slice(input).into(), "", twin::NODES);
    let mut filled = input.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    if filled.all(twin::is_readable) {
        assert_eq!(read.is_ok(), twin::is_batch_of_lines(input), "{read:?}");
    }
    hold(&read, input);
}

/// What is taken can be read by every reader, and takes no more than was sent.
fn hold(read: &Result<Append, Problem>, input: &[u8]) {
    let append = match read {
        Ok(append) => append,
        Err(problem) => return is_told_well(problem),
    };
    assert!((1..=twin::NODES).contains(&append.w.get()));
    let mut bytes = 0;
    for new in &append.messages {
        let text = new.message.as_json();
        assert!(twin::is_readable(text), "a message that readers stumble over: {:?}", new.message);
        assert!(!text.contains(&b'\n'), "a message of more than one line");
        assert!((1..=128).contains(&new.id.as_str().chars().count()));
        bytes += text.len();
    }
    assert!(bytes <= input.len());
}

fn is_told_well(problem: &Problem) {
    assert_eq!(problem.status().as_u16(), 400, "{problem:?}");
    let document = serde_json::to_value(problem).unwrap();
    assert!(document["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{document}");
    assert_eq!(document["applied"], false, "{document}");
}
