//! What one who wants to follow the log asks for.

use http::HeaderMap;
use replog_shared::{EpochNumber, Order};

use super::format::Format;
use crate::edge::{
    Problem, accept,
    query::{Params, QueryParams, number_in},
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
    /// The last entry that the client has seen, if it was here before; `from` is the order after it.
    pub(super) seen: Option<Seen>,
}

/// An entry that a client has seen: the id of its event, `epoch/order` or the order alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The epoch that the entry was of; none: it is not told.
    pub(super) epoch: Option<EpochNumber>,
    pub(super) order: Order,
}

impl Seen {
    fn parse(text: &str) -> Option<Seen> {
        let (epoch, order) = match text.split_once('/') {
            Some((epoch, order)) => (Some(epoch.parse().ok()?), order),
            None => (None, text),
        };
        let digits = order.bytes().all(|byte| byte.is_ascii_digit());
        let order = order.parse().ok().filter(|_| digits)?;
        Some(Seen { epoch, order: Order::new(order) })
    }
}

impl Wanted {
    /// What is wanted of a log that shows `length` entries.
    pub(super) fn of(query: TailQuery, headers: &HeaderMap, length: Order) -> Result<Wanted, Problem> {
        let offers = [(accept::EVENTS, Format::Events), (accept::NDJSON, Format::Lines)];
        let format = accept::choose(headers, &offers)?;
        let seen = last_seen(headers)?;
        let from = seen.map(|seen| seen.order.next()).unwrap_or(match query.from {
            From::Order(order) => order,
            From::End => length,
        });
        Ok(Wanted { from, format, seen })
    }
}

/// The last entry that a client has seen. An empty id was taken back by a cut.
fn last_seen(headers: &HeaderMap) -> Result<Option<Seen>, Problem> {
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let text = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().unwrap_or("?"),
        (Some(_), Some(_)) => "?",
    };
    if text.is_empty() {
        return Ok(None);
    }
    Seen::parse(text).map(Some).ok_or_else(|| {
        let detail = "The header Last-Event-ID is given once, and is the id of the last event that was seen.";
        Problem::invalid_field("Last-Event-ID", detail)
            .with("allowed", "an epoch, `/` and an order, such as 1.0/4; an order alone; or nothing")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_epoch_and_an_order_or_an_order_alone() {
        let seen =
            |text| Seen::parse(text).map(|seen| (seen.epoch.map(|it| it.to_string()), seen.order.get()));
        assert_eq!(seen("4"), Some((None, 4)));
        assert_eq!(seen("2.13/18446744073709551615"), Some((Some("2.13".to_owned()), u64::MAX)));
        for bad in ["", "/", "1.0/", "/4", "1/4", "1.0/4/", "1.0/+4", "1.0/-1", "01.0/4", "1.0 /4", "+1", "x"]
        {
            assert_eq!(seen(bad), None, "{bad}");
        }
    }
}
