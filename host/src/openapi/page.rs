//! `GET /openapi.json` and `GET /docs`.

use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header;

use super::{Described, Info, chores, document};
use crate::{
    console::asset,
    edge::{Access, Routes, query::Query},
};

/// Adds what shows a description. It holds no secret, so that whoever has no token yet can read how to use one.
pub(crate) fn with_pages<S: Clone + Send + Sync + 'static>(routes: Routes<S>, info: Info) -> Routes<S> {
    let path = "/openapi.json";
    let routes = routes
        .get("/docs", Access::Open, chores::docs, index)
        .get("/docs.css", Access::Open, chores::docs_style, style)
        .get("/docs.js", Access::Open, chores::docs_script, script);
    let mut all = routes.descriptions();
    all.push(Described { method: http::Method::GET, path, access: Access::Open, describe: chores::openapi });
    // Put together when it is first asked for: most nodes are never asked.
    let text = Arc::new(LazyLock::new(move || Bytes::from(format!("{:#}\n", document(info, &all)))));
    let openapi = async move |Query(()): Query<()>| {
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
        (headers, Bytes::clone(&text)).into_response()
    };
    routes.get(path, Access::Open, chores::openapi, openapi)
}

async fn index(Query(()): Query<()>) -> Response {
    asset("text/html; charset=utf-8", include_str!("page/index.html"))
}

async fn style(Query(()): Query<()>) -> Response {
    asset("text/css; charset=utf-8", include_str!("page/docs.css"))
}

async fn script(Query(()): Query<()>) -> Response {
    asset("text/javascript; charset=utf-8", include_str!("page/docs.js"))
}
