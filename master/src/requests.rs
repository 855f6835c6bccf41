//! What clients send, checked at the edge: what passes here is well-formed.

use std::{borrow::Cow, time::Duration};

use http::Uri;
use replog_host::{
    edge::{
        Problem,
        json::{JsonBody, present},
        query::{Params, QueryParams, number_in, whole_number},
    },
    message_ids,
};
use replog_shared::{
    Message, MessageError, MessageId, Order, WriteConcern,
    limits::{MAX_BATCH_MESSAGES, MAX_ID_CHARS},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::value::RawValue;

use replog_core::master::events::{Append, NewMessage};

/// The body of `POST /messages`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Append")]
pub(crate) struct AppendBody<'a> {
    #[serde(borrow)]
    #[schemars(with = "AnyMessage")]
    message: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "MessageId")]
    id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "WriteConcern")]
    w: Option<u64>,
    /// How long the caller waits for `w`, in milliseconds; then it is answered with 504. Not given: for ever.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u64", range(max = u64::MAX))]
    timeout_ms: Option<u64>,
    /// Append only if the message gets this order; else 412. Not given: any.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Order")]
    expect_order: Option<u64>,
}

/// A message as clients send it, for the description: any JSON value.
pub(crate) struct AnyMessage;

impl JsonSchema for AnyMessage {
    fn schema_name() -> Cow<'static, str> {
        "Message".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": format!("The payload: {}.", MessageError::allowed()), "examples": ["Msg1"]})
    }
}

/// The body of `POST /clean`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Clean")]
pub(crate) struct CleanBody {
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "WriteConcern")]
    w: Option<u64>,
    /// How long the caller waits for `w`, in milliseconds; then it is answered with 504. Not given: for ever.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u64", range(max = u64::MAX))]
    timeout_ms: Option<u64>,
}

/// A checked append, and how long its caller wants to wait.
pub(crate) struct Request {
    pub(crate) append: Append,
    pub(crate) timeout: Option<Duration>,
    /// How its messages came.
    pub(crate) form: Form,
    /// Whether the client gave an id to any of them: only then can an earlier request have put it into the log.
    pub(crate) has_ids: bool,
}

/// How messages came, which says how a client finds the one that is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One message.
    One,
    /// The array of a document.
    Array,
    /// One a line: the number of each line, counted from 1.
    Lines(Vec<usize>),
}

impl Form {
    /// Names one of the messages, counted from 0: by `field`, whose own name is given, and in a batch by `line`.
    pub(crate) fn name(&self, problem: Problem, nth: usize, field: &'static str) -> Problem {
        match self {
            Form::One => problem.with("field", field),
            Form::Array => problem.with("field", format!("messages[{nth}].{field}")).with("line", nth + 1),
            Form::Lines(lines) => {
                problem.with("field", field).at_line(lines.get(nth).copied().unwrap_or(nth + 1))
            }
        }
    }
}

/// Reads one append.
pub(crate) fn append(body: &JsonBody, nodes: u16) -> Result<Request, Problem> {
    let parsed: AppendBody<'_> = parse(body, nodes)?;
    let message = new_message(body, parsed.message, parsed.id.as_deref(), "message", "id", nodes)?;
    let request = request(vec![message], parsed.w, parsed.timeout_ms, parsed.expect_order, nodes)?;
    Ok(Request { has_ids: parsed.id.is_some(), ..request })
}

/// Reads a clean; without a body it has every default.
pub(crate) fn clean(body: Option<&JsonBody>, nodes: u16) -> Result<Request, Problem> {
    let parsed: CleanBody = body.map(|body| parse(body, nodes)).transpose()?.unwrap_or_default();
    request(Vec::new(), parsed.w, parsed.timeout_ms, None, nodes)
}

/// The body as a `T`. What is refused in it is told with what is allowed there.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a JsonBody, nodes: u16) -> Result<T, Problem> {
    body.parse().map_err(|problem| problem.allowing(|field| allowed(field, nodes)))
}

