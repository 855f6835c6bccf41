//! Batches as clients send them: one document, or one message a line.

use std::{borrow::Cow, collections::BTreeSet};

use replog_host::edge::{
    Problem,
    json::{JsonBody, Object, present},
    ndjson::LinesBody,
    query::{Params, QueryParams, number_in},
};
use replog_shared::{MessageId, Order, WriteConcern, limits::MAX_BATCH_MESSAGES};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::items;
use crate::requests::{AnyMessage, Form, Request, allowed, new_message, parse, request};
use replog_core::master::events::NewMessage;

/// The body of `POST /messages/batch`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Batch")]
pub(super) struct BatchBody<'a> {
    /// The ids of a batch differ.
    #[serde(borrow)]
    #[schemars(with = "Vec<BatchItem<'a>>", length(min = 1, max = MAX_BATCH_MESSAGES))]
    messages: Vec<Object<BatchItem<'a>>>,
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "WriteConcern")]
    w: Option<u64>,
    /// How long the caller waits for `w`, in milliseconds; then it is answered with 504. Not given: for ever.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u64", range(max = u64::MAX))]
    timeout_ms: Option<u64>,
    /// Append only if the first message gets this order; else 412. Not given: any.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Order")]
    expect_order: Option<u64>,
}

/// One message of a batch.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BatchItem")]
pub(super) struct BatchItem<'a> {
    #[serde(borrow)]
    #[schemars(with = "AnyMessage")]
    message: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "MessageId")]
    id: Option<Cow<'a, str>>,
}

/// What the query says of a batch of lines, whose body has no place for it.
#[derive(Debug, Default)]
pub(super) struct BatchQuery {
    /// Not read yet: how much is allowed depends on the configuration.
    w: Option<String>,
    timeout_ms: Option<u64>,
    expect_order: Option<u64>,
}

impl QueryParams for BatchQuery {
    fn read(params: &mut Params<'_>) -> Result<Self, Problem> {
        Ok(BatchQuery {
            w: params.text("w").map(Cow::into_owned),
            timeout_ms: params.number("timeout_ms", 0..=u64::MAX)?,
            expect_order: params.number("expect_order", 0..=u64::MAX)?,
        })
    }
}

/// Reads a batch that is one document.
pub(super) fn of_json(body: &JsonBody, nodes: u16) -> Result<Request, Problem> {
    let parsed: BatchBody<'_> = parse(body, nodes).map_err(|problem| items::named_in_array(problem, body))?;
    check_count(parsed.messages.len(), nodes)?;
    let messages = parsed.messages.iter().enumerate().map(|(nth, Object(item))| {
        let field = |name| format!("messages[{nth}].{name}");
        new_message(body, item.message, item.id.as_deref(), &field("message"), &field("id"), nodes)
            .map_err(|problem| items::named_in_array(problem, body))
    });
    let messages = messages.collect::<Result<Vec<_>, _>>()?;
    let ids = || parsed.messages.iter().map(|Object(item)| item.id.as_deref());
    check_ids_differ(ids(), |nth, detail| {
        let problem = Problem::invalid_field(&format!("messages[{nth}].id"), detail);
        items::named_in_array(problem, body)
    })?;
    let request = request(messages, parsed.w, parsed.timeout_ms, parsed.expect_order, nodes)?;
    Ok(Request { form: Form::Array, has_ids: ids().any(|id| id.is_some()), ..request })
}

/// Reads a batch of lines. What is refused names its line.
pub(super) fn of_lines(body: &LinesBody, query: &BatchQuery, nodes: u16) -> Result<Request, Problem> {
    let asked = query.w.as_deref().map(|text| number_in("w", text, 1..=nodes.into())).transpose()?;
    let lines: Vec<_> = body.lines().collect();
    check_count(lines.len(), nodes)?;
    let mut messages: Vec<NewMessage> = Vec::with_capacity(lines.len());
    let mut ids = Vec::with_capacity(lines.len());
    for (number, line) in &lines {
        let read = parse::<BatchItem<'_>>(line, nodes).and_then(|BatchItem { message, id }| {
            let new = new_message(line, message, id.as_deref(), "message", "id", nodes)?;
            Ok((new, id))
        });
        let (message, id) = read.map_err(|problem| items::named_by_line(problem, line, *number))?;
        messages.push(message);
        ids.push(id);
    }
    check_ids_differ(ids.iter().map(Option::as_deref), |nth, detail| {
        let (number, line) = &lines[nth];
        items::named_by_line(Problem::invalid_field("id", detail), line, *number)
    })?;
    let request = request(messages, asked, query.timeout_ms, query.expect_order, nodes)?;
    let has_ids = ids.iter().any(Option::is_some);
    Ok(Request { form: Form::Lines(lines.iter().map(|(number, _)| *number).collect()), has_ids, ..request })
}

fn check_count(count: usize, nodes: u16) -> Result<(), Problem> {
    if (1..=MAX_BATCH_MESSAGES).contains(&count) {
        return Ok(());
    }
    let detail = format!("A batch has 1 to {MAX_BATCH_MESSAGES} messages; this one has {count}.");
    Err(Problem::invalid_field("messages", detail).allowing(|field| allowed(field, nodes)))
}

/// `refuse` makes the problem of the message of this number, counted from 0, from its detail.
fn check_ids_differ<'a>(
    ids: impl Iterator<Item = Option<&'a str>>,
    refuse: impl FnOnce(usize, String) -> Problem,
) -> Result<(), Problem> {
    let mut seen = BTreeSet::new();
    let mut given = ids.enumerate().filter_map(|(nth, id)| Some((nth, id?)));
    let Some((nth, id)) = given.find(|(_, id)| !seen.insert(*id)) else { return Ok(()) };
    let detail = format!("The id {id:?} stands twice in this batch; every message needs an id of its own.");
    Err(refuse(nth, detail).with("allowed", "an id that no other message of the batch has"))
}
