//! The console: one page for people at `/`, from inside the program, and the stream that it lives on.
//!
//! | file | holds |
//! | --- | --- |
//! | `index.html`, `console.css`, `console.js` | the page, as the browser gets it: no build step, no outside requests |
//! | `snapshots` | the node's state, again each time it has changed |

mod snapshots;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, header};

pub use snapshots::{Snapshots, stream};

use crate::edge::query::Query;

/// Nothing from elsewhere, and no script but the page's own file: what stands in a message stays text.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`: the page.
pub async fn index(Query(()): Query<()>) -> Response {
    asset("text/html; charset=utf-8", include_str!("index.html"))
}

/// `GET /console.css`.
pub async fn style(Query(()): Query<()>) -> Response {
    asset("text/css; charset=utf-8", include_str!("console.css"))
}

/// `GET /console.js`.
pub async fn script(Query(()): Query<()>) -> Response {
    asset("text/javascript; charset=utf-8", include_str!("console.js"))
}

/// A new program may bring a new page: a browser asks each time.
pub(crate) fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let headers: [(HeaderName, HeaderValue); 5] =
        headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, text).into_response()
}
