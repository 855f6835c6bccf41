//! The description of the API against real answers: it leaves nothing out that they have.

use std::{fs, path::Path};

use replog_tests::harness::{Client, Cluster, Follower};
use reqwest::{Method, header::ACCEPT};
use serde_json::{Value, json};

/// A description.
struct Description(Value);

impl Description {
    async fn of(client: &Client) -> Description {
        Description(client.get("/openapi.json").await.body)
    }

    /// What a body of this media type is that an operation answers with.
    fn media(&self, path: &str, method: &str, status: u16, media_type: &str) -> &Value {
        let response = &self.0["paths"][path][method]["responses"][status.to_string()];
        let content = &self.followed(response)["content"][media_type];
        assert!(content.is_object(), "{method} {path} has no {status} of {media_type}");
        content
    }

    /// What a schema or response stands for, if it only refers to one.
    fn followed<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(&reference[1..]).unwrap_or_else(|| panic!("no {reference}")),
            None => value,
        }
    }

    /// Whether the schema names each member that the value has, at any depth.
    fn names(&self, schema: &Value, value: &Value) -> bool {
        let schema = self.followed(schema);
        let any = schema["anyOf"].as_array().or(schema["allOf"].as_array());
        if let Some(schemas) = any {
            return schemas.iter().any(|schema| self.names(schema, value));
        }
        match value {
            Value::Object(members) if schema["type"] == "object" => members.iter().all(|(name, value)| {
                let patterns = schema["patternProperties"].as_object().and_then(|all| all.values().next());
                let others =
                    patterns.or(schema.get("additionalProperties").filter(|others| others.is_object()));
                schema["properties"].get(name).or(others).is_some_and(|schema| self.names(schema, value))
            }),
            Value::Array(elements) => elements.iter().all(|element| self.names(&schema["items"], element)),
            _ => true,
        }
    }

    #[track_caller]
    fn assert_names(&self, schema: &Value, value: &Value) {
        assert!(self.names(schema, value), "{value:#} has what {schema:#} does not name");
    }

    /// Sends a request and holds the answer against the description of `path`.
    async fn check(&self, client: &Client, (method, at, path): (Method, &str, &str), body: Value) -> u16 {
        let request = client.request(method.clone(), at);
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.expect("the node answers");
        let status = response.status().as_u16();
        let media_type = response.headers()["content-type"].to_str().expect("it is text").to_owned();
        let answer: Value = response.json().await.expect("it is JSON");
        let method = method.as_str().to_ascii_lowercase();
        self.assert_names(&self.media(path, &method, status, &media_type)["schema"], &answer);
        if status >= 400 {
            let response = self.followed(&self.0["paths"][path][&method]["responses"][status.to_string()]);
            let codes = response["x-codes"].as_array().expect("a refusal has codes");
            assert!(codes.contains(&answer["code"]), "{method} {path}: {answer} is none of {codes:?}");
        }
        status
    }
}

#[tokio::test]
async fn no_answer_has_what_the_description_does_not_name() {
    let cluster = Cluster::running().await;
    let (master, secondary) = (cluster.client(), cluster.reader(1));
    let description = Description::of(&master).await;
    let check =
        async |method, at: &str, path, body| description.check(&master, (method, at, path), body).await;
    let (get, post) = (|| Method::GET, || Method::POST);
    let id = json!({"message": {"a": [1]}, "w": 3, "id": "a"});
    assert_eq!(check(post(), "/messages", "/messages", id).await, 200);
    let other = json!({"message": 2, "id": "a"});
    assert_eq!(check(post(), "/messages", "/messages", other).await, 409);
    assert_eq!(check(post(), "/messages", "/messages", json!({"message": 2, "expect_order": 7})).await, 412);
    assert_eq!(check(post(), "/messages", "/messages", json!({"message": 2, "w": 9})).await, 400);
    let batch = json!({"messages": [{"message": 1}, {"message": 2}], "w": 3});
    assert_eq!(check(post(), "/messages/batch", "/messages/batch", batch).await, 200);
    for path in ["/messages", "/full_messages", "/health", "/livez", "/readyz"] {
        assert_eq!(check(get(), path, path, Value::Null).await, 200);
    }
    assert_eq!(check(get(), "/messages/0?w=3", "/messages/{order}", Value::Null).await, 200);
    assert_eq!(check(get(), "/messages/9", "/messages/{order}", Value::Null).await, 404);
    assert_eq!(check(get(), "/messages?min_order=9&timeout_ms=1", "/messages", Value::Null).await, 504);
    assert_eq!(check(post(), "/clean", "/clean", Value::Null).await, 200);
    let description = Description::of(&secondary).await;
    let check = async |method, path, body| description.check(&secondary, (method, path, path), body).await;
    for path in ["/messages", "/full_messages", "/health", "/livez", "/readyz", "/faults"] {
        assert_eq!(check(get(), path, Value::Null).await, 200);
    }
    assert_eq!(check(Method::PUT, "/faults", json!({"delay_ms": 1})).await, 200);
    assert_eq!(check(Method::PUT, "/faults", json!({"delay_ms": -1})).await, 400);
    assert_eq!(check(post(), "/messages", json!({"message": 1})).await, 421);
}

#[tokio::test]
async fn no_event_and_no_line_has_what_the_description_does_not_name() {
    let cluster = Cluster::running().await;
    cluster.client().write("Msg0", 3).await;
    for client in [cluster.client(), cluster.reader(1)] {
        let description = Description::of(&client).await;
        for path in ["/tail", "/events"] {
            let schema = &description.media(path, "get", 200, "text/event-stream")["schema"];
            let mut follower = Follower::come_back(&client, path, None).await;
            let event = follower.next().await.expect("an event comes");
            let data: Value = serde_json::from_str(&event.data).expect("the data is JSON");
            description.assert_names(&schema["properties"]["data"]["contentSchema"], &data);
        }
        let lines =
            client.request(Method::GET, "/full_messages").header(ACCEPT, "application/x-ndjson").send();
        let lines = lines.await.expect("the node answers").text().await.expect("it comes whole");
        let lines: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
        assert_eq!(lines.len(), 1);
        let schema = &description.media("/full_messages", "get", 200, "application/x-ndjson")["schema"];
        description.assert_names(schema, &lines.into());
    }
}

#[tokio::test]
async fn a_node_serves_the_committed_description_and_knows_its_own_largest_w() {
    let cluster = Cluster::running().await;
    for (client, name) in [(cluster.client(), "master"), (cluster.reader(1), "secondary")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/openapi/{name}.json"));
        let text = fs::read_to_string(path).expect("it is committed");
        let mut committed: Value = serde_json::from_str(&text).expect("it is JSON");
        if name == "master" {
            committed["components"]["schemas"]["WriteConcern"]["maximum"] = 3.into();
        }
        assert!(Description::of(&client).await.0 == committed, "{name} serves another description");
    }
}
