//! What a node sends to one who follows.

use std::{future::ready, pin::Pin, time::Duration};

use eventsource_stream::{Event, Eventsource as _};
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

/// Silence after which a connection counts as lost: three of the node's signs of life.
const SILENCE: Duration = Duration::from_secs(45);

/// What comes, until the connection is lost.
pub(crate) type Feed = Pin<Box<dyn Stream<Item = News>>>;

/// One thing that a node says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The line of an entry.
    Entry(String),
    /// The log was cut.
    Cut,
}

/// What this answer brings.
pub(crate) fn of(body: Incoming) -> Feed {
    let pieces = stream::unfold(body, |mut body| async {
        let frame = timeout(SILENCE, body.frame()).await.ok()??.ok()?;
        let data = frame.into_data().unwrap_or_default();
        Some((Ok::<_, std::convert::Infallible>(data), body))
    });
    let events = pieces.eventsource().take_while(|event| ready(event.is_ok()));
    Box::pin(events.filter_map(|event| ready(event.ok().and_then(news))))
}

/// Events of other names are for those who know them.
fn news(event: Event) -> Option<News> {
    match event.event.as_str() {
        "message" => Some(News::Entry(event.data)),
        "cut" => Some(News::Cut),
        _ => None,
    }
}
