//! Every refusal: the codes of problem documents, and what stands in them.

use std::collections::BTreeMap;

use http::StatusCode;
use replog_shared::{MessageId, NodeName, Order, WriteConcern};
use serde_json::{Map, Value, json};

use super::Schemas;
use crate::edge::problem::MEDIA_TYPE;

/// One code of problem documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemCode {
    /// The status that it comes with.
    pub status: u16,
    /// The code.
    pub code: &'static str,
    /// Why a request meets it, as a part of a sentence.
    pub why: &'static str,
}

const fn code(status: u16, code: &'static str, why: &'static str) -> ProblemCode {
    ProblemCode { status, code, why }
}

/// All codes of both kinds of node.
pub const ALL: [ProblemCode; 50] = [
    code(400, "ambiguous_length", "two lengths are given, or where a chunked request begins is in doubt"),
    code(400, "bad_request", "something else is wrong with the request; `detail` says what"),
    code(400, "broken_body", "the body broke off"),
    code(400, "invalid_body", "the body is JSON, and not what is taken here"),
    code(400, "invalid_field", "`field` has a value that is not `allowed`, is unknown, or is missing"),
    code(400, "invalid_head", "this is not the head of an HTTP/1.1 request"),
    code(400, "invalid_host", "there is not exactly one Host header"),
    code(400, "invalid_json", "the body is empty, not UTF-8 or not JSON"),
    code(400, "invalid_parameter", "the query parameter `field` has a value that is not `allowed`"),
    code(400, "invalid_query", "the query is not percent-encoded UTF-8"),
    code(400, "repeated_parameter", "the query parameter `field` is given twice"),
    code(400, "tls_required", "this port speaks HTTPS"),
    code(400, "unknown_parameter", "there is no query parameter `field` here"),
    code(401, "unauthenticated", "no token, or one that this node does not know"),
    code(403, "clean_not_allowed", "the node was started without `--allow-clean`"),
    code(403, "cross_site", "a browser asks for a change on behalf of another site's page"),
    code(403, "faults_not_allowed", "the node was started without `--allow-faults`"),
    code(403, "forbidden", "the token lacks the `scope`"),
    code(404, "no_faults_here", "a master has no faults: ask one of the `secondaries`"),
    code(404, "no_such_order", "the log ends before this order"),
    code(404, "not_found", "there is nothing at this path"),
    code(405, "method_not_allowed", "the path does not take this method"),
    code(406, "not_acceptable", "the header Accept names nothing that is offered; `allowed` lists what is"),
    code(408, "body_too_slow", "too long a silence inside the body"),
    code(409, "cleaned", "the log was emptied while the write waited"),
    code(409, "conflict", "the `id` stands at `order` with another message, or in another batch"),
    code(412, "unexpected_order", "the next order is `length`, and not `expect_order`"),
    code(413, "body_too_large", "the body has more than `limit` bytes"),
    code(413, "message_too_large", "the entry does not fit into one envelope of the NATS server"),
    code(414, "uri_too_long", "the request's target is too long"),
    code(415, "unsupported_media_type", "the Content-Type is none of those `allowed`"),
    code(421, "not_the_master", "this node is a secondary: ask the `master`"),
    code(429, "too_many_requests", "more than `limit` requests a second from this address"),
    code(431, "head_too_large", "the head has more than `limit` bytes, or too many lines"),
    code(500, "internal_error", "a defect of the node; its log says more"),
    code(500, "unreadable", "the entry is in the log, but this node's store does not give it"),
    code(503, "diverged", "the `secondary` holds what this log lacks: an operator must decide"),
    code(503, "dry_run", "the node was only asked what a promotion would do"),
    code(503, "fenced", "another `master` reigns"),
    code(503, "not_promoted", "the promotion that was asked for did not happen"),
    code(503, "not_ready", "NATS is not connected, or the master does not lead"),
    code(503, "overloaded", "more is under way than the node takes in for a while"),
    code(503, "read_only", "no majority of the nodes is healthy, and the node was told to refuse then"),
    code(503, "recovering", "the master has started and does not lead yet"),
    code(503, "stopping", "the node is stopping"),
    code(503, "too_many_connections", "all `limit` connections are taken"),
    code(503, "too_many_tails", "all `limit` places to follow the node are taken"),
    code(503, "unavailable", "the node cannot answer that now"),
    code(504, "not_shown_yet", "`min_order` was not shown in time; the node is at `length`"),
    code(504, "unconfirmed", "`w` nodes did not hold it in time; it is in the log all the same"),
];

/// What the edge refuses, whatever the route.
pub(super) const OF_EVERY_ROUTE: [&str; 16] = [
    "ambiguous_length",
    "bad_request",
    "invalid_head",
    "invalid_host",
    "invalid_query",
    "repeated_parameter",
    "tls_required",
    "unknown_parameter",
    "body_too_large",
    "uri_too_long",
    "too_many_requests",
    "head_too_large",
    "internal_error",
    "overloaded",
    "too_many_connections",
    "unavailable",
];

/// What is refused of a body.
pub(super) const OF_A_BODY: [&str; 6] = [
    "broken_body",
    "invalid_body",
    "invalid_field",
    "invalid_json",
    "body_too_slow",
    "unsupported_media_type",
];

/// What is refused where a scope is asked for.
pub(super) const OF_A_SCOPE: [&str; 2] = ["unauthenticated", "forbidden"];

/// Why a master takes no appends now, or what may become of a wait there.
pub const OF_A_MASTER: [&str; 6] =
    ["recovering", "fenced", "not_promoted", "dry_run", "diverged", "stopping"];

/// The responses with these codes, by status: each status with the codes that it may have.
///
/// # Panics
/// There is no such code: a defect, which a test finds.
pub(super) fn responses(codes: &[&str]) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for wanted in codes {
        let known = ALL.iter().find(|known| known.code == *wanted);
        let known = *known.unwrap_or_else(|| panic!("the code {wanted} is not known"));
        let same = by_status.entry(known.status).or_default();
        if !same.contains(&known) {
            same.push(known);
        }
    }
    by_status.iter_mut().map(|(status, codes)| (status.to_string(), response(*status, codes))).collect()
}

fn response(status: u16, codes: &mut [ProblemCode]) -> Value {
    codes.sort_by_key(|code| code.code);
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let lines: Vec<String> = codes.iter().map(|code| format!("- `{}`: {}", code.code, code.why)).collect();
    let names: Vec<&str> = codes.iter().map(|code| code.code).collect();
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
