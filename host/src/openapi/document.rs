//! The whole description, put together.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Describe, Schemas, operation::Tag, plain::plain, problems};
use crate::edge::Access;

/// What the description calls the bearer tokens.
pub(super) const SECURITY_SCHEME: &str = "token";

/// Which node is described.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// What the description is called.
    pub title: &'static str,
    /// What it is about, in Markdown.
    pub about: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The largest `w` that it takes.
    pub max_w: u16,
}

/// One route with its description.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) describe: Describe,
}

/// The description of these routes. Its members stand in the order of their names, however serde_json keeps them.
pub(crate) fn document(info: Info, routes: &[Described]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for route in routes {
        let operation = (route.describe)(&mut schemas).into_value(&route.method, route.access);
        let method = route.method.as_str().to_ascii_lowercase();
        paths.entry(route.path).or_default().insert(method, operation);
    }
    let responses = shared_responses(&mut paths);
    let problem = problems::schema(&mut schemas);
    let mut components = schemas.into_components();
    components.insert("Problem".into(), problem);
    if let Some(w) = components.get_mut("WriteConcern") {
        w["maximum"] = info.max_w.into();
    }
    tidy(plain(json!({
        "openapi": "3.1.1",
        "info": {
            "title": info.title, "description": info.about, "version": info.version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The node that this was read from."}],
        "tags": Tag::ALL.map(|tag| json!({"name": tag.name(), "description": tag.about()})),
        "paths": paths,
        "components": {
            "schemas": components, "responses": responses, "securitySchemes": {SECURITY_SCHEME: security_scheme()},
        },
    })))
}

/// Takes out the responses that more than one operation has, and leaves references to them behind. Gives them by
/// name: the status in words, and a number where one status has several.
fn shared_responses(paths: &mut BTreeMap<&str, BTreeMap<String, Value>>) -> Map<String, Value> {
    let operations = paths.values().flat_map(BTreeMap::values);
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for response in
        operations.filter_map(|operation| operation["responses"].as_object()).flat_map(Map::values)
    {
        *uses.entry(response.to_string()).or_default() += 1;
    }
    let mut shared = Map::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for operation in paths.values_mut().flat_map(BTreeMap::values_mut) {
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        for (status, response) in responses {
            let text = response.to_string();
            if uses[&text] < 2 {
                continue;
            }
            let name = names.entry(text).or_insert_with(|| unused_name(status, &shared));
            let reference = json!({"$ref": format!("#/components/responses/{name}")});
            shared.insert(name.clone(), std::mem::replace(response, reference));
        }
    }
    shared
}

/// A name for a response of this status that none of `shared` has.
fn unused_name(status: &str, shared: &Map<String, Value>) -> String {
    let status = StatusCode::from_bytes(status.as_bytes()).unwrap_or_default();
    let words: String = status.canonical_reason().unwrap_or_default().split(' ').collect();
    let numbered = (1..).map(|number| if number == 1 { words.clone() } else { format!("{words}{number}") });
    numbered.into_iter().find(|name| !shared.contains_key(name)).unwrap_or_default()
}

fn security_scheme() -> Value {
    json!({
        "type": "http", "scheme": "bearer",
        "description": "Asked for by nodes with `--tokens-file`; other nodes let everybody in. The scopes that an \
                        operation names are those that the token must have: `append`, `read` or `admin`.",
    })
}

/// Puts members into the order of their names. A default of null is left out: it says that a field may be left out,
/// and where it may, null is refused all the same.
pub(super) fn tidy(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let told = members.into_iter().filter(|(name, value)| !(name == "default" && value.is_null()));
            let members: BTreeMap<String, Value> = told.map(|(name, value)| (name, tidy(value))).collect();
            Value::Object(members.into_iter().collect())
        }
        Value::Array(elements) => elements.into_iter().map(tidy).collect(),
        value => value,
    }
}