/// What the field of this name may be.
pub(crate) fn allowed(field: &str, nodes: u16) -> Option<String> {
    match field {
        "message" => Some(MessageError::allowed()),
        "messages" => Some(format!("an array of 1 to {MAX_BATCH_MESSAGES} messages")),
        "id" => Some(format!("a string of 1 to {MAX_ID_CHARS} characters")),
        "w" => Some(whole_number(&(1..=nodes.into()))),
        "timeout_ms" | "expect_order" => Some(whole_number(&(0..=u64::MAX))),
        _ => None,
    }
}

pub(crate) fn request(
    messages: Vec<NewMessage>,
    w: Option<u64>,
    timeout_ms: Option<u64>,
    expect_order: Option<u64>,
    nodes: u16,
) -> Result<Request, Problem> {
    let append = Append {
        messages,
        w: write_concern(w, nodes)?,
        expect_order: expect_order.map(Order::new),
        deadline: None,
    };
    let timeout = timeout_ms.map(Duration::from_millis);
    Ok(Request { append, timeout, form: Form::One, has_ids: false })
}

pub(crate) fn write_concern(asked: Option<u64>, nodes: u16) -> Result<WriteConcern, Problem> {
    WriteConcern::checked(asked, nodes).map_err(|error| {
        let detail = format!(
            "`w` is {}; it must be a whole number from 1 to {}, the configured nodes.",
            error.asked, error.nodes
        );
        Problem::invalid_field("w", detail).allowing(|field| allowed(field, nodes))
    })
}

/// The `w` of a query.
pub(crate) fn query_write_concern(asked: Option<&str>, nodes: u16) -> Result<WriteConcern, Problem> {
    let asked = asked.map_or(Ok(1), |text| number_in("w", text, 1..=nodes.into()))?;
    write_concern(Some(asked), nodes)
}

pub(crate) fn new_message(
    body: &JsonBody,
    message: &RawValue,
    id: Option<&str>,
    message_field: &str,
    id_field: &str,
    nodes: u16,
) -> Result<NewMessage, Problem> {
    let message = Message::from_json(body.slice(message.get()))
        .map_err(|error| Problem::invalid_field(message_field, format!("The {error}.")))
        .map_err(|problem| problem.allowing(|field| allowed(field, nodes)))?;
    let id = id.map_or_else(|| Ok(message_ids::generate()), MessageId::new).map_err(|_| {
        let detail = format!("`{id_field}` must be a string of 1 to {MAX_ID_CHARS} characters.");
        Problem::invalid_field(id_field, detail).allowing(|field| allowed(field, nodes))
    })?;
    Ok(NewMessage { id, message })
}

/// The order in the path of `GET /messages/{order}`, in the one way in which it can be written: an address that can
/// be written in many ways is many entries to a cache.
pub(crate) fn path_order(uri: &Uri) -> Result<Order, Problem> {
    let text = uri.path().rsplit('/').next().unwrap_or_default();
    let order = text.parse().ok().filter(|order: &u64| order.to_string() == text);
    order.map(Order::new).ok_or_else(|| {
        let allowed = "a whole number from 0 in decimal digits, without sign, leading zeros and escapes";
        let detail = format!("The order in the path must be {allowed}.");
        Problem::invalid_field("order", detail).with("allowed", allowed)
    })
}

/// The query of `GET /messages/{order}`.
pub(crate) struct WaitQuery {
    /// Not read yet: how much is allowed depends on the configuration.
    pub(crate) w: Option<String>,
    pub(crate) timeout: Option<Duration>,
}

impl QueryParams for WaitQuery {
    fn read(params: &mut Params<'_>) -> Result<Self, Problem> {
        let w = params.text("w").map(Cow::into_owned);
        let timeout = params.number("timeout_ms", 0..=u64::MAX)?.map(Duration::from_millis);
        Ok(WaitQuery { w, timeout })
    }
}
