//! What one who wants to follow the log asks for.

use http::HeaderMap;
use replog_shared::Order;

use super::format::Format;
use crate::edge::{
    Problem, accept,
    query::{Params, QueryParams, number_in, whole_number},
};

/// The header with which a client that was cut off says what it has seen.
const LAST_EVENT_ID: &str = "last-event-id";

/// The query of `GET /tail`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailQuery {
    from: From,
}

/// Where a reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// At this order, shown or not.
    Order(Order),
    /// With what is appended next.
    End,
}

impl Default for From {
    fn default() -> From {
        From::Order(Order::ZERO)
    }
}

impl QueryParams for TailQuery {
    fn read(params: &mut Params<'_>) -> Result<Self, Problem> {
        let from = match params.text("from").as_deref() {
            None => From::default(),
            Some("end") => From::End,
            Some(text) => {
                let number = number_in("from", text, 0..=u64::MAX);
                let allowed = "a whole number from 0, or `end`";
                From::Order(Order::new(number.map_err(|problem| problem.with("allowed", allowed))?))
            }
        };
        Ok(TailQuery { from })
    }
}

/// Where it begins and how it looks.
pub(super) struct Wanted {
    pub(super) from: Order,
    pub(super) format: Format,
    /// The client was here before, and has seen all before `from`.
    pub(super) resumes: bool,
}

impl Wanted {
    /// What is wanted of a log that shows `length` entries.
    pub(super) fn of(query: TailQuery, headers: &HeaderMap, length: Order) -> Result<Wanted, Problem> {
        let offers = [(accept::EVENTS, Format::Events), (accept::NDJSON, Format::Lines)];
        let format = accept::choose(headers, &offers)?;
        let seen = last_seen(headers)?;
        let from = seen.map(Order::next).unwrap_or(match query.from {
            From::Order(order) => order,
            From::End => length,
        });
        Ok(Wanted { from, format, resumes: seen.is_some() })
    }
}

/// The last order that a client has seen. An empty one was taken back by a cut.
fn last_seen(headers: &HeaderMap) -> Result<Option<Order>, Problem> {
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let text = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().unwrap_or("?"),
        (Some(_), Some(_)) => "?",
    };
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(|order| Some(Order::new(order))).ok_or_else(|| {
        let detail =
            "The header Last-Event-ID is given once, and is the order of the last entry that was seen.";
        Problem::invalid_field("Last-Event-ID", detail).with("allowed", whole_number(&(0..=u64::MAX)))
    })
}
