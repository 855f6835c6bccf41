//! The routes of a master in words, for `/openapi.json`.

mod shapes;

use replog_host::openapi::{Answer, Info, Operation, Schemas, Tag, chores};
use replog_shared::{Code, limits::MAX_BATCH_MESSAGES};
use serde_json::{Value, json};

use self::shapes::{AppendedShape, BatchAppendedShape, CleanedShape, HeldEntryShape};
use super::{
    batches::{BatchBody, BatchItem, BatchQuery},
    console::Snapshot,
    health::HealthAnswer,
};
use crate::requests::{AppendBody, CleanBody, WaitQuery};
use replog_core::master::events::NotLeading;

const ABOUT: &str = "Takes appends, gives each message its place in one total order, and replicates it to the secondaries. \
    A caller is answered once `w` nodes hold what it appended.\n\nRefusals are problem documents (RFC 9457). Unknown and \
    repeated fields and query parameters are refused, and orders count from 0.";

/// A master in a log of `nodes` nodes.
pub(super) fn info(nodes: u16) -> Info {
    Info { title: "replog master", about: ABOUT, version: env!("CARGO_PKG_VERSION"), max_w: nodes }
}

/// `POST /messages`.
pub(super) fn append(schemas: &mut Schemas) -> Operation {
    let example = json!({"message": "Msg1", "w": 2, "id": "my-id", "timeout_ms": 5_000});
    let answer = Answer::new("`w` nodes hold it, and all before it.").json(
        schemas.answer::<AppendedShape>(),
        json!({
            "status": "ok", "message_id": "my-id", "order": 1, "w": 2, "nodes": ["master", "secondary1"],
            "kept_if_reached": 2, "duplicate": false, "epoch": "1.0", "epoch_owner": "master",
        }),
    );
    let answer = answer.link("/order", "readHeld", "order");
    Operation::new(Tag::Writes, "append", "Append a message")
        .about(
            "The same `id` with the same message again is answered with the same `order` and `\"duplicate\": true`, \
             after this request's `w`. A time-out or a hang-up ends the wait, never the entry: `applied` of a refusal \
             says whether the message is in the log.",
        )
        .header("traceparent", json!({"type": "string"}), TRACEPARENT, json!(TRACEPARENT_EXAMPLE))
        .json(schemas.request::<AppendBody<'_>>(), example)
        .answers(answer)
        .refuses(&NotLeading::CODES)
        .refuses(&OF_AN_APPEND)
}

const TRACEPARENT: &str = "W3C Trace Context: the nodes' log lines about this append name its trace.";
const TRACEPARENT_EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What an append is refused with, beside what any write is.
const OF_AN_APPEND: [Code; 6] = [
    Code::Conflict,
    Code::Cleaned,
    Code::UnexpectedOrder,
    Code::MessageTooLarge,
    Code::ReadOnly,
    Code::Unconfirmed,
];

/// `POST /messages/batch`.
pub(super) fn append_batch(schemas: &mut Schemas) -> Operation {
    let example = json!({"messages": [{"message": "Msg1", "id": "id1"}, {"message": "Msg2"}], "w": 1});
    let answer = Answer::new("`w` nodes hold all of them, and all before them.").json(
        schemas.answer::<BatchAppendedShape>(),
        json!({
            "status": "ok", "first_order": 7, "count": 2,
            "message_ids": ["id1", "01a20831-7215-7f6e-8d1e-3b0f5f2f9d10"], "w": 1, "nodes": ["master"],
            "kept_if_reached": 3, "duplicate": false, "epoch": "1.0", "epoch_owner": "master",
        }),
    );
    let answer = answer.link("/first_order", "readHeld", "order");
    Operation::new(Tag::Writes, "appendBatch", "Append messages: all or none, in one unbroken run of orders")
        .about(
            "As one document, which has `w`, `timeout_ms` and `expect_order` in it; or as lines, where the query has \
             them. A document with one of them in the query is refused. A line that is refused is named by `line`, \
             and blank lines are passed over.",
        )
        .query::<BatchQuery>(schemas)
        .header("traceparent", json!({"type": "string"}), TRACEPARENT, json!(TRACEPARENT_EXAMPLE))
        .json(schemas.request::<BatchBody<'_>>(), example)
        .lines(
            schemas.request::<BatchItem<'_>>(),
            1..=MAX_BATCH_MESSAGES,
            json!([{"message": "Msg1", "id": "id1"}, {"message": "Msg2"}]),
        )
        .answers(answer)
        .refuses(&NotLeading::CODES)
        .refuses(&OF_AN_APPEND)
}

/// `GET /messages/{order}`.
pub(super) fn one(schemas: &mut Schemas) -> Operation {
    let answer = Answer::new("The entry, and the nodes that hold it.")
        .json(
            schemas.answer::<HeldEntryShape>(),
            json!({
                "order": 0, "epoch": "1.0", "at": 1_764_412_800_123_u64, "id": "my-id", "message": "Msg1",
                "nodes": ["master", "secondary1"],
            }),
        )
        .with_epoch(schemas);
    Operation::new(Tag::Writes, "readHeld", "Read one entry and who holds it")
        .about("With `w` it waits until that many nodes hold it: the wait of a caller that hung up is taken up again.")
        .path_order(schemas)
        .query::<WaitQuery>(schemas)
        .answers(answer)
        .refuses(&NotLeading::CODES)
        .refuses(&[Code::Cleaned, Code::InvalidField, Code::NoSuchOrder, Code::NotFound, Code::Unreadable, Code::Unconfirmed])
}

/// `POST /clean`.
pub(super) fn clean(schemas: &mut Schemas) -> Operation {
    let answer = Answer::new("`w` nodes have emptied their log.").json(
        schemas.answer::<CleanedShape>(),
        json!({
            "status": "ok", "w": 3, "nodes": ["master", "secondary1", "secondary2"], "kept_if_reached": 1,
            "duplicate": false, "epoch": "1.1", "epoch_owner": "master",
        }),
    );
    Operation::new(Tag::Operations, "clean", "Empty the log on every node")
        .about(
            "Only with `--allow-clean`. Nodes that are down follow when they join. After a 504 the log is empty all \
             the same: do not ask again.",
        )
        .json(schemas.request::<CleanBody>(), json!({"w": 1, "timeout_ms": 5_000}))
        .body_optional()
        .answers(answer)
        .refuses(&NotLeading::CODES)
        .refuses(&[Code::CleanNotAllowed, Code::Cleaned, Code::Unconfirmed])
}

fn no_faults(id: &'static str) -> Operation {
    Operation::new(Tag::Operations, id, "Refused: a master has no faults")
        .about("Faults are injected on secondaries. Where the node takes `--allow-faults`, it names them.")
        .refuses(&[Code::FaultsNotAllowed, Code::NoFaultsHere])
}

/// `GET /faults`.
pub(super) fn read_faults(_: &mut Schemas) -> Operation {
    no_faults("readFaults")
}

/// `PUT /faults`.
pub(super) fn set_faults(_: &mut Schemas) -> Operation {
    no_faults("setFaults")
}

fn health_example() -> Value {
    json!({
        "status": "degraded", "reason": "secondary2 is suspected", "role": "master", "node": "master",
        "log_id": "6d5f7b0a-3c1e-4f7a-9d2b-8e4c1a2b3c4d", "epoch": "1.0", "epoch_owner": "master", "length": 4, "digest": "8715fe6ea205c38d",
        "durability": "disk", "nodes": 3, "healthy_nodes": 2, "pending_writes": 1, "nats_connected": true,
        "secondaries": {
            "secondary1": {"status": "healthy", "stage": "streaming", "acked_through": 4, "lag": 0, "retries": 0},
            "secondary2": {"status": "suspected", "stage": "streaming", "acked_through": 2, "lag": 2, "retries": 3},
        },
        "refused_envelopes": {},
    })
}

/// `GET /health`.
pub(super) fn health(schemas: &mut Schemas) -> Operation {
    let answer = Answer::new("How the node is: what is wrong stands in `status`.")
        .json(schemas.answer::<HealthAnswer>(), health_example());
    Operation::new(Tag::Operations, "health", "See how the master and its secondaries are")
        .answers(answer)
        .refuses(&[Code::Stopping])
}

/// `GET /events`.
pub(super) fn events(schemas: &mut Schemas) -> Operation {
    let mut example = health_example();
    example["waiting"] =
        json!([{"order": 3, "count": 1, "w": 3, "nodes": ["master"], "missing": ["secondary2"], "needs": 1}]);
    chores::events(schemas.answer::<Snapshot>(), example)
}
