//! What only the master can do.

use ::http::StatusCode;
use axum::extract::State;
use replog_host::edge::Problem;

use super::Context;

/// 421: appends go to the master, named if it told where it takes them.
pub(super) async fn to_master(State(context): State<Context>) -> Problem {
    let master = context.node.facts().borrow().master_http.clone();
    let place = master.as_deref().map_or_else(String::new, |url| format!(", at {url}"));
    let name = &context.name;
    let detail = format!("{name} is a secondary: it only reads. Send this to the master{place}.");
    let problem = Problem::new(StatusCode::MISDIRECTED_REQUEST, "not_the_master", detail);
    match master {
        Some(url) => problem.with("master", url),
        None => problem,
    }
}
