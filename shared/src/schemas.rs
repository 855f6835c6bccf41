//! How the words of this crate look in the description of the HTTP API: one JSON Schema a word.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    Digest, EpochNumber, Incarnation, LogId, MessageId, NodeName, Order, WallTime, WriteConcern,
    limits::{MAX_ID_CHARS, MAX_NAME_LENGTH, MAX_SECONDARIES},
};

/// The schema of a type whose JSON is one value: its name in the description, and what stands there.
macro_rules! word {
    ($type:ty, $name:literal, $schema:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

word!(
    Order,
    "Order",
    json_schema!({
        "description": "A place in the log, counted from 0; as a length or an exclusive end, how many places there are.",
        "type": "integer", "minimum": 0, "maximum": u64::MAX, "examples": [7],
    })
);

word!(
    WallTime,
    "WallTime",
    json_schema!({
        "description": "A moment on the master's wall clock, in milliseconds since 1970 (UTC).",
        "type": "integer", "minimum": 0, "maximum": u64::MAX, "examples": [1_764_412_800_123_u64],
    })
);

word!(
    EpochNumber,
    "EpochNumber",
    json_schema!({
        "description": "One rule of one master: its reign, from 1, and which start of it in that reign, from 0.",
        "type": "string", "pattern": r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$", "examples": ["1.0"],
    })
);

word!(
    NodeName,
    "NodeName",
    json_schema!({
        "description": "The name of a node, as it is configured.",
        "type": "string", "pattern": format!("^[A-Za-z0-9_-]{{1,{MAX_NAME_LENGTH}}}$"), "examples": ["secondary1"],
    })
);

word!(
    LogId,
    "LogId",
    json_schema!({
        "description": "The identity of a log: two logs of one name are told apart by it.",
        "type": "string", "format": "uuid", "examples": ["6d5f7b0a-3c1e-4f7a-9d2b-8e4c1a2b3c4d"],
    })
);

word!(
    Incarnation,
    "Incarnation",
    json_schema!({
        "description": "One start of one process.",
        "type": "string", "pattern": "^[0-9a-f]{16}$", "examples": ["00000000000000ab"],
    })
);

word!(
    Digest,
    "Digest",
    json_schema!({
        "description": "A hash chain over the log: equal digests at one length mean equal logs.",
        "type": "string", "pattern": "^[0-9a-f]{16}$", "examples": ["8715fe6ea205c38d"],
    })
);

word!(
    MessageId,
    "MessageId",
    json_schema!({
        "description": "The identity of a message, by which a repetition is known: given by the client, or generated.",
        "type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS, "examples": ["my-id"],
    })
);

word!(
    WriteConcern,
    "WriteConcern",
    json_schema!({
        "description": "How many nodes must hold a write before its caller is answered, the master included: a whole \
                        number in plain digits from 1 to n, the number of configured nodes.",
        "type": "integer", "minimum": 1, "maximum": MAX_SECONDARIES + 1, "examples": [2],
    })
);
