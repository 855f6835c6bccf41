//! The log as HTTP answers it: its lines turned into elements of a JSON array, page by page.

use std::time::Duration;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use replog_shared::{
    Code, EpochNumber, LogId, Mark, NodeName, Order,
    entry::EntryLine,
    limits::READ_PAGE_BYTES,
    store::{Page, ReadError, Reader},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    edge::{
        Problem, Waits, accept,
        compression::compressed,
        query::{self, Params, QueryParams},
        stream::{json_array, plain},
    },
    history::{History, Seen, Standing},
    reads::Reads,
};

/// What each element of the array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// The bare message.
    Message,
    /// The entry: order, epoch, id and message, the very line of the log.
    Entry,
}

impl Element {
    fn of(self, line: &[u8]) -> &[u8] {
        match self {
            Element::Entry => line.strip_suffix(b"\n").unwrap_or(line),
            Element::Message => EntryLine::parse(line).map_or(&b"null"[..], |entry| entry.message_json),
        }
    }
}

/// How the elements are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `{"messages": […]}`
    Array,
    /// One a line.
    Lines,
}

impl Layout {
    /// The one that the client prefers.
    ///
    /// # Errors
    /// 406: it takes neither.
    pub fn wanted(headers: &HeaderMap) -> Result<Layout, Problem> {
        accept::choose(headers, &[(accept::JSON, Layout::Array), (accept::NDJSON, Layout::Lines)])
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Layout::Array => "application/json",
            Layout::Lines => "application/x-ndjson",
        })
    }
}

/// Which part of the log is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// The first order; 0 if not given.
    pub from: Order,
    /// How many at most; none: all.
    pub limit: Option<u64>,
    /// Wait until the node shows this order.
    pub min_order: Option<Order>,
    /// With `min_order`: the order was seen in this epoch, by the client that asks or by one that told it.
    pub seen_in: Option<SeenIn>,
    /// How long to wait for it, in milliseconds; none: for ever.
    pub timeout_ms: Option<u64>,
}

/// An epoch as a client was told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenIn {
    /// Its number.
    pub epoch: EpochNumber,
    /// The node that opened it; none: any.
    pub owner: Option<NodeName>,
}

impl QueryParams for PageQuery {
    fn read(params: &mut Params<'_>) -> Result<Self, Problem> {
        let from = Order::new(params.number("from", 0..=u64::MAX)?.unwrap_or(0));
        let limit = params.number("limit", 1..=u64::MAX)?;
        let min_order = params.number("min_order", 0..=u64::MAX)?.map(Order::new);
        let timeout_ms = params.number("timeout_ms", 0..=u64::MAX)?;
        let seen_in = SeenIn::read(params)?;
        if seen_in.is_some() && min_order.is_none() {
            return Err(query::only_with("epoch", "min_order"));
        }
        Ok(PageQuery { from, limit, min_order, seen_in, timeout_ms })
    }
}

impl SeenIn {
    fn read(params: &mut Params<'_>) -> Result<Option<SeenIn>, Problem> {
        let (epoch, owner) = (params.text("epoch"), params.text("epoch_owner"));
        let owner = match owner {
            None => None,
            Some(_) if epoch.is_none() => return Err(query::only_with("epoch_owner", "epoch")),
            Some(text) => {
                let allowed = "the name of a node, as `epoch_owner` of an answer has it";
                Some(text.parse().map_err(|_| query::not_allowed("epoch_owner", &text, allowed))?)
            }
        };
        let Some(text) = epoch else { return Ok(None) };
        let allowed = "an epoch as an answer has it, such as 2.5";
        let epoch = text.parse().map_err(|_| query::not_allowed("epoch", &text, allowed))?;
        Ok(Some(SeenIn { epoch, owner }))
    }
}

impl PageQuery {
    /// The exclusive end of what is asked for, in a log that shows `visible`.
    pub fn to(&self, visible: Order) -> Order {
        self.limit.map_or(visible, |limit| self.from.plus(limit)).min(visible)
    }
}

