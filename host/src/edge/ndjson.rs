//! Bodies in of one JSON value a line.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use super::{
    Problem,
    json::{self, JsonBody},
};

/// The media type of such a body.
pub(crate) const MEDIA_TYPE: &str = "application/x-ndjson";

/// A request's body, read whole: one JSON document, or one a line, as its `Content-Type` says.
///
/// Refuses what [`JsonBody`] refuses.
#[derive(Clone, Debug)]
pub enum JsonOrLines {
    /// `application/json`
    Json(JsonBody),
    /// `application/x-ndjson`
    Lines(LinesBody),
}

/// A body of lines, each a JSON document that is not parsed yet.
#[derive(Clone, Debug)]
pub struct LinesBody(Bytes);

impl From<Bytes> for LinesBody {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl LinesBody {
    /// The lines with their numbers, counted from 1. Blank ones are passed over.
    pub fn lines(&self) -> impl Iterator<Item = (usize, JsonBody)> {
        let lines = self.0.split(|byte| *byte == b'\n').enumerate();
        let filled = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
        filled.map(|(nth, line)| (nth + 1, JsonBody::from(self.0.slice_ref(line))))
    }
}

impl<S: Sync> FromRequest<S> for JsonOrLines {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if is_lines(request.headers()) {
            return Ok(Self::Lines(LinesBody(json::read(request.into_body()).await?)));
        }
        let body = <JsonBody as FromRequest<S>>::from_request(request, state).await;
        body.map(Self::Json).map_err(|problem| match problem.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                problem.with("allowed", format!("application/json, or {MEDIA_TYPE} with one message a line"))
            }
            _ => problem,
        })
    }
}

fn is_lines(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.and_then(|given| given.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_whatever_is_blank() {
        let body = LinesBody(Bytes::from_static(b"1\r\n\n  \n{\"a\":\"\\n\"}\n"));
        let lines: Vec<_> = body.lines().map(|(number, line)| (number, line.bytes().clone())).collect();
        assert_eq!(lines, [(1, Bytes::from_static(b"1\r")), (4, Bytes::from_static(b"{\"a\":\"\\n\"}"))]);
    }
}
