//! Refusals in the description: the codes that a route may answer with, and the members of problem documents.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use replog_shared::{Code, MessageId, NodeName, Order, WriteConcern};
use serde_json::{Map, Value, json};

use super::Schemas;
use crate::edge::problem::MEDIA_TYPE;

/// What the edge refuses, whatever the route.
pub(super) const OF_EVERY_ROUTE: [Code; 17] = [
    Code::AmbiguousLength,
    Code::BadRequest,
    Code::InvalidHead,
    Code::InvalidHost,
    Code::InvalidQuery,
    Code::RepeatedParameter,
    Code::TlsRequired,
    Code::TooManyParameters,
    Code::UnknownParameter,
    Code::BodyTooLarge,
    Code::UriTooLong,
    Code::TooManyRequests,
    Code::HeadTooLarge,
    Code::InternalError,
    Code::Overloaded,
    Code::TooManyConnections,
    Code::Unavailable,
];

/// What is refused of a body.
pub(super) const OF_A_BODY: [Code; 6] = [
    Code::BrokenBody,
    Code::InvalidBody,
    Code::InvalidField,
    Code::InvalidJson,
    Code::BodyTooSlow,
    Code::UnsupportedMediaType,
];

/// What is refused where a scope is asked for.
pub(super) const OF_A_SCOPE: [Code; 2] = [Code::Unauthenticated, Code::Forbidden];

/// The responses with these codes, by status: each status with the codes that it may have.
pub(super) fn responses(codes: &[Code]) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, BTreeSet<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().insert(*code);
    }
    by_status.iter().map(|(status, codes)| (status.to_string(), response(*status, codes))).collect()
}

fn response(status: u16, codes: &BTreeSet<Code>) -> Value {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let lines: Vec<String> = codes.iter().map(|code| format!("- `{code}`: {}", code.why())).collect();
    let names: Vec<&str> = codes.iter().map(|code| code.word()).collect();
    // One type for all of them: a client knows a refusal by its code, and a code may be added.
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    let mut value = json!({
        "description": format!("{}\n\n{}", reason.unwrap_or("Refused"), lines.join("\n")),
        "content": {MEDIA_TYPE: {"schema": schema}},
        "x-codes": names,
    });
    if let Some((name, header)) = header_of(status) {
        value["headers"] = json!({name: header});
    }
    value
}

/// The header that explains a status.
fn header_of(status: u16) -> Option<(&'static str, Value)> {
    let header = |about: &str, schema: Value, required: bool| json!({"description": about, "schema": schema, "required": required});
    let text = || json!({"type": "string"});
    let seconds = json!({"type": "integer", "minimum": 1});
    match status {
        401 => Some(("WWW-Authenticate", header("What a token must prove, by RFC 6750.", text(), true))),
        403 => {
            Some(("WWW-Authenticate", header("The scope that the token lacks, by RFC 6750.", text(), false)))
        }
        429 => Some(("Retry-After", header("Seconds until it is worth another try.", seconds, true))),
        503 => Some(("Retry-After", header("Seconds until it is worth another try.", seconds, false))),
        _ => None,
    }
}

/// The schema of every problem document: what each has, and what some codes add.
pub(super) fn schema(schemas: &mut Schemas) -> Value {
    let order = schemas.answer::<Order>();
    let nodes = json!({"type": "array", "items": schemas.answer::<NodeName>()});
    json!({
        "description": "Why a request was refused (RFC 9457). `code` is stable; further members depend on it.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "applied", "retryable"],
        "properties": {
            "type": {"const": "about:blank"},
            "title": {"type": "string", "description": "The status in words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What went wrong and what to do, for people."},
            "code": {"type": "string", "pattern": "^[a-z_]+$", "description": "What went wrong, for programs."},
            "applied": {
                "description": "Whether what was asked for has happened all the same. `unknown`: ask again with the same id.",
                "oneOf": [{"type": "boolean"}, {"const": "unknown"}],
            },
            "retryable": {"type": "boolean", "description": "Whether the same request may succeed later."},
            "field": {"type": "string", "description": "The field, parameter or header that is to blame."},
            "allowed": {
                "description": "What would have been taken.",
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            },
            "line": {"type": "integer", "minimum": 1, "description": "The line of the body, counted from 1."},
            "offset": {"type": "integer", "minimum": 0, "description": "The byte of the body, counted from 0."},
            "id": schemas.answer::<MessageId>(),
            "order": order,
            "length": order,
            "w": schemas.answer::<WriteConcern>(),
            "nodes": nodes,
            "secondaries": nodes,
            "secondary": schemas.answer::<NodeName>(),
            "master": {"type": "string", "description": "The node that reigns, or the URL of the master."},
            "scope": {"type": "string", "description": "The scope that the token lacks."},
            "limit": {"type": "integer", "minimum": 0, "description": "The limit that was met."},
        },
        "examples": [{
            "type": "about:blank", "title": "Gateway Timeout", "status": 504,
            "detail": "The entry is in the log at order 7, but 3 nodes did not hold it in time. It keeps replicating; \
                       GET /messages/7?w=3 waits for it.",
            "code": "unconfirmed", "applied": true, "retryable": true, "order": 7, "w": 3,
            "nodes": ["master", "secondary2"],
        }],
    })
}
