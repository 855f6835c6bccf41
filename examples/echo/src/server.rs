//! The server: `POST /echo` answers with what it got, `GET /echo` lists what it remembers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use axum::{Json, Router, extract::State, routing::get};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;

/// Messages that the server remembers; older ones are forgotten, so that its memory has a bound.
const REMEMBERED_MESSAGES: usize = 1_000;

/// The body of `POST /echo`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Echo {
    message: Value,
}

/// The answer to `POST /echo`.
#[derive(Serialize)]
struct Received {
    received: Value,
}

/// The answer to `GET /echo`.
#[derive(Serialize)]
struct Messages {
    messages: Vec<Value>,
}

/// The last messages, oldest first. Every handler holds a clone of the same one.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<VecDeque<Value>>>);

impl Memory {
    fn remember(&self, message: Value) {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() == REMEMBERED_MESSAGES {
            messages.pop_front();
        }
        messages.push_back(message);
    }

    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Serves on `address` (`HOST:PORT`; port 0 takes a free one) until ctrl-c.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) async fn serve(address: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    announce(&listener)?;
    axum::serve(listener, router()).with_graceful_shutdown(ctrl_c()).await.context("the server failed")
}

fn router() -> Router {
    Router::new().route("/echo", get(list).post(echo)).with_state(Memory::default())
}

async fn echo(State(memory): State<Memory>, Json(request): Json<Echo>) -> Json<Received> {
    memory.remember(request.message.clone());
    Json(Received { received: request.message })
}

async fn list(State(memory): State<Memory>) -> Json<Messages> {
    Json(Messages { messages: memory.all() })
}

fn announce(listener: &TcpListener) -> anyhow::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "listening on http://{}", listener.local_addr()?)?;
    Ok(())
}

async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // No handler could be installed: the process then ends by the signal itself.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn started() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router()).await });
        url
    }

    #[tokio::test]
    async fn what_is_sent_comes_back_and_is_listed() {
        let url = started().await;
        assert_eq!(crate::client::send(&url, "one").await.unwrap(), "one");
        assert_eq!(crate::client::send(&url, "two").await.unwrap(), "two");
        assert_eq!(crate::client::list(&url).await.unwrap(), ["one", "two"]);
    }

    #[test]
    fn the_oldest_message_is_forgotten_first() {
        let memory = Memory::default();
        for number in 0..=REMEMBERED_MESSAGES {
            memory.remember(number.into());
        }
        assert_eq!(memory.all().len(), REMEMBERED_MESSAGES);
        assert_eq!(memory.all()[0], 1);
    }
}
