//! The description of the API as it is committed.

use std::{env, fs, path::Path};

use serde_json::Value;

/// `docs/openapi/master.json` is what the code says. `REPLOG_RENEW=1` writes it.
#[test]
fn the_committed_description_is_the_codes_own() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi/master.json");
    let described = format!("{:#}\n", replog_master::openapi());
    if env::var_os("REPLOG_RENEW").is_some() {
        fs::write(&path, &described).expect("it can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == described,
        "docs/openapi/master.json is not what the code says: renew it by `REPLOG_RENEW=1 cargo nextest run -E \
         'binary(openapi)'`, and look at the difference"
    );
}

#[test]
fn what_an_operation_asks_for_is_what_its_route_asks_for() {
    let paths = &replog_master::openapi()["paths"];
    let asked = |path: &str, method: &str| paths[path][method]["security"].clone();
    for (path, method, scope) in
        [("/messages", "post", "append"), ("/messages", "get", "read"), ("/clean", "post", "admin")]
    {
        assert_eq!(asked(path, method), serde_json::json!([{}, {"token": [scope]}]), "{method} {path}");
        let responses = &paths[path][method]["responses"];
        assert!(responses["401"].is_object() && responses["403"].is_object(), "{method} {path}");
    }
    for path in ["/livez", "/openapi.json", "/docs"] {
        assert_eq!(asked(path, "get"), serde_json::json!([]), "{path}");
        assert!(paths[path]["get"]["responses"]["401"].is_null(), "{path}");
    }
}

#[test]
fn what_a_query_takes_is_described_with_the_range_that_is_read() {
    let paths = &replog_master::openapi()["paths"];
    let parameters = paths["/messages"]["get"]["parameters"].as_array().expect("it takes some");
    let of = |name: &str| parameters.iter().find(|one| one["name"] == name).map(|one| one["schema"].clone());
    let whole_numbers =
        |least: u64| serde_json::json!({"type": "integer", "minimum": least, "maximum": u64::MAX});
    assert_eq!((of("from"), of("limit")), (Some(whole_numbers(0)), Some(whole_numbers(1))));
    assert_eq!(parameters.len(), 6, "{parameters:?}");
}

/// Holds each example beside a schema against what that requires; how many there were.
fn check_examples(described: &Value, part: &Value) -> usize {
    let mut checked = 0;
    if let (Some(schema), Some(example)) = (part.get("schema"), part.get("example")) {
        let named = schema["$ref"].as_str().and_then(|name| described.pointer(name.trim_start_matches('#')));
        for member in named.unwrap_or(schema)["required"].as_array().into_iter().flatten() {
            let is_there = member.as_str().is_some_and(|member| example.get(member).is_some());
            assert!(is_there, "{member} is not in {example:#}");
            checked += 1;
        }
    }
    let parts: Vec<&Value> = match part {
        Value::Object(members) => members.values().collect(),
        Value::Array(elements) => elements.iter().collect(),
        _ => Vec::new(),
    };
    checked + parts.into_iter().map(|part| check_examples(described, part)).sum::<usize>()
}

#[test]
fn every_example_has_what_its_schema_requires() {
    let described = replog_master::openapi();
    assert!(check_examples(&described, &described) > 10);
}
