//! A service over the bus: clients that are no nodes ask, and are answered.
//!
//! | file | holds |
//! | --- | --- |
//! | `micro` | the words of NATS services (`nats micro ls`, `info`, `stats`), as the `nats` CLI and client libraries read them |
//! | `figures` | what a service counts of its own requests |
//!
//! [`NatsService`](super::NatsService) serves one. It has a connection of its own: what clients send to it, be it too
//! much, too broken or too large, costs nothing that the nodes say to each other.

mod figures;
mod micro;

use std::collections::BTreeMap;

use bytes::Bytes;
use replog_shared::{Code, trace::TraceParent};

use super::nats::Asker;

pub(super) use figures::Figures;
pub(super) use micro::{Question, question_subjects, words};

/// What a service is, as it tells who looks for services.
#[derive(Clone, Debug)]
pub struct ServiceTerms {
    /// Its name; `[A-Za-z0-9_-]+`. Instances of one service have the same.
    pub name: String,
    /// Names this instance; one token of a subject.
    pub id: String,
    /// Its version, such as `1.2.3`.
    pub version: &'static str,
    /// What it does, in a sentence.
    pub description: String,
    /// Further facts about this instance.
    pub metadata: BTreeMap<&'static str, String>,
    /// Its one endpoint's name.
    pub endpoint: &'static str,
    /// The subject of that endpoint: requests arrive there.
    pub subject: String,
}

/// What a client asks.
#[derive(Debug)]
pub struct Request {
    /// Who waits for the answer.
    pub asker: Asker,
    /// The trace that it belongs to. None also if there are two, or it is none.
    pub trace: Option<TraceParent>,
    /// The payload.
    pub body: Bytes,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The payload.
    pub body: Bytes,
    /// What went wrong; none if nothing did.
    pub refusal: Option<Refusal>,
}

/// What headers say of a request that was not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `Nats-Service-Error`, and by its HTTP status `Nats-Service-Error-Code`.
    pub code: Code,
    /// `Retry-After`: the seconds after which the same request may be served; none: nothing is said.
    pub retry_after: Option<String>,
}
