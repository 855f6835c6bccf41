//! Problem documents (RFC 9457): the one shape of every refusal.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use replog_shared::{Applied, Code};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Members that every problem has; they are set by their own methods.
const OWN_MEMBERS: [&str; 7] = ["type", "title", "status", "detail", "code", "applied", "retryable"];

/// A refusal: what went wrong, in words for a person and in a `code` for a program, and what to do.
///
/// Boxed, so that a `Result<T, Problem>` stays small on the path where nothing goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem(Box<Document>);

/// The code of a refusal, beside its answer: for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProblemCode(pub(super) Code);

#[derive(Clone, Debug, PartialEq)]
struct Document {
    status: StatusCode,
    code: Code,
    detail: String,
    applied: Applied,
    retryable: bool,
    /// Further members, in the order in which they were added; no name twice.
    members: Vec<(&'static str, Value)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A refusal that stored nothing ([`Applied::No`]); `detail` is a sentence that says what to do.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        // Every status of the list is one: a test holds that.
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self(Box::new(Document {
            status,
            code,
            detail: detail.into(),
            applied: Applied::No,
            retryable: code.is_retryable(),
            members: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// 400 for one field or query parameter, named in the member `field`.
    pub fn invalid_field(field: &str, detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidField, detail).with("field", field)
    }

    /// 500: this node has a defect, and whether what was asked for took effect is not known.
    pub fn internal_error() -> Self {
        let detail = "This node failed at the request: a bug of ours. Its log says more.";
        Self::new(Code::InternalError, detail).applied(Applied::Unknown)
    }

    /// 503: this node stops, and what was asked for changes nothing.
    pub fn stopping() -> Self {
        let detail = "This node is stopping. Ask another one, or this one when it is back.";
        Self::new(Code::Stopping, detail).retry_after(Duration::from_secs(1))
    }

    /// Gives it the status with which a framework has refused, for want of a code of our own.
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// Says whether the request took effect all the same.
    #[must_use]
    pub fn applied(mut self, applied: Applied) -> Self {
        self.0.applied = applied;
        self
    }

    /// Says that the same request may succeed later, although others with this code may not.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    /// Says that there is no point in sending the same request again, although others with this code may succeed
    /// later.
    #[must_use]
    pub fn not_retryable(mut self) -> Self {
        self.0.retryable = false;
        self
    }

    /// Retryable, not before `delay` has passed: header `Retry-After`, in whole seconds, at least one.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        self.retryable().header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Adds a member (`order`, `field`, `allowed`, `limit`, `master`, …), or replaces the one of that name.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        debug_assert!(!OWN_MEMBERS.contains(&name), "{name} has its own method");
        self.0.members.retain(|(present, _)| *present != name);
        self.0.members.push((name, value.into()));
        self
    }

    /// Adds the member `allowed` to the refusal of a field's value, unless it says so already: `of` knows what is
    /// allowed, by the field's own name, such as `w` or, for `messages[3].id`, `id`.
    #[must_use]
    pub fn allowing(self, of: impl FnOnce(&str) -> Option<String>) -> Self {
        let own_name = self.field().map(|field| field.rsplit('.').next().unwrap_or(field));
        match own_name.and_then(of) {
            Some(allowed) if self.member("allowed").is_none() => self.with("allowed", allowed),
            _ => self,
        }
    }

    /// Says in which line of the body the mistake is, counted from 1.
    #[must_use]
    pub fn at_line(self, line: usize) -> Self {
        let detail = format!("Line {line}: {}", self.0.detail);
        self.detail(detail).with("line", line)
    }

    /// Adds a header to the answer (`Allow`, `Location`, …), or replaces the one of that name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.retain(|(present, _)| *present != name);
        self.0.headers.push((name, value));
        self
    }

    /// Replaces the detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code for programs.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Whether the request took effect all the same.
    pub fn has_applied(&self) -> Applied {
        self.0.applied
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// A member added by [`Problem::with`].
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.members.iter().find(|(present, _)| *present == name).map(|(_, value)| value)
    }

    /// The field or parameter that is to blame, if it is one.
    pub fn field(&self) -> Option<&str> {
        self.member("field").and_then(Value::as_str)
    }

    /// The value of a header that was added by [`Problem::header`] or [`Problem::retry_after`].
    pub fn header_value(&self, name: &HeaderName) -> Option<&str> {
        let found = self.0.headers.iter().find(|(present, _)| present == name);
        found.and_then(|(_, value)| value.to_str().ok())
    }

    /// The whole answer as bytes, for a connection that has no HTTP machinery (yet, or any more).
    pub(super) fn to_http1(&self) -> Vec<u8> {
        let body = self.body();
        let mut answer = format!(
            "HTTP/1.1 {}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n",
            self.status(),
            body.len()
        )
        .into_bytes();
        for (name, value) in &self.0.headers {
            answer.extend_from_slice(name.as_str().as_bytes());
            answer.extend_from_slice(b": ");
            answer.extend_from_slice(value.as_bytes());
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"\r\n");
        answer.extend_from_slice(&body);
        answer
    }

    /// The document as JSON, a line feed at its end: people read it in a terminal.
    pub fn body(&self) -> Vec<u8> {
        // Strings, numbers and string keys only: there is nothing that could fail.
        let mut body = serde_json::to_vec(self).unwrap_or_default();
        body.push(b'\n');
        body
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let document = &*self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "about:blank")?;
        map.serialize_entry("title", self.status().canonical_reason().unwrap_or("Error"))?;
        map.serialize_entry("status", &document.status.as_u16())?;
        map.serialize_entry("detail", &document.detail)?;
        map.serialize_entry("code", &document.code)?;
        map.serialize_entry("applied", &document.applied)?;
        map.serialize_entry("retryable", &document.retryable)?;
        for (name, value) in &document.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let mut response = Response::new(self.body().into());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.extend(std::mem::take(&mut self.0.headers));
        response.extensions_mut().insert(ProblemCode(self.0.code));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_carries_what_programs_need() {
        let problem = Problem::new(Code::Unconfirmed, "It lives on.")
            .applied(Applied::Yes)
            .with("order", 6)
            .with("order", 7)
            .retry_after(Duration::from_millis(1_500));
        let expected = serde_json::json!({
            "type": "about:blank", "title": "Gateway Timeout", "status": 504, "detail": "It lives on.",
            "code": "unconfirmed", "applied": true, "retryable": true, "order": 7,
        });
        assert_eq!(serde_json::to_value(&problem).unwrap(), expected);

        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn nothing_applied_is_the_default() {
        let document = serde_json::to_value(Problem::invalid_field("w", "No.")).unwrap();
        assert_eq!((&document["applied"], &document["field"]), (&Value::Bool(false), &Value::from("w")));
    }

    #[test]
    fn every_code_has_a_status_of_a_refusal_and_says_whether_it_may_pass() {
        for code in Code::ALL {
            let document = serde_json::to_value(Problem::new(*code, "So it is.")).unwrap();
            assert!((400..600).contains(&code.status()), "{code}");
            assert_eq!(document["status"], code.status());
            assert_eq!(document["retryable"], code.is_retryable());
            assert_ne!(document["title"], "Error", "{code}");
        }
    }

    #[test]
    fn retry_after_is_never_zero() {
        let problem = Problem::new(Code::Overloaded, "Later.");
        let response = problem.retry_after(Duration::ZERO).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