/// What a node shows: how far, and of which log and epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Exclusive end of what reads show.
    pub length: Order,
    /// The log; none before there is one.
    pub log_id: Option<LogId>,
    /// The epoch of the last mark; none before there is one.
    pub epoch: Option<EpochNumber>,
    /// The node that opened that epoch. Two nodes can open one number, on two sides of a cut.
    pub epoch_owner: Option<NodeName>,
    /// All epochs of it.
    pub history: History,
    /// How often the log was cut or emptied. Told before it happens: an answer that began before must not go on.
    pub cuts: u64,
}

/// Marks an answer with the log and the epoch that it was read in.
pub fn with_epoch(mut response: Response, shown: &Shown) -> Response {
    let mut set = |name: &'static str, value: Option<String>| {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    };
    set("replog-epoch", shown.epoch.map(|epoch| epoch.to_string()));
    set("replog-epoch-owner", shown.epoch_owner.as_ref().map(ToString::to_string));
    set("replog-log-id", shown.log_id.map(|log_id| log_id.to_string()));
    response
}

/// Waits until the node shows the order that the client has seen elsewhere.
///
/// # Errors
/// 504 with where the node is, when the client's time is over; 503 when the node stops, or as many wait as may; 409 when
/// what the client has seen is not in the log any more.
pub async fn wait_for_order(
    mut shown: watch::Receiver<Shown>,
    query: &PageQuery,
    waits: &Waits,
    stopping: &CancellationToken,
) -> Result<(), Problem> {
    let Some(wanted) = query.min_order else { return Ok(()) };
    let seen = query.seen_in.as_ref().map(|seen| {
        let SeenIn { epoch, owner } = seen.clone();
        Seen { order: wanted, epoch, owner }
    });
    let decided = |shown: &Shown| shown.decides(wanted, seen.as_ref());
    if !decided(&shown.borrow()) {
        let _place = waits.take().ok_or_else(|| waits.refusal())?;
        let time = query.timeout_ms.map_or(Duration::MAX, Duration::from_millis);
        let waiting = timeout(time, shown.wait_for(decided));
        let ended = stopping.run_until_cancelled(waiting).await;
        match ended.map(|in_time| in_time.map(|shown| shown.map(drop))) {
            Some(Ok(Ok(()))) => {}
            None | Some(Ok(Err(_))) => return Err(Problem::stopping()),
            Some(Err(_)) => return Err(not_shown_yet(wanted, &shown.borrow())),
        }
    }
    let shown = shown.borrow();
    match seen {
        Some(seen) if shown.history.standing(&seen) == Standing::Gone => Err(other_history(&seen, &shown)),
        _ => Ok(()),
    }
}

impl Shown {
    /// Whether a wait for this order is over: it is shown, or what was seen there never will be.
    fn decides(&self, wanted: Order, seen: Option<&Seen>) -> bool {
        match seen.map(|seen| self.history.standing(seen)) {
            Some(Standing::Gone) => true,
            Some(Standing::Behind) => false,
            Some(Standing::Shared) | None => self.length > wanted,
        }
    }
}

fn not_shown_yet(wanted: Order, shown: &Shown) -> Problem {
    let length = shown.length;
    let detail = format!("This node does not show order {wanted} yet: its length is {length}.");
    Problem::new(Code::NotShownYet, detail).with("length", length.get())
}

fn other_history(seen: &Seen, shown: &Shown) -> Problem {
    let Seen { order, epoch, .. } = seen;
    let now = shown.epoch.map_or_else(String::new, |epoch| format!(", which is in epoch {epoch} now"));
    let detail = format!(
        "What was at order {order} in epoch {epoch} is not in this node's log any more{now}: another entry has that order, or will get it. A write that must not be lost is sent again with its id."
    );
    Problem::new(Code::OtherHistory, detail).with("length", shown.length.get())
}

