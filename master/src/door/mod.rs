//! Appends over NATS: the service `replog-<log>`, with the JSON of `POST /messages` in both directions.
//!
//! The door is open while this node leads, and no longer: a request goes to every open door. What keeps the promises is
//! behind it, in the node, which does not know by which way an append came.
//!
//! | file | holds |
//! | --- | --- |
//! | `serve` | one request, from its payload to its answer |
//! | `limits` | every size and time, with its reason |

mod limits;
mod serve;

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use replog_host::bus::{Answer, Asker, NatsService, NatsSetupError, Request, ServiceTerms};
use replog_shared::{Incarnation, store::Reader, subjects::Subjects};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{
    limits::LAST_ANSWERS,
    serve::{Server, answer_of, unless_it_panics},
};
use crate::{
    config::Config,
    node::{Handle, Readiness},
    nodes::Nodes,
};

/// The door of one master.
pub(crate) struct Door<R> {
    service: NatsService,
    subject: String,
    server: Server<R>,
    readiness: watch::Receiver<Readiness>,
    is_open: bool,
    /// The requests that wait for their answers. They outlive a door that closes.
    in_work: FuturesUnordered<BoxFuture<'static, (Asker, Answer)>>,
}

impl<R: Reader> Door<R> {
    /// A door that is closed still. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The options for NATS are wrong.
    pub(crate) async fn new(
        config: &Config,
        nodes: Nodes,
        node: Handle<R>,
    ) -> Result<Door<R>, NatsSetupError> {
        let mut options = config.nats.clone();
        options.name.push_str(" appends");
        let (terms, readiness) = (terms(config), node.readiness.clone());
        Ok(Door {
            subject: terms.subject.clone(),
            service: NatsService::connect(options, terms).await?,
            server: Server::new(node, nodes, config.edge.limits.max_body_bytes),
            readiness,
            is_open: false,
            in_work: FuturesUnordered::new(),
        })
    }

    /// What NATS denies of what this door needs; none if nothing.
    pub(crate) fn denied(&self) -> watch::Receiver<Option<String>> {
        self.service.denied()
    }

    /// Serves until `stop`, then answers who waits.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            self.open_or_close().await;
            tokio::select! {
                request = self.service.next() => self.take(request).await,
                Some((asker, answer)) = self.in_work.next() => self.service.answer(asker, answer),
                Ok(()) = self.readiness.changed() => {}
                () = stop.cancelled() => break,
            }
        }
        self.close().await;
        // Whoever hears nothing asks again with the same id, as after any silence.
        let _some_hear_nothing = timeout(LAST_ANSWERS, self.answer_all()).await;
        self.service.flush().await;
    }

    async fn open_or_close(&mut self) {
        let Readiness { leading, has_epoch, other_log, .. } = *self.readiness.borrow_and_update();
        // A clean begins an epoch, whose mark takes a moment: that is no reason to close.
        let leads = if self.is_open { has_epoch } else { leading };
        let (subject, is_wanted) = (&self.subject, leads && !other_log);
        if is_wanted && !self.is_open {
            info!(subject, "takes appends over NATS");
            self.service.open().await;
        } else if !is_wanted && self.is_open {
            let why = if leads {
                "a master of another log of this name is heard"
            } else {
                "this node does not lead"
            };
            warn!(subject, why, "takes no appends over NATS any more");
            self.close().await;
        }
        self.is_open = is_wanted;
    }

    /// Whoever was on the way in is served still.
    async fn close(&mut self) {
        for request in self.service.close().await {
            self.take(request).await;
        }
    }

    /// Gives a request to the node before the next one is looked at: so requests of one client get their orders as they
    /// were sent.
    async fn take(&mut self, request: Request) {
        let Request { asker, trace, body } = request;
        match unless_it_panics(self.server.start(body, trace)).await {
            Ok(waiting) => {
                let answer = async move { (asker, answer_of(unless_it_panics(waiting.end()).await)) };
                self.in_work.push(Box::pin(answer));
            }
            Err(problem) => self.service.answer(asker, answer_of(Err(problem))),
        }
    }

    async fn answer_all(&mut self) {
        while let Some((asker, answer)) = self.in_work.next().await {
            self.service.answer(asker, answer);
        }
    }
}

/// What this service tells of itself.
fn terms(config: &Config) -> ServiceTerms {
    let Config { log, name, .. } = config;
    ServiceTerms {
        name: format!("replog-{log}"),
        id: Incarnation::from_random(fastrand::u64(..)).to_string(),
        version: env!("CARGO_PKG_VERSION"),
        description: format!(
            "Appends to the replicated log {log}: the JSON of POST /messages in, its answer out."
        ),
        metadata: BTreeMap::from([("log", log.to_string()), ("node", name.to_string())]),
        endpoint: "append",
        subject: Subjects::new(log.clone()).append(),
    }
}
