//! Every row of the contract's table of refusals, against real nodes.

use std::time::Duration;

use replog_tests::harness::{Answer, Client, Cluster, Options, SOON, raw};
use reqwest::Method;
use serde_json::{Value, json};

/// One request, and the refusal that it must meet.
struct Row {
    name: &'static str,
    path: &'static str,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    field: Option<&'static str>,
}

fn row(name: &'static str, body: impl Into<Vec<u8>>, code: &'static str, field: Option<&'static str>) -> Row {
    Row { name, path: "/messages", body: body.into(), status: 400, code, field }
}

/// An append with a wrong member besides its message.
fn member(name: &'static str, members: &str, field: &'static str) -> Row {
    row(name, format!(r#"{{"message": "bad", {members}}}"#), "invalid_field", Some(field))
}

fn rows() -> Vec<Row> {
    let long_id = format!(r#""id": "{}""#, "x".repeat(129));
    let deep = format!(r#"{{"message": {}1{}}}"#, "[".repeat(125), "]".repeat(125));
    let many = format!(r#"{{"messages": [{}]}}"#, vec![r#"{"message": 1}"#; 10_001].join(","));
    let batch = |name, body: &str, field| Row {
        path: "/messages/batch",
        ..row(name, body, "invalid_field", Some(field))
    };
    let query = |name, path| Row { path, ..row(name, r#"{"message": "bad"}"#, "invalid_query", None) };
    vec![
        row("no message", r#"{"w": 1}"#, "invalid_field", Some("message")),
        member("w null", r#""w": null"#, "w"),
        member("w zero", r#""w": 0"#, "w"),
        member("w negative", r#""w": -1"#, "w"),
        member("w above n", r#""w": 4"#, "w"),
        member("w huge", r#""w": 18446744073709551615"#, "w"),
        member("w beyond any integer", r#""w": 99999999999999999999999"#, "w"),
        member("w a fraction", r#""w": 1.5"#, "w"),
        member("w a string", r#""w": "2""#, "w"),
        member("w a truth", r#""w": true"#, "w"),
        member("w one point zero", r#""w": 1.0"#, "w"),
        member("w with an exponent", r#""w": 1e0"#, "w"),
        member("w minus zero", r#""w": -0"#, "w"),
        member("w beyond any number", r#""w": 1e400"#, "w"),
        member("id a lone surrogate", r#""id": "\ud800""#, "id"),
        member("id a number", r#""id": 7"#, "id"),
        member("id null", r#""id": null"#, "id"),
        member("id empty", r#""id": """#, "id"),
        member("id too long", &long_id, "id"),
        member("timeout negative", r#""timeout_ms": -5"#, "timeout_ms"),
        member("expect_order a string", r#""expect_order": "0""#, "expect_order"),
        member("unknown field", r#""W": 1"#, "W"),
        member("repeated field", r#""w": 1, "w": 2"#, "w"),
        row("NaN", r#"{"message": NaN}"#, "invalid_json", None),
        row("no JSON", "nonsense", "invalid_json", None),
        row("two documents", r#"{"message": 1} {"message": 2}"#, "invalid_json", None),
        row("cut off", r#"{"message": "#, "invalid_json", None),
        row("empty", "", "invalid_json", None),
        row("bad UTF-8", &b"{\"message\": \"\xff\"}"[..], "invalid_json", None),
        row("an array", "[]", "invalid_body", None),
        row("an array of the fields", r#"["bad"]"#, "invalid_body", None),
        row("an array of all the fields", r#"["bad", "i1", 1, 5, 1]"#, "invalid_body", None),
        row("100,000 brackets", "[".repeat(100_000), "invalid_body", None),
        row(
            "100,000 brackets inside",
            format!("{{\"message\": {}", "[".repeat(100_000)),
            "invalid_json",
            None,
        ),
        row("lone surrogate", r#"{"message": "\ud800"}"#, "invalid_field", Some("message")),
        row("a number that no reader takes", r#"{"message": [1e400]}"#, "invalid_field", Some("message")),
        row("too deep", deep, "invalid_field", Some("message")),
        batch("batch without messages", r#"{"w": 1}"#, "messages"),
        batch("batch of none", r#"{"messages": []}"#, "messages"),
        batch(
            "batch with an id twice",
            r#"{"messages": [{"message": 1, "id": "a"}, {"message": 2, "id": "a"}]}"#,
            "messages[1].id",
        ),
        batch(
            "batch with a bad element",
            r#"{"messages": [{"message": 1}, {"id": "a"}]}"#,
            "messages[1].message",
        ),
        batch("batch of too many", &many, "messages"),
        query("unknown query parameter", "/messages?w=1"),
    ]
}

/// Sends a body that calls itself JSON.
async fn send(client: &Client, method: Method, path: &str, body: Vec<u8>) -> Answer {
    let request = client.request(method, path).header("content-type", "application/json").body(body);
    let response = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
    let status = response.status().as_u16();
    let body = response.json().await.unwrap_or(Value::Null);
    Answer { status, content_type, retry_after, body }
}

/// Everything that makes an answer a refusal that programs and people can use.
fn problems_with(answer: &Answer, status: u16) -> Vec<String> {
    let body = &answer.body;
    let checks = [
        (answer.status == status, "status"),
        (answer.content_type == "application/problem+json", "content type"),
        (body["status"] == status, "member status"),
        (body["applied"] == false, "member applied"),
        (body["code"].is_string(), "member code"),
        (body["retryable"].is_boolean(), "member retryable"),
        (body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "member detail"),
    ];
    checks.iter().filter(|(fine, _)| !fine).map(|(_, what)| format!("wrong {what}")).collect()
}

#[tokio::test]
async fn bad_appends_are_refused_with_the_field_and_store_nothing() {
    let cluster = Cluster::running().await;
    let client = cluster.client();
    let mut failures = Vec::new();
    for row in rows() {
        let answer = send(&client, Method::POST, row.path, row.body).await;
        let mut wrong = problems_with(&answer, row.status);
        let code_fits =
            answer.body["code"] == row.code || (row.code == "invalid_query" && answer.body["field"] == "w");
        if !code_fits {
            wrong.push(format!("code is not {}", row.code));
        }
        if row.field.is_some_and(|field| answer.body["field"] != field) {
            wrong.push(format!("field is not {:?}", row.field));
        }
        if row.field.is_some() && answer.body["allowed"].is_null() {
            wrong.push("it does not say what is allowed".to_owned());
        }
        if !wrong.is_empty() {
            failures.push(format!("{}: {} in {answer:?}", row.name, wrong.join(", ")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cluster.equal_logs(SOON).await.is_empty(), "something that was refused is in the log");
    client.write("fine", 3).await;
}

#[tokio::test]
async fn wrong_places_methods_and_types_are_refused_on_both_kinds_of_node() {
    let cluster = Cluster::start(Options { master_args: Vec::new(), ..Options::default() }).await;
    let (master, secondary) = (cluster.client(), cluster.reader(1));
    let append = || br#"{"message": "bad"}"#.to_vec();
    let large = format!(r#"{{"message": "{}"}}"#, "x".repeat(1_100_000)).into_bytes();
    let huge = format!(r#"{{"message": "{}"}}"#, "x".repeat(9 << 20)).into_bytes();
    let cases = [
        (&master, Method::GET, "/nowhere", Vec::new(), 404),
        (&secondary, Method::GET, "/nowhere", Vec::new(), 404),
        (&master, Method::GET, "/messages/0", Vec::new(), 404),
        (&master, Method::DELETE, "/messages", Vec::new(), 405),
        (&secondary, Method::DELETE, "/messages", Vec::new(), 405),
        (&master, Method::GET, "/clean", Vec::new(), 405),
        (&master, Method::POST, "/clean", Vec::new(), 403),
        (&secondary, Method::POST, "/messages", append(), 421),
        (&secondary, Method::POST, "/messages/batch", append(), 421),
        (&master, Method::POST, "/messages", large, 413),
        (&master, Method::POST, "/messages", huge, 413),
        (&master, Method::POST, "/messages", br#"{"message": "x", "expect_order": 9}"#.to_vec(), 412),
        (&master, Method::GET, "/messages?from=x", Vec::new(), 400),
        (&master, Method::GET, "/messages/007", Vec::new(), 400),
        (&master, Method::GET, "/messages/%ff", Vec::new(), 400),
        (&master, Method::GET, "/messages/0?w=abc", Vec::new(), 400),
        (&master, Method::GET, "/faults", Vec::new(), 403),
        (&master, Method::OPTIONS, "/messages", Vec::new(), 405),
        (&secondary, Method::GET, "/messages/0", Vec::new(), 421),
        (&secondary, Method::POST, "/clean", Vec::new(), 421),
        (&secondary, Method::GET, "/messages?from=-1", Vec::new(), 400),
        (&secondary, Method::GET, "/messages?from=1&from=2", Vec::new(), 400),
        (&secondary, Method::GET, "/full_messages?unknown=1", Vec::new(), 400),
        (&secondary, Method::PUT, "/faults", br#"{"error_rate": 2}"#.to_vec(), 400),
        (&secondary, Method::PUT, "/faults", br#"{"delay_ms": -1}"#.to_vec(), 400),
        (&secondary, Method::PUT, "/faults", br#"{"delay": 1}"#.to_vec(), 400),
    ];
    let mut failures = Vec::new();
    for (client, method, path, body, status) in cases {
        let answer = send(client, method.clone(), path, body).await;
        let wrong = problems_with(&answer, status);
        if !wrong.is_empty() {
            failures.push(format!("{method} {path}: {} (wanted {status}) in {answer:?}", wrong.join(", ")));
        }
    }
    for client in [&master, &secondary] {
        let form = client
            .request(Method::POST, "/messages")
            .header("content-type", "application/x-www-form-urlencoded");
        let status = form.body(append()).send().await.expect("the node answers").status().as_u16();
        let expected = if client.url("") == master.url("") { 415 } else { 421 };
        if status != expected {
            failures.push(format!("a form got {status}, not {expected}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cluster.equal_logs(SOON).await.is_empty(), "something that was refused is in the log");
}

#[tokio::test]
async fn an_id_that_is_taken_is_a_conflict() {
    let cluster = Cluster::running().await;
    let client = cluster.client();
    client.append(json!({"message": "a", "id": "taken"})).await.expect_ok(3);
    let answer = client.append(json!({"message": "b", "id": "taken"})).await;
    answer.expect_problem(409, "conflict", false);
    assert_eq!(cluster.equal_logs(SOON).await.len(), 1);
}

/// What no HTTP client would send, and the status that it must meet.
#[tokio::test]
async fn malformed_requests_get_a_problem_and_a_closed_connection() {
    let cluster = Cluster::running().await;
    let long = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(80_000));
    let both = "POST /messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\
                Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let cases = [
        ("no host", "GET /health HTTP/1.1\r\n\r\n", 400),
        ("two hosts", "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("both lengths", both, 400),
        (
            "two lengths",
            "POST /messages HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            400,
        ),
        ("no HTTP", "\x16\x03\x01 hello\r\n\r\n", 400),
        ("headers too large", &long, 431),
    ];
    let mut failures = Vec::new();
    for address in [&cluster.master.address, &cluster.secondaries[0].address] {
        for (name, request, status) in cases {
            let answer = raw::exchange(address, request.as_bytes(), Duration::from_secs(15)).await;
            let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
            let parsed = raw::parse(&answer).filter(|(got, body)| *got == status && body["applied"] == false);
            if parsed.is_none() {
                failures.push(format!("{name}: wanted {status}, got {answer:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    cluster.client().write("still served", 3).await;
}

#[tokio::test]
async fn slow_clients_cost_a_connection_and_nothing_else() {
    // Long enough for the others on a machine that is busy, and short enough to wait for.
    let master_args = vec!["--header-timeout-ms", "15000", "--body-silence-ms", "15000"];
    let cluster = Cluster::start(Options { master_args, ..Options::default() }).await;
    let slow = |request: &'static str| {
        let address = cluster.master.address.clone();
        tokio::spawn(
            async move { raw::exchange(&address, request.as_bytes(), Duration::from_secs(45)).await },
        )
    };
    let heads: Vec<_> = (0..200).map(|_| slow("POST /messages HTTP/1.1\r\nHost: x\r\n")).collect();
    let body = slow(
        "POST /messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"mess",
    );
    let client = cluster.client();
    for nth in 0..50 {
        client.write(&format!("quick {nth}"), 3).await;
    }
    let waited_for = heads.iter().chain([&body]).filter(|slow| slow.is_finished()).count();
    assert_eq!(waited_for, 0, "the others were done only after slow clients were");
    for head in heads {
        let answer = head.await.expect("no panic").expect("a connection whose head does not end is closed");
        assert_eq!(answer, "");
    }
    let body = body.await.expect("no panic").expect("a body that falls silent is refused");
    let (status, problem) = raw::parse(&body).unwrap_or_else(|| panic!("no answer but {body:?}"));
    assert_eq!(
        (status, &problem["code"], &problem["applied"]),
        (408, &json!("body_too_slow"), &json!("unknown"))
    );
    assert_eq!(cluster.equal_logs(SOON).await.len(), 50);
}

#[tokio::test]
async fn a_byte_order_mark_is_named_by_every_reader_of_a_body() {
    let cluster = Cluster::running().await;
    let (master, secondary) = (cluster.client(), cluster.reader(1));
    let marked = |body: &str| format!("\u{feff}{body}").into_bytes();
    let message = r#"{"message": 1}"#;
    for (client, method, path, media_type, body) in [
        (&master, Method::POST, "/messages", "application/json", marked(message)),
        (
            &master,
            Method::POST,
            "/messages/batch",
            "application/json",
            marked(r#"{"messages": [{"message": 1}]}"#),
        ),
        (
            &master,
            Method::POST,
            "/messages/batch",
            "application/x-ndjson",
            marked(&format!("{message}\n{message}\n")),
        ),
        (&master, Method::POST, "/clean", "application/json", marked("{}")),
        (&secondary, Method::PUT, "/faults", "application/json", marked(r#"{"delay_ms": 1}"#)),
    ] {
        let request = client.request(method, path).header("content-type", media_type).body(body);
        let answer = Answer::of(request.send().await.expect("an answer comes")).await.expect("it is whole");
        answer.expect_problem(400, "invalid_json", false);
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("byte order mark (EF BB BF)"), "{path}: {detail}");
    }
    assert_eq!(master.entries().await.map(|log| log.len()), Some(0));
}
