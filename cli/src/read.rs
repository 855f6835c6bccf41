//! `replog read`: the log, one message a line.

use std::{fmt, io::Write as _, time::Duration};

use clap::Args;
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use replog_shared::{EpochNumber, NodeName};

use crate::{
    Target,
    client::{self, Client, within},
    elements::Elements,
    failure::Failure,
    output::{self, Data},
};

/// Messages asked for at one time. A page that breaks off can be asked for again; the whole log cannot.
const PAGE_MESSAGES: u64 = 1_000;

/// Print messages in order, one JSON value a line.
///
/// Any node can be asked; a secondary shows what has reached it. The log is read page by page until there
/// is nothing more, whatever its size. If the log is emptied meanwhile, or its master starts anew, it stops with
/// exit code 1: what follows may belong to another history than what is printed.
#[derive(Args)]
pub(crate) struct Read {
    #[command(flatten)]
    target: Target,
    /// The order to begin with; orders count from 0.
    #[arg(long, value_name = "ORDER", default_value_t = 0)]
    from: u64,
    /// Stop after this many messages.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print whole entries: {"order": …, "id": …, "message": …}.
    #[arg(long, conflicts_with = "raw")]
    full: bool,
    /// Print messages that are strings without their quotes and escapes.
    #[arg(long)]
    raw: bool,
    /// First wait until the node shows this order: to read your own write on a secondary.
    #[arg(long, value_name = "ORDER")]
    min_order: Option<u64>,
    /// The epoch in which that order was told: refused once the log went on without it, where another message has
    /// the order.
    #[arg(long, value_name = "EPOCH", requires = "min_order")]
    epoch: Option<EpochNumber>,
    /// The node that opened that epoch, as the answer names it beside the epoch.
    #[arg(long, value_name = "NODE", requires = "epoch")]
    epoch_owner: Option<NodeName>,
    /// How long to wait for --min-order before giving up with exit code 3.
    #[arg(long, value_name = "MS", requires = "min_order")]
    timeout_ms: Option<u64>,
}

impl Read {
    /// All from the order `from` on.
    pub(crate) fn from(target: Target, from: u64, full: bool, raw: bool) -> Read {
        Read {
            target,
            from,
            limit: None,
            full,
            raw,
            min_order: None,
            epoch: None,
            epoch_owner: None,
            timeout_ms: None,
        }
    }

    /// Prints the messages.
    ///
    /// # Errors
    /// The node cannot be reached, refuses, or an answer breaks off; what was read until then is printed.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut client = self.target.client()?;
        if let Some(order) = self.min_order {
            self.wait_until_shown(&mut client, order).await?;
        }
        let mut out = output::data();
        let printed = self.print_pages(&mut client, &mut out).await;
        out.flush()?;
        printed
    }

    async fn wait_until_shown(&self, client: &mut Client, order: u64) -> Result<(), Failure> {
        let path = self.wait_path(order);
        let asked = within(self.timeout_ms.map(Duration::from_millis), async {
            client::whole(client::checked(client.get(&path).await?).await?.into_body()).await.map(drop)
        });
        let silent = || Err(Failure::unreachable(&self.target.url, "no answer in time"));
        asked.await.unwrap_or_else(silent)
    }

    fn wait_path(&self, order: u64) -> String {
        let timeout = self.timeout_ms.map(|ms| format!("&timeout_ms={ms}")).unwrap_or_default();
        let epoch = self.epoch.map(|epoch| format!("&epoch={epoch}")).unwrap_or_default();
        let owner =
            self.epoch_owner.as_ref().map(|owner| format!("&epoch_owner={owner}")).unwrap_or_default();
        format!("/full_messages?from={order}&limit=1&min_order={order}{epoch}{owner}{timeout}")
    }

    /// A page may be shorter than what was asked for, because a node bounds it by bytes as well: only an
    /// empty one is the end.
    async fn print_pages(&self, client: &mut Client, out: &mut Data) -> Result<(), Failure> {
        let mut from = self.from;
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut history = None;
        while left > 0 {
            let path = self.page_path(from, left.min(PAGE_MESSAGES));
            let page = client::checked(client.get(&path).await?).await?;
            let now = History::of(page.headers());
            match history.replace(now.clone()) {
                Some(before) if before != now => return Err(changed(&before, &now, from)),
                _ => {}
            }
            match self.print_page(page, out).await? {
                0 => break,
                count => (from, left) = (from + count, left.saturating_sub(count)),
            }
        }
        Ok(())
    }

    fn page_path(&self, from: u64, limit: u64) -> String {
        let resource = if self.full { "full_messages" } else { "messages" };
        format!("/{resource}?from={from}&limit={limit}")
    }

    /// Prints the members of one answer as they arrive and returns how many there were.
    async fn print_page(&self, answer: Response<Incoming>, out: &mut Data) -> Result<u64, Failure> {
        let mut body = answer.into_body();
        let mut elements = Elements::default();
        let mut count = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::Unknown(format!("the page broke off: {error}")))?;
            elements.push(frame.data_ref().map_or(&[], |bytes| bytes), |element| {
                count += 1;
                output::write_value(out, self.raw, element)
            })?;
        }
        if elements.is_complete() {
            Ok(count)
        } else {
            Err(Failure::Unknown("the page broke off".to_owned()))
        }
    }
}

/// Which log a page was read in, and in which epoch of it. An order stands for one entry only within one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
struct History {
    log_id: Option<String>,
    epoch: Option<String>,
    /// Who opened it: two nodes can open one number, on two sides of a cut.
    epoch_owner: Option<String>,
}

impl History {
    fn of(headers: &HeaderMap) -> History {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        History {
            log_id: text("replog-log-id"),
            epoch: text("replog-epoch"),
            epoch_owner: text("replog-epoch-owner"),
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |name: &Option<String>| name.as_deref().unwrap_or("none").to_owned();
        write!(f, "log {} in epoch {}", known(&self.log_id), known(&self.epoch))?;
        self.epoch_owner.as_ref().map_or(Ok(()), |owner| write!(f, " of {owner}"))
    }
}

fn changed(before: &History, now: &History, from: u64) -> Failure {
    Failure::Bad(format!(
        "the log was emptied or began a new epoch while it was read, before order {from}: it was {before}, it is {now}; read it again"
    ))
}
