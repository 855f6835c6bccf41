//! Answers that are too large to build up.

use std::pin::Pin;

use axum::{BoxError, body::Body};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;

/// The node stopped before the last page was read.
#[derive(Debug, thiserror::Error)]
#[error("the node stopped before the last page")]
struct Stopped;

/// The log was cut while it was answered. The node's log tells of the cut; the answer that breaks off is no news.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the log was cut while it was read")]
pub struct Overtaken;

/// Marks an answer, as an extension of it, whose end is the client's or the node's: it is given a piece at a time, the
/// next when the one before is out, and a stop does not wait for a client that takes nothing of it.
#[derive(Clone, Copy, Debug)]
pub struct Unending;

/// Pages as they are, one held at a time. An error, or `stop`, breaks the connection off as in [`json_array`]; empty
/// pages are skipped.
pub fn plain<S, E>(pages: S, stop: CancellationToken) -> Body
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    let pages = Pages { pages: Box::pin(pages), stop };
    Body::from_stream(stream::try_unfold(pages, |mut pages| async {
        Ok::<_, BoxError>(pages.next().await?.map(|page| (page, pages)))
    }))
}

/// A JSON array, page by page: `prefix` (such as `{"messages": [`), the pages with a comma between each
/// two, `suffix` (such as `]}`).
///
/// A page is one or more elements with commas between them; empty pages are skipped. One page is held at a
/// time, and the next is asked for when the client has taken it.
///
/// An error in `pages`, or `stop`, breaks the connection off: the client sees a body that lacks its end,
/// never a shorter array that looks complete. So cancel `stop` when pages can no longer be read, not at the
/// beginning of a graceful stop, which lets running answers finish.
pub fn json_array<S, E>(prefix: &'static str, suffix: &'static str, pages: S, stop: CancellationToken) -> Body
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    let held = Some(Bytes::from_static(prefix.as_bytes()));
    let pages = Pages { pages: Box::pin(pages), stop };
    let array = JsonArray { pages, suffix, held, begun: false };
    Body::from_stream(stream::try_unfold(Some(array), |array| async {
        match array {
            Some(array) => array.next().await.map(Some),
            None => Ok(None),
        }
    }))
}

struct Pages<S> {
    pages: Pin<Box<S>>,
    stop: CancellationToken,
}

impl<S, E> Pages<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    /// The next page that is not empty.
    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        loop {
            match self.stop.run_until_cancelled(self.pages.next()).await {
                None => return Err(Stopped.into()),
                Some(Some(Ok(page))) if page.is_empty() => {}
                Some(page) => return page.transpose().map_err(Into::into),
            }
        }
    }
}

struct JsonArray<S> {
    pages: Pages<S>,
    suffix: &'static str,
    /// What comes next, before another page is read.
    held: Option<Bytes>,
    /// A page has been given out: the next needs a comma.
    begun: bool,
}

impl<S, E> JsonArray<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    /// The next piece, and what follows it; nothing follows the suffix.
    async fn next(mut self) -> Result<(Bytes, Option<Self>), BoxError> {
        if let Some(held) = self.held.take() {
            return Ok((held, Some(self)));
        }
        match self.pages.next().await? {
            None => Ok((Bytes::from_static(self.suffix.as_bytes()), None)),
            Some(page) if self.begun => {
                self.held = Some(page);
                Ok((Bytes::from_static(b","), Some(self)))
            }
            Some(page) => {
                self.begun = true;
                Ok((page, Some(self)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    async fn text(pages: Vec<Result<Bytes, io::Error>>) -> Result<String, axum::Error> {
        let body = json_array(r#"{"m": ["#, "]}", stream::iter(pages), CancellationToken::new());
        let bytes = axum::body::to_bytes(body, usize::MAX).await?;
        Ok(String::from_utf8(bytes.into()).unwrap())
    }

    fn page(text: &'static str) -> Result<Bytes, io::Error> {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn commas_stand_between_pages_only() {
        assert_eq!(text(vec![]).await.unwrap(), r#"{"m": []}"#);
        assert_eq!(text(vec![page("1,2")]).await.unwrap(), r#"{"m": [1,2]}"#);
        let pages = vec![page(""), page("1"), page(""), page("2,3"), page("4"), page("")];
        assert_eq!(text(pages).await.unwrap(), r#"{"m": [1,2,3,4]}"#);
    }

    #[tokio::test]
    async fn an_error_is_not_an_end() {
        let pages = vec![page("1"), Err(io::Error::other("disk"))];
        assert!(text(pages).await.unwrap_err().to_string().contains("disk"));
    }

    #[tokio::test]
    async fn a_stop_is_not_an_end() {
        let stop = CancellationToken::new();
        let pages = stream::iter([page("1")]).chain(stream::pending());
        let mut body = json_array("[", "]", pages, stop.clone()).into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "[");
        assert_eq!(body.next().await.unwrap().unwrap(), "1");
        stop.cancel();
        assert!(body.next().await.unwrap().is_err());
    }
}
