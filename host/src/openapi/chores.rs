//! Probes, metrics and pages, on both kinds of node.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{Answer, Operation, Schemas, Tag, document::tidy};
use replog_shared::Code;

/// The answer of a probe.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "nothing is ever made of it but its schema")]
#[schemars(rename = "Probe")]
struct ProbeShape {
    #[schemars(extend("const" = "ok"))]
    status: String,
}

fn probe(id: &'static str, summary: &'static str, schemas: &mut Schemas) -> Operation {
    let answer = Answer::new("Yes.").json(schemas.answer::<ProbeShape>(), json!({"status": "ok"}));
    Operation::new(Tag::Operations, id, summary).answers(answer)
}

/// `GET /livez`.
pub fn livez(schemas: &mut Schemas) -> Operation {
    probe("livez", "Does the process answer?", schemas)
}

/// `GET /readyz`.
pub fn readyz(schemas: &mut Schemas) -> Operation {
    let about = "About this node alone: its log is there, NATS is connected, and a master leads. No absent node and no \
                 lag makes it say no.";
    probe("readyz", "Can the node do its work?", schemas).about(about).refuses(&[Code::NotReady])
}

/// `GET /metrics`.
pub fn metrics(_: &mut Schemas) -> Operation {
    let example = "# TYPE replog_log_entries gauge\nreplog_log_entries{role=\"master\",node=\"master\",log=\"main\"} 4\n";
    let answer = Answer::new("Prometheus text.").text(crate::metrics::MEDIA_TYPE, example);
    Operation::new(Tag::Operations, "metrics", "Read what the node has counted")
        .answers(answer)
        .refuses(&[Code::Stopping])
}

/// `GET /events`: `snapshot` is the schema of one event's data, and `example` some of one.
pub fn events(snapshot: Value, example: Value) -> Operation {
    let about = "Server-sent events of the type `state`: at once, and again when the state has changed. The console lives on it.";
    let event = json!({"event": "state", "data": tidy(example).to_string()});
    let answer = Answer::new("The node's state, again and again. The answer has no end of its own.").events(
        &["state"],
        snapshot,
        event,
    );
    Operation::new(Tag::Operations, "events", "Follow the node's state").about(about).answers(answer)
}

fn asset(id: &'static str, summary: &'static str, media_type: &'static str, example: &str) -> Operation {
    let answer = Answer::new("The file, from inside the program.").text(media_type, example);
    Operation::new(Tag::Pages, id, summary).answers(answer)
}

/// `GET /`.
pub fn console(_: &mut Schemas) -> Operation {
    asset("console", "The console", "text/html", "<!doctype html>")
}

/// `GET /console.css`.
pub fn console_style(_: &mut Schemas) -> Operation {
    asset("consoleStyle", "How the console and this page look", "text/css", "body {}")
}

/// `GET /console.js`.
pub fn console_script(_: &mut Schemas) -> Operation {
    asset("consoleScript", "What the console does", "text/javascript", "\"use strict\";")
}

/// `GET /docs`.
pub(super) fn docs(_: &mut Schemas) -> Operation {
    asset("docs", "The page of this description", "text/html", "<!doctype html>")
}

/// `GET /docs.css`.
pub(super) fn docs_style(_: &mut Schemas) -> Operation {
    asset("docsStyle", "How that page looks", "text/css", "body {}")
}

/// `GET /docs.js`.
pub(super) fn docs_script(_: &mut Schemas) -> Operation {
    asset("docsScript", "What that page does", "text/javascript", "\"use strict\";")
}

/// `GET /openapi.json`.
pub(super) fn openapi(_: &mut Schemas) -> Operation {
    let answer = Answer::new("OpenAPI 3.1.").json(
        json!({"type": "object", "required": ["openapi", "paths"]}),
        json!({"openapi": "3.1.1", "paths": {}}),
    );
    Operation::new(Tag::Pages, "openapi", "This description").answers(answer)
}
