//! The words of NATS services: [ADR-32](https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-32.md)
//! of NATS. Who looks for services asks on `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`: all of them, those of one name, or
//! one instance.

use std::{collections::BTreeMap, num::NonZeroU8, time::SystemTime};

use bytes::Bytes;
use serde::Serialize;
use time::{
    OffsetDateTime,
    format_description::well_known::{
        Iso8601,
        iso8601::{Config, EncodedConfig, TimePrecision},
    },
};

use super::{Figures, ServiceTerms};

const PREFIX: &str = "$SRV";

/// RFC 3339, always with six digits of a second: nats-py reads neither more nor none.
const MICROSECONDS: EncodedConfig =
    Config::DEFAULT.set_time_precision(TimePrecision::Second { decimal_digits: NonZeroU8::new(6) }).encode();

/// What may be asked of a service about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Question {
    /// Is it there?
    Ping,
    /// What does it serve?
    Info,
    /// What has it counted?
    Stats,
}

impl Question {
    const ALL: [(&str, Question); 3] =
        [("PING", Question::Ping), ("INFO", Question::Info), ("STATS", Question::Stats)];

    /// What is asked on this subject, one of [`question_subjects`].
    pub(in super::super) fn of_subject(subject: &str) -> Option<Question> {
        let verb = subject.split('.').nth(1)?;
        Question::ALL.into_iter().find(|(word, _)| *word == verb).map(|(_, question)| question)
    }
}

/// Where questions arrive. No wildcards: they would hide from who asks for another service that nobody is there.
pub(in super::super) fn question_subjects(terms: &ServiceTerms) -> Vec<String> {
    let ServiceTerms { name, id, .. } = terms;
    let of = |(verb, _)| {
        [
            format!("{PREFIX}.{verb}"),
            format!("{PREFIX}.{verb}.{name}"),
            format!("{PREFIX}.{verb}.{name}.{id}"),
        ]
    };
    Question::ALL.into_iter().flat_map(of).collect()
}

/// The answer to a question.
pub(in super::super) fn words(
    question: Question,
    terms: &ServiceTerms,
    figures: &Figures,
    started: SystemTime,
) -> Bytes {
    let (kind, about) = match question {
        Question::Ping => ("io.nats.micro.v1.ping_response", About::Ping {}),
        Question::Info => ("io.nats.micro.v1.info_response", About::info(terms)),
        Question::Stats => ("io.nats.micro.v1.stats_response", About::stats(terms, figures, started)),
    };
    let ServiceTerms { name, id, version, metadata, .. } = terms;
    let answer = Words { kind, name, id, version, metadata, about };
    // Strings, numbers and string keys only: there is nothing that could fail.
    serde_json::to_vec(&answer).unwrap_or_default().into()
}

#[derive(Serialize)]
struct Words<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    id: &'a str,
    version: &'a str,
    metadata: &'a BTreeMap<&'static str, String>,
    #[serde(flatten)]
    about: About<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum About<'a> {
    Ping {},
    Info { description: &'a str, endpoints: [EndpointInfo<'a>; 1] },
    Stats { started: String, endpoints: [EndpointStats<'a>; 1] },
}

#[derive(Serialize)]
struct EndpointInfo<'a> {
    name: &'a str,
    subject: &'a str,
    /// Empty: none.
    queue_group: &'static str,
    metadata: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct EndpointStats<'a> {
    name: &'a str,
    subject: &'a str,
    /// Empty: none.
    queue_group: &'static str,
    num_requests: u64,
    num_errors: u64,
    last_error: &'a str,
    /// In nanoseconds, as the next one.
    processing_time: u64,
    average_processing_time: u64,
    data: EndpointData,
}

/// What NATS leaves to each service. nats-py reads no answer without.
#[derive(Serialize)]
struct EndpointData {
    /// Requests without a subject to answer to.
    ignored: u64,
}

impl<'a> About<'a> {
    fn info(terms: &'a ServiceTerms) -> About<'a> {
        let ServiceTerms { description, endpoint: name, subject, .. } = terms;
        let endpoint = EndpointInfo { name, subject, queue_group: "", metadata: BTreeMap::new() };
        About::Info { description, endpoints: [endpoint] }
    }

    fn stats(terms: &'a ServiceTerms, figures: &'a Figures, started: SystemTime) -> About<'a> {
        let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let endpoint = EndpointStats {
            name: terms.endpoint,
            subject: &terms.subject,
            queue_group: "",
            num_requests: figures.requests,
            num_errors: figures.errors,
            last_error: &figures.last_error,
            processing_time: nanoseconds(figures.processing),
            average_processing_time: nanoseconds(figures.average()),
            data: EndpointData { ignored: figures.ignored },
        };
        // Fails for years above 9999 only.
        let started = OffsetDateTime::from(started).format(&Iso8601::<MICROSECONDS>).unwrap_or_default();
        About::Stats { started, endpoints: [endpoint] }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use replog_shared::Code;
    use serde_json::{Value, json};

    use super::*;

    fn terms() -> ServiceTerms {
        ServiceTerms {
            name: "replog-main".to_owned(),
            id: "7f".to_owned(),
            version: "1.2.3",
            description: "Appends.".to_owned(),
            metadata: BTreeMap::from([("log", "main".to_owned())]),
            endpoint: "append",
            subject: "replog.main.append".to_owned(),
        }
    }

    fn answer(question: Question, figures: &Figures) -> Value {
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        serde_json::from_slice(&words(question, &terms(), figures, started)).unwrap()
    }

    #[test]
    fn each_question_is_answered_as_nats_specifies_it() {
        let common =
            json!({"name": "replog-main", "id": "7f", "version": "1.2.3", "metadata": {"log": "main"}});
        let with = |kind: &str, more: Value| {
            let mut all = common.as_object().unwrap().clone();
            all.insert("type".to_owned(), kind.into());
            all.extend(more.as_object().unwrap().clone());
            Value::Object(all)
        };
        let none = Figures::default();
        assert_eq!(answer(Question::Ping, &none), with("io.nats.micro.v1.ping_response", json!({})));

        let endpoint = json!({
            "name": "append", "subject": "replog.main.append", "queue_group": "", "metadata": {},
        });
        let info = json!({"description": "Appends.", "endpoints": [endpoint]});
        assert_eq!(answer(Question::Info, &none), with("io.nats.micro.v1.info_response", info));

        let mut figures = Figures::default();
        figures.on_answered(Duration::from_nanos(7), None);
        figures.on_answered(Duration::from_nanos(3), Some(Code::Conflict));
        let endpoint = json!({
            "name": "append", "subject": "replog.main.append", "queue_group": "", "num_requests": 2,
            "num_errors": 1, "last_error": "409:conflict", "processing_time": 10, "average_processing_time": 5,
            "data": {"ignored": 0},
        });
        let stats = json!({"started": "1970-01-02T00:00:00.000000Z", "endpoints": [endpoint]});
        assert_eq!(answer(Question::Stats, &figures), with("io.nats.micro.v1.stats_response", stats));
    }

    #[test]
    fn a_question_is_known_by_its_subject() {
        let subjects = question_subjects(&terms());
        assert_eq!(subjects.len(), 9);
        for subject in ["$SRV.PING", "$SRV.INFO.replog-main", "$SRV.STATS.replog-main.7f"] {
            assert!(subjects.iter().any(|known| known == subject), "{subject}");
        }
        assert_eq!(Question::of_subject("$SRV.STATS.replog-main"), Some(Question::Stats));
        assert_eq!(Question::of_subject("$SRV.SCHEMA"), None);
        assert_eq!(Question::of_subject("$SRV"), None);
    }
}
