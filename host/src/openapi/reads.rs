//! How the log is read, on both kinds of node.

use replog_shared::{Code, EpochNumber, MessageId, Order, WallTime};
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{Answer, Operation, Schemas, Tag, document::tidy};
use crate::{pages::PageQuery, tail::TailQuery};

/// What a page of either kind may be refused with.
const OF_A_PAGE: [Code; 4] = [Code::NotAcceptable, Code::NotShownYet, Code::OtherHistory, Code::Stopping];

/// An entry, as it stands in the log.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "nothing is ever made of it but its schema")]
#[schemars(rename = "Entry")]
struct EntryShape {
    order: Order,
    epoch: EpochNumber,
    /// When it was appended, on the master's clock; never before the entry before it. Absent in an entry that was
    /// appended before there were times in the log (format 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WallTime")]
    at: Option<WallTime>,
    id: MessageId,
    /// The batch goes on with the next entry. Absent where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    more: Option<bool>,
    message: Value,
}

/// The bare messages.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "nothing is ever made of it but its schema")]
#[schemars(rename = "Messages")]
struct MessagesShape {
    messages: Vec<Value>,
}

/// The entries.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "nothing is ever made of it but its schema")]
#[schemars(rename = "Entries")]
struct EntriesShape {
    messages: Vec<EntryShape>,
}

fn entry(order: u64) -> Value {
    tidy(json!({
        "order": order, "epoch": "1.0", "at": 1_764_412_800_123_u64 + order, "id": format!("id{order}"),
        "message": format!("Msg{order}"),
    }))
}

fn page(tag_id: (&'static str, &'static str), schemas: &mut Schemas) -> Operation {
    let (id, summary) = tag_id;
    Operation::new(Tag::Reads, id, summary)
        .about(
            "Without parameters: the whole log, streamed page by page. With `Accept: application/x-ndjson` one a \
             line. Compressed with zstd or gzip for `Accept-Encoding`. An answer that a clean or a promotion \
             overtakes breaks off.",
        )
        .query::<PageQuery>(schemas)
        .refuses(&OF_A_PAGE)
}

/// `GET /messages`.
pub fn messages(schemas: &mut Schemas) -> Operation {
    let answer = Answer::new("The messages, in order.")
        .json(schemas.answer::<MessagesShape>(), json!({"messages": ["Msg0", "Msg1"]}))
        .lines(json!({}), json!(["Msg0", "Msg1"]))
        .with_epoch(schemas);
    page(("listMessages", "Read the bare messages"), schemas).answers(answer)
}

/// `GET /full_messages`.
pub fn full_messages(schemas: &mut Schemas) -> Operation {
    let line = schemas.answer::<EntryShape>();
    let answer = Answer::new("The entries, in order.")
        .json(schemas.answer::<EntriesShape>(), json!({"messages": [entry(0), entry(1)]}))
        .lines(line, json!([entry(0), entry(1)]))
        .with_epoch(schemas);
    page(("listEntries", "Read the entries: order, epoch, time, id and message"), schemas).answers(answer)
}

/// The data of the last event, when the log was emptied or cut.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "nothing is ever made of it but its schema")]
#[schemars(rename = "Cut")]
struct CutShape {
    #[schemars(extend("const" = "cut"))]
    code: String,
    detail: String,
}

/// The ids of events, and an order alone or nothing. Shorter than what is read, so that every one is.
const SEEN: &str = r"^(((0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})/)?[0-9]{1,18})?$";

/// `GET /tail`.
pub fn tail(schemas: &mut Schemas) -> Operation {
    let line = schemas.answer::<EntryShape>();
    let data = json!({"anyOf": [line, schemas.answer::<CutShape>()]});
    let event = json!({"id": "1.0/0", "event": "message", "data": entry(0).to_string()});
    let answer = Answer::new("The entries, and each that is added. The answer has no end of its own.")
        .events(&["message", "cut"], data, event)
        .lines(line, json!([entry(0), entry(1)]))
        .with_epoch(schemas);
    let seen = "The id of the last event that was seen, or its order alone: the answer goes on behind it. Browsers \
                send it by themselves. An empty one was taken back by a cut. If the log holds another entry at that \
                place, the answer begins with a `cut`, and with order 0.";
    let seen_schema = json!({"type": "string", "pattern": SEEN});
    Operation::new(Tag::Reads, "tail", "Follow the log as it grows")
        .about(
            "Server-sent events: `id` is the epoch, `/` and the order, `data` the entry. When the log is emptied or \
             cut, the last event is of the type `cut`. After 15 s of silence comes a comment. With `Accept: application/x-ndjson` an \
             entry is a line, and an empty line is the sign of life.",
        )
        .query::<TailQuery>(schemas)
        .header("Last-Event-ID", seen_schema, seen, json!("1.0/0"))
        .refuses(&[Code::InvalidField, Code::NotAcceptable, Code::TooManyTails])
        .answers(answer)
}
