//! A service over NATS, core publish and subscribe only.

use std::time::{Instant, SystemTime};

use async_nats::{Client, HeaderMap, HeaderValue, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{
    FutureExt as _, StreamExt,
    future::{OptionFuture, pending},
    stream::SelectAll,
};
use replog_shared::subjects;
use tokio::{sync::mpsc, task::unconstrained, time::timeout};
use tracing::{error, warn};

use super::super::{
    limits::{CLOSE_TIMEOUT, SERVICE_SEND_QUEUE_PACKETS},
    service::{Answer, Figures, Question, Refusal, Request, ServiceTerms, question_subjects, words},
};
use super::notices::{self, Denials, Notice, NoticeSender, Novelty};
use super::options::{NatsOptions, NatsSetupError};
use super::setup;

/// Who waits for an answer.
#[derive(Debug)]
pub struct Asker {
    reply: Subject,
    arrived: Instant,
}

/// One service and its connection. It reconnects for ever; dropping it closes the connection.
///
/// It is born closed: nobody finds it, and whoever asks is told by the server that nobody is there.
///
/// Requests go to no queue group: of a group one member is asked, and a member whose host is gone stays one for
/// minutes, until the server notices. Whoever must not answer has to be closed instead.
pub struct NatsService {
    client: Client,
    terms: ServiceTerms,
    started: SystemTime,
    /// None while it is closed.
    open: Option<Open>,
    figures: Figures,
    notices: mpsc::Receiver<Notice>,
    notice_sender: NoticeSender,
    denials: Denials,
    /// A request without a way back was logged: more are only counted.
    noted_ignored: bool,
    /// The last answer was dropped, and that was logged.
    drops_answers: bool,
}

struct Open {
    requests: Subscriber,
    questions: SelectAll<Subscriber>,
}

enum Arrived {
    Notice(Notice),
    Question(Message),
    Request(Message),
}

impl NatsService {
    /// Starts connecting and returns at once, whether or not a server is there. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// All that is wrong with the options, never that a server is not there.
    pub async fn connect(options: NatsOptions, terms: ServiceTerms) -> Result<NatsService, NatsSetupError> {
        let ready = options.check()?;
        let (notice_sender, notices) = notices::channel();
        let client = setup::with_our_limits(ready.options, &notice_sender, SERVICE_SEND_QUEUE_PACKETS)
            .name(options.name)
            .connect(ready.servers)
            .await
            .map_err(|error| NatsSetupError::one(error.to_string()))?;
        Ok(NatsService {
            client,
            terms,
            started: SystemTime::now(),
            open: None,
            figures: Figures::default(),
            notices,
            notice_sender,
            denials: Denials::default(),
            noted_ignored: false,
            drops_answers: false,
        })
    }

    /// Takes requests from now on, and can be found.
    pub async fn open(&mut self) {
        // First of all, so that whoever finds this service is heard by it.
        let requests = self.client.subscribe(self.terms.subject.clone()).await;
        let mut questions = SelectAll::new();
        for subject in question_subjects(&self.terms) {
            // Refused are subjects that cannot be sent, and ours are made of checked names.
            questions.extend(self.client.subscribe(subject).await);
        }
        self.open = requests.ok().map(|requests| Open { requests, questions });
    }

    /// Takes no requests any more, and gives those that were on their way, as far as the client library gives them out: the last
    /// few may be lost, as any packet. Takes at most [`CLOSE_TIMEOUT`].
    pub async fn close(&mut self) -> Vec<Request> {
        let Some(Open { mut requests, .. }) = self.open.take() else { return Vec::new() };
        let mut left = Vec::new();
        let drained = timeout(CLOSE_TIMEOUT, async {
            // Fails when the client has ended; then nothing comes.
            let _nothing_comes = requests.drain().await;
            while let Some(message) = requests.next().await {
                left.push(message);
            }
        });
        // Without a connection there is nothing on its way.
        let _not_connected = drained.await;
        left.into_iter().filter_map(|message| self.on_request(message)).collect()
    }

    /// The next request. Cancel safe: dropping the future loses nothing.
    ///
    /// It also answers who looks for services, and logs what the server refuses, so that it has to be awaited also while
    /// it is closed.
    pub async fn next(&mut self) -> Request {
        loop {
            let request = match self.arrived().await {
                Arrived::Notice(notice) => self.on_notice(notice),
                Arrived::Question(message) => self.on_question(message),
                Arrived::Request(message) => self.on_request(message),
            };
            if let Some(request) = request {
                return request;
            }
        }
    }

    async fn arrived(&mut self) -> Arrived {
        let (requests, questions) =
            self.open.as_mut().map(|open| (&mut open.requests, &mut open.questions)).unzip();
        let next_request: OptionFuture<_> = requests.map(StreamExt::next).into();
        let next_question: OptionFuture<_> = questions.map(StreamExt::next).into();
        tokio::select! {
            Some(Some(message)) = next_request => Arrived::Request(message),
            Some(Some(message)) = next_question => Arrived::Question(message),
            Some(notice) = self.notices.recv() => Arrived::Notice(notice),
            else => pending().await,
        }
    }

    fn on_notice(&mut self, notice: Notice) -> Option<Request> {
        match notice {
            Notice::Denied(what) => self.on_denied(&what),
            Notice::Overrun => {
                self.notice_sender.overrun_taken();
                warn!("requests over NATS were dropped because this node read too slowly");
            }
            // The node's own bus tells of the server.
            Notice::LinkChanged | Notice::Unreachable(_) => {}
        }
        None
    }

    fn on_denied(&mut self, what: &str) {
        if self.denials.on_denied(what, Instant::now()) != Novelty::First {
            return;
        }
        if what.contains("Subscription") {
            error!(nats.error = what, "NATS refuses what requests over NATS need");
        } else {
            warn!(
                nats.error = what,
                "NATS refuses an answer: its client listens where this node may not publish"
            );
        }
    }

    fn on_question(&mut self, message: Message) -> Option<Request> {
        let reply = message.reply.filter(|reply| subjects::is_of_a_client(reply))?;
        let question = Question::of_subject(&message.subject)?;
        let answer = words(question, &self.terms, &self.figures, self.started);
        self.publish(reply, HeaderMap::new(), answer);
        None
    }

    fn on_request(&mut self, message: Message) -> Option<Request> {
        let arrived = Instant::now();
        let Some(reply) = message.reply.filter(|reply| subjects::is_of_a_client(reply)) else {
            self.on_ignored();
            return None;
        };
        let trace = message.headers.as_ref().and_then(|headers| one_value(headers, "traceparent"));
        let trace = trace.and_then(|text| text.parse().ok());
        Some(Request { asker: Asker { reply, arrived }, trace, body: message.payload })
    }

    /// Whoever sends it would take silence for success.
    fn on_ignored(&mut self) {
        self.figures.on_ignored();
        if !std::mem::replace(&mut self.noted_ignored, true) {
            let subject = &self.terms.subject;
            warn!(
                subject,
                "ignored a request that names no subject of its own for the answer: send it with `nats req`, not `nats pub`; more are only counted"
            );
        }
    }

    /// Sends an answer; never blocks.
    pub fn answer(&mut self, asker: Asker, answer: Answer) {
        let Answer { body, refusal } = answer;
        self.figures.on_answered(asker.arrived.elapsed(), refusal.as_ref().map(|refusal| refusal.code));
        self.publish(asker.reply, refusal.map_or_else(HeaderMap::new, headers), body);
    }

    fn publish(&mut self, subject: Subject, headers: HeaderMap, payload: Bytes) {
        // Without `unconstrained` a task that has used up its turn would take a free queue for a full one.
        let sent = if headers.is_empty() {
            unconstrained(self.client.publish(subject, payload)).now_or_never()
        } else {
            unconstrained(self.client.publish_with_headers(subject, headers, payload)).now_or_never()
        };
        let is_dropped = !matches!(sent, Some(Ok(())));
        if is_dropped && !self.drops_answers {
            warn!("answers over NATS are dropped: NATS is away, or takes them too slowly");
        }
        self.drops_answers = is_dropped;
    }

    /// Waits until the answers are on their way. Takes at most [`CLOSE_TIMEOUT`].
    pub async fn flush(&self) {
        if !matches!(timeout(CLOSE_TIMEOUT, self.client.flush()).await, Ok(Ok(()))) {
            warn!("NATS did not take the last answers before the connection was closed");
        }
    }
}

/// The value of a header, in any case of its letters; none if it is there twice.
fn one_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let named = headers.iter().filter(|(given, _)| AsRef::<str>::as_ref(*given).eq_ignore_ascii_case(name));
    let mut values = named.flat_map(|(_, values)| values);
    let (first, second) = (values.next(), values.next());
    first.filter(|_| second.is_none()).map(|value| value.as_str())
}

fn headers(refusal: Refusal) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Service-Error", refusal.code.word());
    headers.insert("Nats-Service-Error-Code", refusal.code.status().to_string());
    if let Some(Ok(seconds)) = refusal.retry_after.map(|seconds| seconds.parse::<HeaderValue>()) {
        headers.insert("Retry-After", seconds);
    }
    headers
}
