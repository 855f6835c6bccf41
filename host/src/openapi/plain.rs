//! Schemas in the words that makers of clients understand: what can be said in two ways is said in the plainer one.
//!
//! The bug this prevents: a description that is right and of no use. Generators of clients refuse a schema that is
//! `true`, make a class of each constant, and give up on the one value of a member.

use serde_json::{Map, Value, json};

/// The members that hold schemas by names that are anybody's.
const BY_NAME: [&str; 3] = ["properties", "patternProperties", "schemas"];

/// The members that hold a schema.
const SCHEMAS: [&str; 3] = ["items", "schema", "contentSchema"];

/// The members that hold no schema, whatever is in them.
const VALUES: [&str; 3] = ["example", "examples", "default"];

/// Says every schema within a description plainly.
pub(super) fn plain(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(of_members(members)),
        Value::Array(elements) => elements.into_iter().map(plain).collect(),
        value => value,
    }
}

fn of_members(members: Map<String, Value>) -> Map<String, Value> {
    let members = members.into_iter().map(|(name, value)| {
        let value = match value {
            value if VALUES.contains(&name.as_str()) => value,
            Value::Object(schemas) if BY_NAME.contains(&name.as_str()) => {
                schemas.into_iter().map(|(name, schema)| (name, of_schema(schema))).collect()
            }
            schema if SCHEMAS.contains(&name.as_str()) => of_schema(schema),
            value => plain(value),
        };
        (name, value)
    });
    of_enum(of_choice(of_constant(members.collect())))
}

/// Anything at all is `{}`.
fn of_schema(schema: Value) -> Value {
    if schema == true { json!({}) } else { plain(schema) }
}

/// A constant is an enumeration of one.
fn of_constant(mut schema: Map<String, Value>) -> Map<String, Value> {
    if let Some(constant) = schema.remove("const") {
        schema.insert("enum".into(), json!([constant]));
    }
    schema
}

/// A choice of constants is an enumeration, with what is said of each in its description.
fn of_choice(mut schema: Map<String, Value>) -> Map<String, Value> {
    let only =
        |choice: &Value| choice["enum"].as_array().filter(|values| values.len() == 1)?.first().cloned();
    let choices = schema.get("oneOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let values: Option<Vec<Value>> = choices.iter().map(only).collect();
    let Some(values) = values.filter(|values| !values.is_empty()) else { return schema };
    let lines = choices.iter().zip(&values).filter_map(|(choice, value)| {
        Some(format!("- `{}`: {}", value.as_str()?, choice["description"].as_str()?))
    });
    let about = schema.get("description").and_then(Value::as_str).map(str::to_owned);
    let parts: Vec<String> = about.into_iter().chain([lines.collect::<Vec<_>>().join("\n")]).collect();
    schema.insert("description".into(), parts.join("\n\n").into());
    schema.insert("enum".into(), values.into());
    schema.remove("oneOf");
    schema
}

/// An enumeration has a type.
fn of_enum(mut schema: Map<String, Value>) -> Map<String, Value> {
    let values = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let all = |is: fn(&Value) -> bool| !values.is_empty() && values.iter().all(is);
    let of = if all(Value::is_string) {
        "string"
    } else if all(Value::is_u64) {
        "integer"
    } else {
        return schema;
    };
    schema.insert("type".into(), of.into());
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_is_an_empty_schema() {
        let schema = json!({"properties": {"message": true}, "items": true, "additionalProperties": false});
        let plainly = json!({"properties": {"message": {}}, "items": {}, "additionalProperties": false});
        assert_eq!(plain(schema), plainly);
        assert_eq!(plain(json!({"required": true, "schema": true})), json!({"required": true, "schema": {}}));
    }

    #[test]
    fn constants_are_enumerations_with_a_type() {
        assert_eq!(
            plain(json!({"const": "ok", "type": "string"})),
            json!({"enum": ["ok"], "type": "string"})
        );
        assert_eq!(plain(json!({"const": 400})), json!({"enum": [400], "type": "integer"}));
        assert_eq!(plain(json!({"enum": ["a", "b"]})), json!({"enum": ["a", "b"], "type": "string"}));
        let choice = json!({
            "description": "How.",
            "oneOf": [{"const": "a", "description": "So."}, {"const": "b", "description": "Or so."}],
        });
        let enumeration =
            json!({"description": "How.\n\n- `a`: So.\n- `b`: Or so.", "enum": ["a", "b"], "type": "string"});
        assert_eq!(plain(choice), enumeration);
    }

    #[test]
    fn other_choices_and_what_is_no_schema_stay_as_they_are() {
        for other in [
            json!({"oneOf": [{"type": "boolean"}, {"enum": ["unknown"], "type": "string"}]}),
            json!({"example": {"const": 1, "properties": {"a": true}}, "examples": [{"items": true}]}),
            json!({"enum": [1, "a"]}),
        ] {
            assert_eq!(plain(other.clone()), other);
        }
    }

    #[test]
    fn a_member_may_be_called_like_a_word_of_schemas() {
        let schema =
            json!({"properties": {"const": {"type": "string"}, "items": true, "enum": {"const": "x"}}});
        let plainly = json!({
            "properties": {"const": {"type": "string"}, "items": {}, "enum": {"enum": ["x"], "type": "string"}},
        });
        assert_eq!(plain(schema), plainly);
    }
}
