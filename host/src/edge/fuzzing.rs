//! Doors for the fuzz targets: one connection, and how an answer is coded.

use std::{net::SocketAddr, sync::Arc};

use http::HeaderMap;
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;

use super::{EdgeLimits, Routes, compression, connection, service::Service, site::Sites};
use crate::auth::Gate;

/// Serves one connection, as [`super::serve`] does with those that it accepts.
pub async fn serve_one(socket: DuplexStream, routes: Routes, limits: EdgeLimits) {
    let service = Service::new(routes.behind(&Gate::OPEN), Arc::new(limits), Sites::default());
    let client = SocketAddr::from(([127, 0, 0, 1], 1));
    connection::serve(socket, client, Arc::new(service), CancellationToken::new()).await;
}

/// The coding in which a request with these headers is answered; none: as it is.
pub fn coding(headers: &HeaderMap) -> Option<&'static str> {
    compression::wanted(headers)
}
