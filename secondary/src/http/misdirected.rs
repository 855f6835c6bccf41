//! What only the master can do.

use axum::extract::State;
use replog_host::edge::Problem;

use replog_shared::{Code, store::Reader};

use super::Context;

/// 421: appends, and who holds an entry, are the master's matter; it is named if it told where it is reached.
pub(super) async fn to_master<R: Reader>(State(context): State<Context<R>>) -> Problem {
    let master = context.node.facts.borrow().master_http.clone();
    let place = master.as_deref().map_or_else(String::new, |url| format!(", at {url}"));
    let name = &context.name;
    let detail =
        format!("{name} is a secondary: it shows the log and nothing more. Send this to the master{place}.");
    let problem = Problem::new(Code::NotTheMaster, detail);
    match master {
        Some(url) => problem.with("master", url),
        None => problem,
    }
}
