//! One who follows a log, as a browser does.

use std::{fmt, pin::Pin, time::Duration};

use eventsource_stream::{Event, Eventsource as _};
use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    Client, Entry,
    wait::{LOOK_INTERVAL, SOON},
};

/// Longer than any test.
const TIMEOUT: Duration = Duration::from_secs(600);

/// An answer of `GET /tail` that still comes.
pub struct Follower {
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}

impl Follower {
    /// Follows the log of a node by this path; `last_event_id` is the id of the last event that was seen. None: the
    /// node cannot be reached or does not answer with 200.
    pub async fn of(client: &Client, path: &str, last_event_id: Option<&str>) -> Option<Follower> {
        let mut request = client.request(Method::GET, path).timeout(TIMEOUT);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        let events =
            answer.bytes_stream().eventsource().take_while(|event| std::future::ready(event.is_ok()));
        let events = events.filter_map(|event| std::future::ready(event.ok()));
        Some(Follower { events: Box::pin(events) })
    }

    /// As [`Follower::of`], as soon as the node answers.
    ///
    /// # Panics
    /// It does not answer within [`SOON`].
    pub async fn come_back(client: &Client, path: &str, last_event_id: Option<&str>) -> Follower {
        let trying = async {
            loop {
                if let Some(follower) = Follower::of(client, path, last_event_id).await {
                    return follower;
                }
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        tokio::time::timeout(SOON, trying).await.expect("the node can be followed soon")
    }

    /// The next event; none when the answer is over.
    ///
    /// # Panics
    /// Nothing comes for a while.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(SOON, self.events.next()).await.expect("an event or the end comes soon")
    }

    /// The entry of the next event.
    ///
    /// # Panics
    /// Another event or the end comes, or its id is not the epoch and the order of its entry.
    pub async fn entry(&mut self) -> Entry {
        let event = self.next().await.expect("an entry comes");
        let line: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let entry = Entry::deserialize(&line).unwrap_or_else(|_| panic!("{event:?} is no entry"));
        let id = format!("{}/{}", line["epoch"].as_str().unwrap_or_default(), entry.order);
        assert_eq!((event.id, event.event.as_str()), (id, "message"));
        entry
    }
}
