//! Fuzz targets: one for each reader of bytes from outside, and for the recovery of a log.
//!
//! A target is a plain function over bytes that panics when a property does not hold. `cargo xtask fuzz` lets libFuzzer
//! look for such bytes; the test `corpus` replays what it found worth keeping, and past findings, in every run of the
//! tests. Adding one: a function in `targets`, a line in [`TARGETS`], a folder of inputs in `corpus`.
#![expect(clippy::unwrap_used, reason = "a target tells what it found by panicking")]

mod envelopes;
mod script;
mod targets;

use targets::{cores, disk, edge, shared};

/// What is fed with arbitrary bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in `corpus`.
    pub name: &'static str,
    /// Panics if these bytes break a property.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "accept", run: edge::negotiation::accept },
    Target { name: "append", run: edge::bodies::append },
    Target { name: "batch", run: edge::bodies::batch },
    Target { name: "batch_lines", run: edge::bodies::batch_lines },
    Target { name: "damaged_log", run: disk::damaged_log::run },
    Target { name: "frames", run: disk::frames::run },
    Target { name: "http", run: edge::http::run },
    Target { name: "lines", run: shared::lines::run },
    Target { name: "master_core", run: cores::master::run },
    Target { name: "members", run: edge::members::run },
    Target { name: "nats_url", run: edge::nats::url },
    Target { name: "node_file", run: disk::node_file::run },
    Target { name: "outline", run: shared::outline::run },
    Target { name: "query", run: edge::query::run },
    Target { name: "secondary_core", run: cores::secondary::run },
    Target { name: "segments", run: disk::segments::run },
    Target { name: "subjects", run: edge::nats::subjects },
    Target { name: "tokens", run: edge::tokens::run },
    Target { name: "wire", run: shared::wire::run },
    Target { name: "words", run: shared::words::run },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
