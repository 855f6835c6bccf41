//! A client of one node.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use reqwest::{
    Method, RequestBuilder,
    header::{AUTHORIZATION, HeaderMap},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Nothing that a test does with a node takes longer; writes that block are given up by their test.
const TIMEOUT: Duration = Duration::from_secs(45);

/// A client of one node. Cheap to clone; all clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// What a node answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header `Content-Type`; empty if there is none.
    pub content_type: String,
    /// The header `Retry-After`, if there is one.
    pub retry_after: Option<String>,
    /// The body as JSON; a string of it if it is none.
    pub body: Value,
}

/// An entry as `GET /full_messages` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// Its place.
    pub order: u64,
    /// Its identity.
    pub id: String,
    /// The payload.
    pub message: Value,
}

impl Client {
    /// A client of the node at `base`, such as `http://127.0.0.1:5000`.
    pub fn new(base: String) -> Client {
        Client::with_headers(base, HeaderMap::new())
    }

    /// A client of the same node that shows a token with each request.
    ///
    /// # Panics
    /// The token cannot stand in a header.
    pub fn with_token(&self, token: &str) -> Client {
        let value = format!("Bearer {token}").parse().expect("a token fits into a header");
        Client::with_headers(self.base.clone(), HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    fn with_headers(base: String, headers: HeaderMap) -> Client {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).default_headers(headers).build();
        Client { base, http: http.expect("a plain HTTP client can be made") }
    }

    /// The address of a path on this node.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A request that is not sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// `POST` of a JSON body.
    ///
    /// # Errors
    /// No answer came.
    pub async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<Answer> {
        Answer::of(self.request(Method::POST, path).json(body).send().await?).await
    }

    /// `POST` of a JSON body.
    ///
    /// # Panics
    /// No answer came.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.try_post(path, &body).await.unwrap_or_else(|error| panic!("POST {path} {body}: {error:?}"))
    }

    /// `GET`.
    ///
    /// # Errors
    /// No answer came.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        Answer::of(self.request(Method::GET, path).send().await?).await
    }

    /// `GET`.
    ///
    /// # Panics
    /// No answer came.
    pub async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap_or_else(|error| panic!("GET {path} of {}: {error:?}", self.base))
    }

    /// `POST /messages` with any members.
    ///
    /// # Panics
    /// No answer came.
    pub async fn append(&self, body: Value) -> Answer {
        self.post("/messages", body).await
    }

    /// Appends a message and expects that `w` nodes hold it.
    ///
    /// # Panics
    /// The answer is anything else.
    pub async fn write(&self, message: &str, w: usize) -> Answer {
        self.append(json!({"message": message, "w": w})).await.expect_ok(w)
    }

    /// Appends `m0` with the id `id0` and so on, one after the other, to a log that holds exactly those before.
    ///
    /// # Panics
    /// One is not answered by 200, or gets another order.
    pub async fn append_range(&self, ids: Range<u64>, w: u64) {
        for id in ids {
            let body = json!({"message": format!("m{id}"), "id": format!("id{id}"), "w": w});
            let answer = self.append(body).await;
            assert_eq!((answer.status, &answer.body["order"]), (200, &json!(id)), "{answer:?}");
        }
    }

    /// `PUT /faults`.
    ///
    /// # Panics
    /// It was refused, or no answer came.
    pub async fn set_faults(&self, faults: Value) {
        let sent = self.request(Method::PUT, "/faults").json(&faults).send().await;
        let answer = Answer::of(sent.expect("the node answers")).await.expect("the answer comes whole");
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The bare messages; none if the node does not answer.
    pub async fn messages(&self) -> Option<Vec<Value>> {
        let answer = self.try_get("/messages").await.ok().filter(|answer| answer.status == 200)?;
        serde_json::from_value(answer.body.get("messages")?.clone()).ok()
    }

    /// The entries; none if the node does not answer.
    pub async fn entries(&self) -> Option<Vec<Entry>> {
        let answer = self.try_get("/full_messages").await.ok().filter(|answer| answer.status == 200)?;
        serde_json::from_value(answer.body.get("messages")?.clone()).ok()
    }

    /// `GET /health`; null if the node does not answer.
    pub async fn health(&self) -> Value {
        self.try_get("/health").await.map_or(Value::Null, |answer| answer.body)
    }

    /// Whether `GET /readyz` says so.
    pub async fn is_ready(&self) -> bool {
        self.try_get("/readyz").await.is_ok_and(|answer| answer.status == 200)
    }
}

impl Answer {
    /// What a node answered over HTTP.
    ///
    /// # Errors
    /// It does not come whole.
    pub async fn of(response: reqwest::Response) -> reqwest::Result<Answer> {
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, content_type, retry_after, body })
    }

    /// This answer, if it says that `w` nodes, the master among them, hold the write.
    ///
    /// # Panics
    /// It does not.
    pub fn expect_ok(self, w: usize) -> Answer {
        assert_eq!((self.status, &self.body["status"]), (200, &json!("ok")), "{self:?}");
        let nodes = self.nodes();
        assert!(nodes.len() >= w && nodes.contains("master"), "w={w} was answered by {nodes:?}");
        self
    }

    /// The distinct nodes that it names.
    pub fn nodes(&self) -> BTreeSet<String> {
        let nodes = self.body["nodes"].as_array().into_iter().flatten();
        nodes.filter_map(|node| node.as_str().map(str::to_owned)).collect()
    }

    /// The order that it names.
    ///
    /// # Panics
    /// It names none.
    pub fn order(&self) -> u64 {
        self.body["order"].as_u64().unwrap_or_else(|| panic!("no order in {self:?}"))
    }

    /// Checks that it is a problem document of this status and code, and what it says of the write's effect.
    ///
    /// # Panics
    /// It is not.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str, applied: impl Into<Value>) {
        let body = &self.body;
        assert_eq!((self.status, &body["code"]), (status, &json!(code)), "{self:?}");
        assert_eq!((&body["status"], &body["applied"]), (&json!(status), &applied.into()), "{self:?}");
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        assert!(body["retryable"].is_boolean() && body["detail"].is_string(), "{self:?}");
    }
}
