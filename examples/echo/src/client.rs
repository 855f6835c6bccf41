//! The client: one function a call of the server.

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Received {
    received: Value,
}

#[derive(Deserialize)]
struct Messages {
    messages: Vec<Value>,
}

/// Sends `message` to the server at `url` and returns what it says it received.
///
/// # Errors
/// The server cannot be reached, refuses, or answers with something else.
pub(crate) async fn send(url: &str, message: &str) -> anyhow::Result<Value> {
    let request = reqwest::Client::new().post(format!("{url}/echo")).json(&json!({ "message": message }));
    let answer: Received = request.send().await?.error_for_status()?.json().await.context("not an echo")?;
    Ok(answer.received)
}

/// Returns what the server at `url` remembers, oldest first.
///
/// # Errors
/// As for [`send`].
pub(crate) async fn list(url: &str) -> anyhow::Result<Vec<Value>> {
    let response = reqwest::get(format!("{url}/echo")).await?.error_for_status()?;
    let answer: Messages = response.json().await.context("not a list of messages")?;
    Ok(answer.messages)
}
