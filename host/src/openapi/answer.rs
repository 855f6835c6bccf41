//! What a route answers with when it does not refuse: always 200.

use replog_shared::{EpochNumber, LogId, NodeName};
use serde_json::{Map, Value, json};

use super::Schemas;
use crate::edge::ndjson;

/// An answer with status 200.
#[derive(Debug)]
pub struct Answer {
    about: &'static str,
    content: Map<String, Value>,
    headers: Map<String, Value>,
    links: Map<String, Value>,
}

impl Answer {
    /// An answer that says this; `about` is a sentence.
    pub fn new(about: &'static str) -> Answer {
        Answer { about, content: Map::new(), headers: Map::new(), links: Map::new() }
    }

    /// It may be one JSON document.
    #[must_use]
    pub fn json(self, schema: Value, example: Value) -> Answer {
        self.content("application/json", json!({"schema": schema, "example": example}))
    }

    /// It may be text, such as this.
    #[must_use]
    pub fn text(self, media_type: &str, example: &str) -> Answer {
        self.content(media_type, json!({"schema": {"type": "string"}, "example": example}))
    }

    /// It may be lines of JSON, such as these: described as the array of what the lines are.
    #[must_use]
    pub fn lines(self, line: Value, examples: Value) -> Answer {
        let schema = json!({"type": "array", "items": line});
        self.content(ndjson::MEDIA_TYPE, json!({"schema": schema, "example": examples}))
    }

    /// It may be a stream of server-sent events of these types, such as this one. The schema is that of one event, as
    /// a reader of events gives it; `data` is what each has as its data, in JSON.
    #[must_use]
    pub fn events(self, types: &[&str], data: Value, example: Value) -> Answer {
        let data = json!({"type": "string", "contentMediaType": "application/json", "contentSchema": data});
        let schema = json!({
            "type": "object", "required": ["event", "data"],
            "properties": {"id": {"type": "string"}, "event": {"enum": types}, "data": data},
        });
        self.content("text/event-stream", json!({"schema": schema, "example": example}))
    }

    fn content(mut self, media_type: &str, content: Value) -> Answer {
        self.content.insert(media_type.to_owned(), content);
        self
    }

    /// It says which log and which epoch it was read in.
    #[must_use]
    pub fn with_epoch(mut self, schemas: &mut Schemas) -> Answer {
        let epoch = "The epoch that this was read in. None before there is one.";
        let owner = "The node that opened that epoch: only both together name it. None before there is one.";
        let log_id = "The log that this was read from. None before there is one.";
        let schemas =
            [schemas.answer::<EpochNumber>(), schemas.answer::<NodeName>(), schemas.answer::<LogId>()];
        let headers = [("replog-epoch", epoch), ("replog-epoch-owner", owner), ("replog-log-id", log_id)];
        for ((name, about), schema) in headers.into_iter().zip(schemas) {
            self.headers.insert(name.to_owned(), json!({"description": about, "schema": schema}));
        }
        self
    }

    /// A member of it, by its JSON pointer, is a parameter of another operation.
    #[must_use]
    pub fn link(mut self, member: &str, operation: &str, parameter: &str) -> Answer {
        let parameters = json!({parameter: format!("$response.body#{member}")});
        self.links.insert(operation.to_owned(), json!({"operationId": operation, "parameters": parameters}));
        self
    }

    /// As it stands in the description.
    pub(super) fn into_value(self) -> Value {
        let mut value = json!({"description": self.about, "content": self.content});
        if !self.headers.is_empty() {
            value["headers"] = self.headers.into();
        }
        if !self.links.is_empty() {
            value["links"] = self.links.into();
        }
        value
    }
}