/// Answers with the entries `from..to`, as `{"messages": […]}` or one a line, one page in memory at a time. When the log is
/// cut meanwhile, or at `stopped`, the answer breaks off.
pub fn answer<R: Reader>(
    reads: Reads<R>,
    (element, layout): (Element, Layout),
    headers: &HeaderMap,
    query: &PageQuery,
    shown: &watch::Receiver<Shown>,
    stopped: CancellationToken,
) -> Response {
    let reader = SteadyReader::new(reads, shown.clone());
    let shown = &reader.began;
    let (from, to) = (query.from, query.to(shown.length));
    let response = Response::new(Body::empty());
    let mut response = with_epoch(response, shown);
    let pages = stream::try_unfold((reader, from), move |(reader, at)| async move {
        let page = next_page(&reader, Form { element, layout }, at, to).await?;
        Ok::<_, ReadError>(page.map(|(page, next)| (page, (reader, next))))
    });
    *response.body_mut() = match layout {
        Layout::Array => json_array("{\"messages\": [", "]}\n", pages, stopped),
        Layout::Lines => plain(pages, stopped),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, layout.content_type());
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    compressed(response, headers)
}

/// Reads a log until it is cut; from then on nothing.
///
/// The bug this prevents: an answer of many pages that begins in one history and ends, after a clean or a
/// promotion, in another.
#[derive(Clone, Debug)]
pub struct SteadyReader<R> {
    reads: Reads<R>,
    shown: watch::Receiver<Shown>,
    /// What was shown at the beginning.
    began: Shown,
}

impl<R: Reader> SteadyReader<R> {
    /// Reads what is shown now.
    pub fn new(reads: Reads<R>, shown: watch::Receiver<Shown>) -> SteadyReader<R> {
        let began = shown.borrow().clone();
        SteadyReader { reads, shown, began }
    }

    /// Whether the log was cut since.
    pub fn was_cut(&self) -> bool {
        self.shown.borrow().cuts != self.began.cuts
    }

    /// As [`Reads::read`].
    ///
    /// # Errors
    /// As [`Reads::read`]; or the log was cut.
    pub async fn read(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        let page = self.reads.read(from, to, bytes).await?;
        // Asked after the read: a cut is told before it is made.
        if self.was_cut() {
            return Err(ReadError { order: from, reason: "the log was cut while it was read".into() });
        }
        Ok(page)
    }
}

async fn next_page<R: Reader>(
    reader: &SteadyReader<R>,
    form: Form,
    at: Order,
    to: Order,
) -> Result<Option<(Bytes, Order)>, ReadError> {
    if at >= to {
        return Ok(None);
    }
    let page = reader.read(at, to, READ_PAGE_BYTES).await?;
    if page.to <= at {
        return Err(ReadError { order: at, reason: "the log was cut while it was read".into() });
    }
    Ok(Some((form.of(&page.bytes), page.to)))
}

/// How the elements of a page are written.
#[derive(Clone, Copy, Debug)]
struct Form {
    element: Element,
    layout: Layout,
}

impl Form {
    /// The entries among the lines of a page: as elements with commas between them, or each with a line feed.
    fn of(self, page: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(page.len());
        for line in entry_lines(page) {
            if self.layout == Layout::Array && !out.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(self.element.of(line));
            if self.layout == Layout::Lines {
                out.push(b'\n');
            }
        }
        out.into()
    }
}

/// The lines of a page that are entries, line feeds included; marks are left out.
pub fn entry_lines(page: &[u8]) -> impl Iterator<Item = &[u8]> {
    page.split_inclusive(|byte| *byte == b'\n').filter(|line| !Mark::is_mark(line))
}

#[cfg(test)]
mod tests {
    use replog_shared::store::{MemoryStore, Store};

    use super::*;

    #[tokio::test]
    async fn a_cut_ends_the_reading() {
        let (told, shown) = watch::channel(Shown::default());
        let reader = SteadyReader::new(Reads::new(MemoryStore::without_ids().reader()), shown);
        assert!(reader.read(Order::ZERO, Order::ZERO, 1).await.is_ok());
        told.send_modify(|shown| shown.cuts += 1);
        assert!(reader.read(Order::ZERO, Order::ZERO, 1).await.is_err());
    }
}
