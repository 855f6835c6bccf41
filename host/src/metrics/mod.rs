//! `/metrics`: what a node tells of itself, in the text format of Prometheus.
//!
//! Nothing is global, since one process may run several nodes, and nothing is shared: a node's task counts in
//! plain numbers of its own, and gives a copy of them to whoever asks. Types of prometheus-client stop here.
//!
//! | file | holds |
//! | --- | --- |
//! | `exposition` | names, labels and numbers as text |
//! | `node` | what both kinds of node tell |
//! | `bus` | what has become of the connection and of what was sent over it |

mod bus;
mod exposition;
mod node;

use std::fmt;

use axum::{body::Body, response::Response};
use http::{HeaderValue, header};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_text},
    registry::Registry,
};

use crate::edge::Problem;
use replog_shared::Code;

pub use bus::BusFigures;
pub use exposition::Exposition;
pub use node::{Buffer, NodeFigures, NodeLabels};

/// The media type of the answer.
pub(crate) const MEDIA_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// A node's figures at one moment.
pub trait Figures: fmt::Debug + Send + Sync + 'static {
    /// Tells each of them.
    ///
    /// # Errors
    /// Only those of `out`.
    fn expose(&self, out: &mut Exposition<'_>) -> fmt::Result;
}

/// Shows figures to prometheus-client.
#[derive(Debug)]
struct Shown<F>(F);

impl<F: Figures> Collector for Shown<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.expose(&mut Exposition::new(encoder))
    }
}

/// The answer of `GET /metrics`.
///
/// # Errors
/// A defect: text that takes no more text.
pub fn answer(figures: impl Figures) -> Result<Response, Problem> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown(figures)));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).map_err(|_| unwritable())?;
    let mut response = Response::new(Body::from(text));
    let content_type = HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

fn unwritable() -> Problem {
    let detail = "The metrics could not be written: a bug of ours, please report it.";
    Problem::new(Code::InternalError, detail)
}
