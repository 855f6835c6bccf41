//! JetStream streams that answer on the subjects of this log.
//!
//! A stream stores what is sent to its subjects, and answers each request there: `{"stream":"ALL","seq":7}`. Over
//! `replog.<log>.append` a client takes that for the node's answer, whatever became of the append.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::Deserialize;
use serde_json::json;
use tracing::warn;

use super::super::limits::{
    ANSWERS_OF_A_STREAM, MAX_STREAM_ANSWER_BYTES, MAX_STREAMS, STREAM_FORGOTTEN_AFTER,
    STREAMS_ASKED_AGAIN_AFTER,
};
use super::super::{Incoming, Outgoing};

/// Where JetStream says which streams there are.
const LIST: &str = "$JS.API.STREAM.LIST";

/// The streams that answer on this log's subjects, by what JetStream lists and by what was seen.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// The subjects that are looked after; none: JetStream is not asked.
    subjects: Option<String>,
    /// Where JetStream's answers arrive.
    reply: String,
    asked: Option<Instant>,
    /// This node may not ask.
    is_denied: bool,
    listed: BTreeSet<String>,
    seen: BTreeMap<String, Seen>,
    told: BTreeSet<String>,
}

/// The answers of one stream.
#[derive(Debug)]
struct Seen {
    sequence: u64,
    /// How many came with a higher number than the one before. Anybody can write one such packet.
    answers: u32,
    at: Instant,
}

#[derive(Deserialize)]
struct StreamAnswer {
    stream: String,
    seq: u64,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    name: String,
    #[serde(default)]
    no_ack: bool,
}

impl Streams {
    /// Nobody looks after any subject yet. JetStream's answers arrive below this inbox.
    pub(super) fn new(inbox: &str) -> Streams {
        Streams { reply: format!("{inbox}.streams"), ..Streams::default() }
    }

    /// JetStream is asked for streams over these subjects from now on.
    pub(super) fn look_after(&mut self, subjects: String) {
        self.subjects = Some(subjects);
    }

    /// Another server may allow what one denied, and tell of others.
    pub(super) fn on_up(&mut self) {
        (self.asked, self.is_denied) = (None, false);
    }

    /// The server denied something. True if that was only this question, which a node can do without.
    pub(super) fn on_denied(&mut self, what: &str) -> bool {
        let is_this = what.contains(LIST);
        self.is_denied |= is_this;
        is_this
    }

    /// The question, when it is time to ask.
    pub(super) fn question(&mut self, now: Instant) -> Option<Outgoing> {
        let subjects = self.subjects.as_ref().filter(|_| !self.is_denied)?;
        if self.asked.is_some_and(|asked| now.duration_since(asked) < STREAMS_ASKED_AGAIN_AFTER) {
            return None;
        }
        self.asked = Some(now);
        let payload = json!({"subject": subjects}).to_string().into();
        Some(Outgoing { subject: LIST.to_owned(), reply: Some(self.reply.clone()), payload })
    }

    /// Whether JetStream's answers arrive on this subject.
    pub(super) fn is_answer(&self, subject: &str) -> bool {
        subject == self.reply
    }

    /// JetStream's answer. An empty one, by the server: there is no JetStream.
    pub(super) fn on_answer(&mut self, payload: &[u8]) {
        let listed =
            serde_json::from_slice::<Listed>(payload).map_or_else(|_| Vec::new(), |listed| listed.streams);
        let answering = listed.into_iter().filter(|stream| !stream.config.no_ack).take(MAX_STREAMS);
        self.listed = answering.map(|stream| stream.config.name).collect();
        self.tell();
    }

