//! A service over NATS, core publish and subscribe only.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use async_nats::{Client, HeaderMap, HeaderValue, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{
    FutureExt as _, StreamExt,
    future::{OptionFuture, pending},
    stream::SelectAll,
};
use replog_shared::subjects;
use tokio::{
    sync::{mpsc, watch},
    task::unconstrained,
    time::{Interval, timeout},
};
use tracing::{error, info, warn};

use super::super::{
    limits::{CLOSE_TIMEOUT, QUESTIONS_RENEWAL_MAX, RENEWAL_MAX, SERVICE_SEND_QUEUE_PACKETS},
    service::{Answer, Figures, Question, Refusal, Request, ServiceTerms, question_subjects, words},
};
use super::denials::{About, Denials, Novelty};
use super::dial::Dial;
use super::inbound::subscribe_now;
use super::notices::{self, Notice, NoticeSender};
use super::options::{NatsOptions, NatsSetupError};
use super::renewal::Renewal;
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
    answers_denied: Denials,
    denied: watch::Sender<Option<String>>,
    look: Interval,
    /// A request without a way back was logged: more are only counted.
    noted_ignored: bool,
    /// The last answer was dropped, and that was logged.
    drops_answers: bool,
}

struct Open {
    /// None: the client had no room for the command to subscribe again.
    requests: Option<Subscriber>,
    questions: SelectAll<Subscriber>,
    /// The subscriptions that the server denied, by their subjects.
    renewals: BTreeMap<String, Renewal>,
}

enum Arrived {
    Notice(Notice),
    /// It is time to look after what was denied.
    Tick,
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
        let dial = Dial::new(notice_sender.clone());
        let client_options =
            setup::with_our_limits(ready.options, &notice_sender, &dial, SERVICE_SEND_QUEUE_PACKETS);
        let client = client_options
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
            answers_denied: Denials::default(),
            denied: watch::Sender::default(),
            look: setup::look_interval(),
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
        self.open = requests.ok().map(|requests| Open {
            requests: Some(requests),
            questions,
            renewals: BTreeMap::new(),
        });
    }

    /// Takes no requests any more, and gives those that were on their way, as far as the client library gives them out: the last
    /// few may be lost, as any packet. Takes at most [`CLOSE_TIMEOUT`].
    pub async fn close(&mut self) -> Vec<Request> {
        let closed = self.open.take();
        self.denials = Denials::default();
        self.show_denied();
        let Some(Open { requests: Some(mut requests), .. }) = closed else { return Vec::new() };
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
                Arrived::Tick => self.on_tick(),
                Arrived::Question(message) => self.on_question(message),
                Arrived::Request(message) => self.on_request(message),
            };
            if let Some(request) = request {
                return request;
            }
        }
    }

    async fn arrived(&mut self) -> Arrived {
        let is_denied = self.open.as_ref().is_some_and(|open| !open.renewals.is_empty());
        let (requests, questions) =
            self.open.as_mut().map(|open| (open.requests.as_mut(), &mut open.questions)).unzip();
        let next_request: OptionFuture<_> = requests.flatten().map(StreamExt::next).into();
        let next_question: OptionFuture<_> = questions.map(StreamExt::next).into();
        tokio::select! {
            Some(Some(message)) = next_request => Arrived::Request(message),
            Some(Some(message)) = next_question => Arrived::Question(message),
            Some(notice) = self.notices.recv() => Arrived::Notice(notice),
            _ = self.look.tick(), if is_denied => Arrived::Tick,
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
            // The node's own bus tells of the server; all that matters here is that another connection begins anew.
            Notice::LinkChanged => self.on_link_changed(),
            Notice::Unreachable(_) | Notice::PayloadLimit(_) => {}
        }
        None
    }

    fn on_link_changed(&mut self) {
        self.denials = Denials::default();
        if let Some(open) = &mut self.open {
            open.renewals.clear();
        }
        self.show_denied();
    }

    /// Subscribes again to what was denied, where it is time.
    fn on_tick(&mut self) -> Option<Request> {
        let Some(open) = &mut self.open else { return None };
        let now = Instant::now();
        for subject in open.renew(&self.client, &self.terms.subject, now) {
            if self.denials.on_subscribed(&subject).is_some() {
                info!(subject, "NATS serves this subscription for requests over NATS again");
            }
        }
        self.show_denied();
        None
    }

    /// What NATS denies of what this service listens to; none if nothing.
    pub fn denied(&self) -> watch::Receiver<Option<String>> {
        self.denied.subscribe()
    }

    fn show_denied(&self) {
        let denied = self.denials.in_words();
        self.denied.send_if_modified(|shown| {
            *shown != denied && {
                *shown = denied;
                true
            }
        });
    }

    fn on_denied(&mut self, what: &str) {
        let now = Instant::now();
        let About::Subscription(subject) = About::of(what) else { return self.on_answer_denied(what, now) };
        let longest = if subject == self.terms.subject { RENEWAL_MAX } else { QUESTIONS_RENEWAL_MAX };
        if let Some(open) = &mut self.open {
            open.renewals.entry(subject).or_insert_with(|| Renewal::new(longest)).on_denied(now);
        }
        if self.denials.on_denied(what, now) == Novelty::First {
            error!(nats.error = what, "NATS refuses what requests over NATS need");
        }
        self.show_denied();
    }

    /// That is the client's mistake, and no fault of this node.
    fn on_answer_denied(&mut self, what: &str, now: Instant) {
        if self.answers_denied.on_denied(what, now) == Novelty::First {
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

impl Open {
    /// Makes denied subscriptions again where it is time. The subjects of those that are in place again.
    fn renew(&mut self, client: &Client, requests: &str, now: Instant) -> Vec<String> {
        let mut in_place = Vec::new();
        for (subject, renewal) in &mut self.renewals {
            if renewal.is_in_place(now) {
                in_place.push(subject.clone());
            } else if renewal.is_due(now) {
                let is_request = subject == requests;
                if is_request {
                    // First the old one goes: were the server to serve both, a request would be served twice.
                    self.requests = None;
                }
                let Some(subscriber) = subscribe_now(client, subject) else {
                    renewal.on_denied(now);
                    continue;
                };
                if is_request {
                    self.requests = Some(subscriber);
                } else {
                    self.questions.push(subscriber);
                }
            }
        }
        self.renewals.retain(|subject, _| !in_place.contains(subject));
        in_place
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
