//! What the description says of one route.

use std::ops::RangeInclusive;

use http::Method;
use serde_json::{Map, Value, json};

use super::{Answer, Schemas, parameters, problems};
use crate::edge::{Access, ndjson, query::QueryParams};
use replog_shared::Code;

/// Describes a route, with what it needs of schemas.
pub type Describe = fn(&mut Schemas) -> Operation;

/// What belongs together in the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Appends, and who holds them.
    Writes,
    /// The log as this node shows it.
    Reads,
    /// How the node is, and what an operator does to it.
    Operations,
    /// What a browser shows.
    Pages,
}

impl Tag {
    /// All of them, in the order in which they are shown.
    pub(super) const ALL: [Tag; 4] = [Tag::Writes, Tag::Reads, Tag::Operations, Tag::Pages];

    pub(super) fn name(self) -> &'static str {
        match self {
            Tag::Writes => "writes",
            Tag::Reads => "reads",
            Tag::Operations => "operations",
            Tag::Pages => "pages",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Tag::Writes => "Appends, and which nodes hold them.",
            Tag::Reads => "The log as this node shows it.",
            Tag::Operations => "How the node is, and what an operator does to it.",
            Tag::Pages => "What a browser shows: the console, and the page of this description.",
        }
    }
}

/// One route in words.
#[derive(Debug)]
pub struct Operation {
    id: &'static str,
    tag: Tag,
    summary: &'static str,
    about: String,
    parameters: Vec<Value>,
    body: Map<String, Value>,
    body_required: bool,
    answer: Option<Answer>,
    codes: Vec<Code>,
}

impl Operation {
    /// An operation that takes nothing, and only refuses what the edge refuses. `id` is a name for programs.
    pub fn new(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
        Operation {
            id,
            tag,
            summary,
            about: String::new(),
            parameters: Vec::new(),
            body: Map::new(),
            body_required: true,
            answer: None,
            codes: Vec::new(),
        }
    }

    /// Says more, in Markdown.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Operation {
        self.about = about.into();
        self
    }

    /// Takes this query.
    #[must_use]
    pub fn query<T: QueryParams>(mut self, schemas: &mut Schemas) -> Operation {
        self.parameters.extend(parameters::of_query::<T>(schemas));
        self
    }

    /// Has an order in its path.
    #[must_use]
    pub fn path_order(mut self, schemas: &mut Schemas) -> Operation {
        self.parameters.push(parameters::path_order(schemas));
        self
    }

    /// Listens to a header.
    #[must_use]
    pub fn header(mut self, name: &str, schema: Value, meaning: &str, example: Value) -> Operation {
        self.parameters.push(parameters::of_header(name, schema, meaning, example));
        self
    }

    /// Takes a JSON document as its body.
    #[must_use]
    pub fn json(mut self, schema: Value, example: Value) -> Operation {
        self.body.insert("application/json".into(), json!({"schema": schema, "example": example}));
        self
    }

    /// Takes a body of so many lines of JSON: described as the array of what the lines are.
    #[must_use]
    pub fn lines(mut self, line: Value, count: RangeInclusive<usize>, examples: Value) -> Operation {
        let (least, most) = (count.start(), count.end());
        let schema = json!({"type": "array", "items": line, "minItems": least, "maxItems": most});
        self.body.insert(ndjson::MEDIA_TYPE.into(), json!({"schema": schema, "example": examples}));
        self
    }

    /// Takes a request without a body, too.
    #[must_use]
    pub fn body_optional(mut self) -> Operation {
        self.body_required = false;
        self
    }

    /// Answers with 200 and this.
    #[must_use]
    pub fn answers(mut self, answer: Answer) -> Operation {
        self.answer = Some(answer);
        self
    }

    /// Refuses with these codes, besides those of the edge.
    #[must_use]
    pub fn refuses(mut self, codes: &[Code]) -> Operation {
        self.codes.extend(codes);
        self
    }

    /// As it stands in the description. What a method, a body, a query or a scope adds to the refusals is added here.
    pub(super) fn into_value(mut self, method: &Method, access: Access) -> Value {
        self.codes.extend(problems::OF_EVERY_ROUTE);
        if !method.is_safe() {
            self.codes.push(Code::CrossSite);
        }
        if !self.body.is_empty() {
            self.codes.extend(problems::OF_A_BODY);
        }
        if self.parameters.iter().any(|parameter| parameter["in"] == "query") {
            self.codes.push(Code::InvalidParameter);
        }
        if let Access::Needs(_) = access {
            self.codes.extend(problems::OF_A_SCOPE);
        }
        let mut responses = problems::responses(&self.codes);
        if let Some(answer) = self.answer {
            responses.insert("200".into(), answer.into_value());
        }
        let mut value = json!({
            "operationId": self.id, "tags": [self.tag.name()], "summary": self.summary, "responses": responses,
            "security": security(access),
        });
        if !self.about.is_empty() {
            value["description"] = self.about.into();
        }
        if !self.parameters.is_empty() {
            value["parameters"] = self.parameters.into();
        }
        if !self.body.is_empty() {
            value["requestBody"] = json!({"required": self.body_required, "content": self.body});
        }
        value
    }
}

/// The token that a route asks for, from its declaration. It may be left out where the node knows no tokens.
fn security(access: Access) -> Value {
    match access {
        Access::Open => json!([]),
        Access::Needs(scope) => json!([{}, { super::document::SECURITY_SCHEME: [scope.name()] }]),
    }
}
