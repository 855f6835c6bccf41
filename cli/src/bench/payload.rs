//! The request that a load repeats, as the bytes that are sent.

use crate::{node_url::NodeUrl, reach::Reach};

/// One whole HTTP request. It carries no message ids: the node makes them, so that repeating the same bytes
/// appends a new message each time.
pub(crate) struct Payload {
    bytes: Vec<u8>,
    body_bytes: usize,
}

impl Payload {
    /// An append of one message of `size` bytes.
    pub(crate) fn append(url: &NodeUrl, size: usize, w: Option<u16>) -> Self {
        let body = format!("{{{}{}}}", message(size), option("w", w));
        Self::post(url, "/messages", &body)
    }

    /// An append of `count` messages of `size` bytes each.
    pub(crate) fn batch(url: &NodeUrl, size: usize, w: Option<u16>, count: u32) -> Self {
        let member = format!("{{{}}}", message(size));
        let members = vec![member; count as usize].join(",");
        let body = format!(r#"{{"messages":[{members}]{}}}"#, option("w", w));
        Self::post(url, "/messages/batch", &body)
    }

    /// An echo of a message of `size` bytes.
    pub(crate) fn echo(url: &NodeUrl, size: usize) -> Self {
        Self::post(url, "/echo", &format!("{{{}}}", message(size)))
    }

    fn post(url: &NodeUrl, path: &str, body: &str) -> Self {
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            url.target(path),
            url.authority(),
            body.len()
        );
        Self { bytes: [head.as_bytes(), body.as_bytes()].concat(), body_bytes: body.len() }
    }

    /// The same, with the token that the node asks for.
    #[must_use]
    pub(crate) fn shown_by(mut self, reach: &Reach) -> Self {
        let end_of_line = self.bytes.windows(2).position(|bytes| bytes == b"\r\n");
        if let (Some(at), Some(value)) = (end_of_line, reach.authorization()) {
            let header = [b"\r\nauthorization: ", value.as_bytes()].concat();
            self.bytes.splice(at..at, header);
        }
        self
    }

    /// Head and body, ready to be written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of the body alone.
    pub(crate) fn body_bytes(&self) -> usize {
        self.body_bytes
    }
}

fn message(size: usize) -> String {
    format!(r#""message":"{}""#, "x".repeat(size))
}

fn option(name: &str, value: Option<u16>) -> String {
    value.map(|value| format!(r#","{name}":{value}"#)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(payload: &Payload) -> &str {
        std::str::from_utf8(payload.bytes()).unwrap()
    }

    #[test]
    fn an_append_is_one_whole_request() {
        let payload = Payload::append(&"http://a:1".parse().unwrap(), 3, Some(2));
        let expected = "POST /messages HTTP/1.1\r\nhost: a:1\r\ncontent-type: application/json\r\n\
             content-length: 23\r\n\r\n{\"message\":\"xxx\",\"w\":2}";
        assert_eq!(text(&payload), expected);
        assert_eq!(payload.body_bytes(), 23);
    }

    #[test]
    fn a_batch_repeats_the_message() {
        let payload = Payload::batch(&"a:1".parse().unwrap(), 1, None, 2);
        assert!(text(&payload).starts_with("POST /messages/batch "));
        assert!(text(&payload).ends_with(r#"{"messages":[{"message":"x"},{"message":"x"}]}"#));
    }
}