    /// A packet that no node wrote: was it a stream?
    pub(super) fn on_refused(&mut self, packet: &Incoming, now: Instant) {
        if packet.payload.len() > MAX_STREAM_ANSWER_BYTES {
            return;
        }
        let Ok(StreamAnswer { stream, seq }) = serde_json::from_slice(&packet.payload) else { return };
        self.forget(now);
        if self.seen.len() >= MAX_STREAMS && !self.seen.contains_key(&stream) {
            return;
        }
        let seen = self.seen.entry(stream).or_insert(Seen { sequence: 0, answers: 0, at: now });
        if seq > seen.sequence {
            *seen = Seen { sequence: seq, answers: seen.answers + 1, at: now };
        }
        self.tell();
    }

    /// Streams of which nothing was seen for a while may be gone.
    pub(super) fn forget(&mut self, now: Instant) {
        self.seen.retain(|_, seen| now.duration_since(seen.at) < STREAM_FORGOTTEN_AFTER);
    }

    /// Their names.
    pub(super) fn names(&self) -> Vec<String> {
        let seen = self.seen.iter().filter(|(_, seen)| seen.answers >= ANSWERS_OF_A_STREAM);
        let names: BTreeSet<&String> = self.listed.iter().chain(seen.map(|(name, _)| name)).collect();
        names.into_iter().cloned().collect()
    }

    fn tell(&mut self) {
        for stream in self.names() {
            if self.told.len() < MAX_STREAMS && !self.told.contains(&stream) {
                warn!(
                    stream,
                    "a JetStream stream answers on the subjects of this log: clients that append over NATS take its answer for the node's. Narrow its subjects so that they do not cover this log's, or create it with no_ack"
                );
                self.told.insert(stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn answer(text: &str) -> Incoming {
        let payload = Bytes::from(text.to_owned());
        Incoming { subject: "replog.main.acks.a".to_owned(), reply: None, payload, status: None }
    }

    #[test]
    fn jetstream_is_asked_again_and_again_unless_it_is_denied() {
        let start = Instant::now();
        let mut streams = Streams::new("inbox.a");
        assert_eq!(streams.question(start), None, "nobody looks after a subject");
        streams.look_after("replog.main.>".to_owned());
        let question = streams.question(start).expect("a question");
        assert_eq!(question.payload, r#"{"subject":"replog.main.>"}"#);
        assert_eq!(question.reply.as_deref(), Some("inbox.a.streams"));
        assert_eq!(streams.question(start), None);
        let later = start + STREAMS_ASKED_AGAIN_AFTER;
        assert!(streams.question(later).is_some());
        assert!(!streams.on_denied(r#"Permissions Violation for Publish to "a""#));
        assert!(streams.on_denied(r#"Permissions Violation for Publish to "$JS.API.STREAM.LIST""#));
        assert_eq!(streams.question(later + STREAMS_ASKED_AGAIN_AFTER), None);
        streams.on_up();
        assert!(streams.question(later).is_some());
    }

    #[test]
    fn a_stream_that_is_listed_and_answers_is_named_until_it_is_gone() {
        let mut streams = Streams::new("inbox.a");
        streams.on_answer(br#"{"total":2,"streams":[{"config":{"name":"ALL","subjects":["replog.>"]}},{"config":{"name":"QUIET","no_ack":true}}]}"#);
        assert_eq!(streams.names(), ["ALL"]);
        streams.on_answer(b"");
        assert_eq!(streams.names(), [""; 0]);
    }

    #[test]
    fn answers_that_count_up_are_a_streams_and_a_forged_one_is_not() {
        let start = Instant::now();
        let mut streams = Streams::new("inbox.a");
        for _ in 0..9 {
            streams.on_refused(&answer(r#"{"stream":"FORGED","seq":7,"domain":"hub"}"#), start);
        }
        for seq in 1..=ANSWERS_OF_A_STREAM {
            assert_eq!(streams.names(), [""; 0]);
            streams.on_refused(&answer(&format!(r#"{{"stream":"ALL","seq":{seq}}}"#)), start);
        }
        streams.on_refused(&answer("{}"), start);
        assert_eq!(streams.names(), ["ALL"]);
        streams.forget(start + STREAM_FORGOTTEN_AFTER);
        assert_eq!(streams.names(), [""; 0]);
    }
}
