//! What only the master can do.

use ::http::{HeaderMap, header};
use axum::extract::{Request, State};
use bytes::Bytes;
use replog_host::edge::{Problem, json};
use replog_shared::{Applied, Code, store::Reader};
use serde::{Deserialize, de::IgnoredAny};

use super::Context;

/// 421: what empties the log, and who holds an entry, is the master's matter; it is named if it told where it is
/// reached.
pub(super) async fn to_master<R: Reader>(State(context): State<Context<R>>) -> Problem {
    refusal(&context)
}

/// 421 for an append. Whether an earlier request with its id is in the log only the master knows; without an id there
/// was none.
pub(super) async fn append_to_master<R: Reader>(
    State(context): State<Context<R>>,
    request: Request,
) -> Problem {
    let is_lines = names_lines(request.headers());
    let body = json::read(request.into_body()).await.unwrap_or_default();
    let applied = if has_no_id(&body, is_lines) { Applied::No } else { Applied::Unknown };
    refusal(&context).applied(applied)
}

fn refusal<R: Reader>(context: &Context<R>) -> Problem {
    let master = context.node.facts.borrow().master_http.clone();
    let place = master.as_deref().map_or_else(String::new, |url| format!(", at {url}"));
    let name = &context.name;
    let detail =
        format!("{name} is a secondary: it shows the log and nothing more. Send this to the master{place}.");
    let problem = Problem::new(Code::NotTheMaster, detail);
    match master {
        Some(url) => problem.with("master", url),
        None => problem,
    }
}

fn names_lines(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    given.is_some_and(|given| given.to_ascii_lowercase().contains("ndjson"))
}

/// One message, or a batch of them, as far as it matters here.
#[derive(Deserialize)]
struct Ids {
    id: Option<IgnoredAny>,
    #[serde(default)]
    messages: Vec<Ids>,
}

impl Ids {
    fn are_none(&self) -> bool {
        self.id.is_none() && self.messages.iter().all(Ids::are_none)
    }
}

/// Whether an append certainly gives no id: what cannot be read may give one.
fn has_no_id(body: &Bytes, is_lines: bool) -> bool {
    let has_none = |text: &[u8]| serde_json::from_slice(text).is_ok_and(|ids: Ids| ids.are_none());
    if is_lines {
        body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).all(has_none)
    } else {
        has_none(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_certainly_has_no_id_has_none() {
        let none = |body: &'static str, is_lines| has_no_id(&Bytes::from_static(body.as_bytes()), is_lines);
        assert!(none(r#"{"message": {"id": 1}, "w": 2}"#, false));
        assert!(none(r#"{"messages": [{"message": 1}, {"message": 2}]}"#, false));
        assert!(none("{\"message\": 1}\n\n{\"message\": 2}\n", true));
        assert!(!none(r#"{"message": 1, "id": "a"}"#, false));
        assert!(!none(r#"{"messages": [{"message": 1}, {"message": 2, "id": "a"}]}"#, false));
        assert!(!none("{\"message\": 1}\n{\"message\": 2, \"id\": \"a\"}\n", true));
        assert!(!none("{", false));
    }
}
