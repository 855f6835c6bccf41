//! HTTP as bytes on a connection, for what no HTTP client would send.

use std::{io, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Sends `bytes` to `address` (host and port), and gives all that comes back until the node closes the connection.
///
/// # Errors
/// There is no connection, or it is not closed within `limit`. A reset while sending or reading is an end like any
/// other: what came before it counts.
pub async fn exchange(address: &str, bytes: &[u8], limit: Duration) -> io::Result<String> {
    let mut connection = TcpStream::connect(address).await?;
    // The node may have answered, and closed, before everything was sent.
    let _may_be_cut_off = connection.write_all(bytes).await;
    let mut answer = Vec::new();
    let _may_be_cut_off = timeout(limit, connection.read_to_end(&mut answer)).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The status of such an answer, and its body as JSON; null if it has none.
pub fn parse(answer: &str) -> Option<(u16, Value)> {
    let status = answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
    Some((status, body.unwrap_or_default()))
}
