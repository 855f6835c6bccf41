//! Parameters in words. Which ones a query has, and which numbers, is learned from the code that reads it.

use std::ops::RangeInclusive;

use replog_shared::{EpochNumber, NodeName, Order, WriteConcern};
use serde_json::{Value, json};

use super::Schemas;
use crate::edge::query::{KnownParam, QueryParams, known_params};

/// Meanings of query parameters, by their names.
const MEANINGS: [(&str, &str); 8] = [
    ("from", "The first order that is wanted. Not given: 0."),
    ("limit", "How many at most. Not given: all there are."),
    ("min_order", "Wait until this node shows this order: read your own write. Not given: no wait."),
    (
        "epoch",
        "With `min_order`: the epoch in which that order was told. Once the log went on without it, the answer is 409 \
         `other_history`, and not another entry. Not given: any.",
    ),
    ("epoch_owner", "With `epoch`: the node that opened it. Not given: any."),
    ("timeout_ms", "How long to wait at most, in milliseconds; then the answer is 504. Not given: for ever."),
    ("w", "How many nodes must hold it before this is answered, the master included."),
    ("expect_order", "Append only if the first message gets this order; else 412. Not given: any."),
];

/// The query parameters of a route.
///
/// # Panics
/// One of them has no meaning yet: a defect, which a test finds.
pub(super) fn of_query<T: QueryParams>(schemas: &mut Schemas) -> Vec<Value> {
    known_params::<T>().iter().map(|known| of_known(known, schemas)).collect()
}

fn of_known(known: &KnownParam, schemas: &mut Schemas) -> Value {
    let KnownParam { name, range } = known;
    let meaning = MEANINGS.iter().find(|(named, _)| named == name).map(|(_, meaning)| *meaning);
    let meaning = meaning.unwrap_or_else(|| panic!("the query parameter {name} has no meaning yet"));
    let (schema, meaning) = match (*name, range) {
        (_, Some(range)) => (whole_numbers(range), meaning.to_owned()),
        ("w", None) => (schemas.request::<WriteConcern>(), meaning.to_owned()),
        ("from", None) => {
            let schema = json!({"anyOf": [schemas.request::<Order>(), {"const": "end"}]});
            (schema, format!("{meaning} `end`: with what is appended next."))
        }
        ("epoch", None) => (schemas.request::<EpochNumber>(), meaning.to_owned()),
        ("epoch_owner", None) => (schemas.request::<NodeName>(), meaning.to_owned()),
        _ => (json!({"type": "string"}), meaning.to_owned()),
    };
    json!({"name": name, "in": "query", "description": meaning, "schema": schema})
}

/// In plain decimal digits.
fn whole_numbers(range: &RangeInclusive<u64>) -> Value {
    json!({"type": "integer", "minimum": range.start(), "maximum": range.end()})
}

/// The part of a path that names an order.
pub(super) fn path_order(schemas: &mut Schemas) -> Value {
    let meaning = "The order, in plain decimal digits: `7`, not `007`, `+7` or `%37`.";
    let schema = schemas.request::<Order>();
    json!({"name": "order", "in": "path", "required": true, "description": meaning, "schema": schema, "example": 0})
}

/// A header that may be sent.
pub(super) fn of_header(name: &str, schema: Value, meaning: &str, example: Value) -> Value {
    json!({"name": name, "in": "header", "description": meaning, "schema": schema, "example": example})
}
