//! `/clean`: empties the log on every node.

use axum::{Extension, extract::State as Extract, response::Response};
use replog_host::edge::{ClientAddress, Problem, json::JsonBody, query::Query};
use replog_shared::{Code, WriteConcern, store::Reader};

use super::{State, json_response};
use crate::{
    answers::{cleaned, gone_clean, met_clean},
    requests,
};

/// `POST /clean`.
pub(super) async fn clean<R: Reader>(
    Extract(context): State<R>,
    Extension(ClientAddress(client)): Extension<ClientAddress>,
    Query(()): Query<()>,
    body: Option<JsonBody>,
) -> Result<Response, Problem> {
    if !context.allow_clean {
        let detail = "This master was not started with --allow-clean, so the log cannot be emptied.";
        return Err(Problem::new(Code::CleanNotAllowed, detail));
    }
    let request = requests::clean(body.as_ref(), context.nodes.count())?;
    let needs_place = request.append.w > WriteConcern::ONE;
    let place = needs_place.then(|| context.waits.take());
    if let Some(None) = place {
        return Err(context.waits.refusal());
    }
    let outcome = context.node.clean(request.append, client, request.timeout).await;
    let met = met_clean(&context.nodes, outcome.map_err(|_| gone_clean())?)?;
    Ok(json_response(cleaned(&context.nodes, &met)))
}
