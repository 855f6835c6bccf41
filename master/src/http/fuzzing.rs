//! Doors for the fuzz targets: what clients send, read without a node.

use http::Uri;
use replog_host::edge::{Problem, json::JsonBody, ndjson::LinesBody, query};
use replog_shared::Order;

use super::batches;
use crate::requests;
use replog_core::master::events::Append;

/// The body of `POST /messages`, on a master of so many nodes.
///
/// # Errors
/// It is refused.
pub fn append(body: &JsonBody, nodes: u16) -> Result<Append, Problem> {
    requests::append(body, nodes).map(|request| request.append)
}

/// The body of `POST /clean`.
///
/// # Errors
/// It is refused.
pub fn clean(body: &JsonBody, nodes: u16) -> Result<Append, Problem> {
    requests::clean(Some(body), nodes).map(|request| request.append)
}

/// The body of `POST /messages/batch` as one document.
///
/// # Errors
/// It is refused.
pub fn batch(body: &JsonBody, nodes: u16) -> Result<Append, Problem> {
    batches::of_json(body, nodes).map(|request| request.append)
}

/// The same as lines, with the query of the request.
///
/// # Errors
/// It is refused.
pub fn lines(body: &LinesBody, query: &str, nodes: u16) -> Result<Append, Problem> {
    batches::of_lines(body, &query::parse(query)?, nodes).map(|request| request.append)
}

/// The query of `GET /messages/{order}`.
///
/// # Errors
/// It is refused.
pub fn wait_query(query: &str, nodes: u16) -> Result<(), Problem> {
    let wait: requests::WaitQuery = query::parse(query)?;
    requests::query_write_concern(wait.w.as_deref(), nodes).map(drop)
}

/// The order in the path of `GET /messages/{order}`.
///
/// # Errors
/// It is refused.
pub fn path_order(uri: &Uri) -> Result<Order, Problem> {
    requests::path_order(uri)
}
