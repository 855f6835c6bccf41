//! The routes of a secondary in words, for `/openapi.json`.

use replog_host::openapi::{Answer, Info, Operation, Schemas, Tag, chores};
use replog_shared::{Code, limits::MAX_SECONDARIES};
use serde_json::{Value, json};

use super::{console::Snapshot, faults::FaultsBody, health::Health};

const ABOUT: &str = "Holds a replica of the log and shows it. It takes no appends: those are the master's, and 421 says where \
    that is.\n\nRefusals are problem documents (RFC 9457). Unknown and repeated fields and query parameters are \
    refused, and orders count from 0.";

/// Any secondary: none of them takes a `w`.
pub(super) const INFO: Info = Info {
    title: "replog secondary",
    about: ABOUT,
    version: env!("CARGO_PKG_VERSION"),
    max_w: MAX_SECONDARIES as u16 + 1,
};

fn elsewhere(tag: Tag, id: &'static str) -> Operation {
    Operation::new(tag, id, "Refused: only the master does this")
        .about("Whatever is sent, the answer is 421, with the URL of the master in `master` if it told one.")
        .refuses(&[Code::NotTheMaster])
}

/// `POST /messages`.
pub(super) fn append(_: &mut Schemas) -> Operation {
    elsewhere(Tag::Writes, "append")
}

/// `POST /messages/batch`.
pub(super) fn append_batch(_: &mut Schemas) -> Operation {
    elsewhere(Tag::Writes, "appendBatch")
}

/// `GET /messages/{order}`.
pub(super) fn one(schemas: &mut Schemas) -> Operation {
    elsewhere(Tag::Writes, "readHeld").path_order(schemas).refuses(&[Code::NotFound])
}

/// `POST /clean`.
pub(super) fn clean(_: &mut Schemas) -> Operation {
    elsewhere(Tag::Operations, "clean")
}

fn faults(id: &'static str, summary: &'static str, schemas: &mut Schemas) -> Operation {
    let answer = Answer::new("The faults in force.").json(schemas.answer::<FaultsBody>(), some_faults());
    Operation::new(Tag::Operations, id, summary)
        .about("Only with `--allow-faults`. They hold for what comes from now on.")
        .answers(answer)
        .refuses(&[Code::FaultsNotAllowed, Code::Stopping])
}

fn some_faults() -> Value {
    json!({"delay_ms": 100, "error_rate": 0.0, "drop_rate": 0.25})
}

/// `GET /faults`.
pub(super) fn read_faults(schemas: &mut Schemas) -> Operation {
    faults("readFaults", "See which faults are injected", schemas)
}

/// `PUT /faults`.
pub(super) fn set_faults(schemas: &mut Schemas) -> Operation {
    faults("setFaults", "Inject other faults", schemas)
        .json(schemas.request_inline::<FaultsBody>(), some_faults())
}

fn health_example() -> Value {
    json!({
        "status": "ok", "role": "secondary", "node": "secondary1", "state": "streaming",
        "log_id": "6d5f7b0a-3c1e-4f7a-9d2b-8e4c1a2b3c4d", "epoch": "1.0", "epoch_owner": "master",
        "fence": {"epoch": "1.0", "owner": "master", "opened_by": "00000000000000ab"},
        "length": 4, "digest": "8715fe6ea205c38d", "durability": "disk", "lag": 0, "whole": true,
        "nats_connected": true, "master": {"hears": "master", "length": 4, "http": null}, "buffered_bytes": 0,
        "fetches_in_flight": 0,
        "counters": {
            "appended": 4, "duplicates": 0, "out_of_order": 0, "overflowed": 0, "stale": 0, "foreign": 0,
            "refused": 0, "digest_mismatches": 0, "joins": 1, "fetches": 1, "acks": 5, "error_acks": 0,
            "fault_drops": 0, "cut": 0, "damaged": 0,
        },
        "refused_envelopes": {},
    })
}

/// `GET /health`.
pub(super) fn health(schemas: &mut Schemas) -> Operation {
    let answer = Answer::new("How the node is: what is wrong stands in `status`.")
        .json(schemas.answer::<Health>(), health_example());
    Operation::new(Tag::Operations, "health", "See how the secondary is")
        .answers(answer)
        .refuses(&[Code::Stopping])
}

/// `GET /events`.
pub(super) fn events(schemas: &mut Schemas) -> Operation {
    let mut example = health_example();
    example["faults"] = some_faults();
    chores::events(schemas.answer::<Snapshot>(), example)
}
