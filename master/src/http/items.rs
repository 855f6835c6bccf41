//! Which message of a batch a refusal is about, in members that a program can read.

use std::borrow::Cow;

use replog_host::edge::{Problem, json::JsonBody};
use replog_shared::MessageId;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is read of a message that was refused. All else in it may be wrong.
#[derive(Deserialize)]
struct Id<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

/// A batch, for its messages alone.
#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

/// The refusal of a line, with its number and the id in it.
pub(super) fn named_by_line(problem: Problem, line: &JsonBody, number: usize) -> Problem {
    let text = std::str::from_utf8(line.bytes()).unwrap_or_default();
    with_id(problem.at_line(number), text)
}

/// The refusal of a field such as `messages[3].id`, with the number of that message, counted from 1, and its id.
pub(super) fn named_in_array(problem: Problem, body: &JsonBody) -> Problem {
    let Some(nth) = problem.field().and_then(place_in_array) else { return problem };
    let batch = serde_json::from_slice::<Batch<'_>>(body.bytes()).ok();
    let text = batch.as_ref().and_then(|batch| batch.messages.get(nth)).map(|message| message.get());
    with_id(problem.with("line", nth + 1), text.unwrap_or_default())
}

/// 3 for `messages[3].id`.
fn place_in_array(field: &str) -> Option<usize> {
    field.strip_prefix("messages[")?.split(']').next()?.parse().ok()
}

fn with_id(problem: Problem, message: &str) -> Problem {
    let id = serde_json::from_str::<Id<'_>>(message).ok().and_then(|message| message.id);
    match id.and_then(|id| MessageId::new(&id).ok()) {
        Some(id) => problem.with("id", id.as_str()),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn member(problem: &Problem, name: &str) -> Option<serde_json::Value> {
        problem.member(name).cloned()
    }

    #[test]
    fn a_message_of_an_array_is_named_by_its_place_and_its_id() {
        let body = JsonBody::from(Bytes::from_static(br#"{"messages": [{"id": "a"}, {"id": "b", "w": 1}]}"#));
        let named = named_in_array(Problem::invalid_field("messages[1].w", "No."), &body);
        assert_eq!((member(&named, "line"), member(&named, "id")), (Some(2.into()), Some("b".into())));
        let other = named_in_array(Problem::invalid_field("timeout_ms", "No."), &body);
        assert_eq!((member(&other, "line"), member(&other, "id")), (None, None));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_by_its_number_alone() {
        let line = JsonBody::from(Bytes::from_static(b"{\"id\": 7"));
        let named = named_by_line(Problem::invalid_field("id", "No."), &line, 4);
        assert_eq!((member(&named, "line"), member(&named, "id")), (Some(4.into()), None));
    }
}
