//! `replog tail`: the end of the log, and with `--follow` all that is added to it.

mod feed;

use std::io::Write as _;

use clap::Args;
use futures_util::{FutureExt as _, StreamExt as _};
use replog_shared::backoff::Backoff;
use tokio::time::sleep;

use self::feed::{Feed, News};
use crate::{
    Target,
    client::{self, Client},
    failure::Failure,
    history::History,
    node_url::NodeUrl,
    output::{self, Data},
    read::Read,
};

/// Print the last messages, one JSON value a line, and with --follow each that is added.
///
/// Any node can be asked; a secondary shows what has reached it. With --follow it goes on until it is interrupted:
/// when the node is away it says so, comes back by itself and goes on where it was, without a message lost or printed
/// twice. If the log is emptied or cut by a promotion meanwhile, it stops with exit code 1: what follows belongs to
/// another history than what is printed.
#[derive(Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    target: Target,
    /// The node to talk to, instead of --url.
    #[arg(value_name = "URL")]
    node: Option<NodeUrl>,
    /// Go on with each message that is added.
    #[arg(short, long)]
    follow: bool,
    /// The order to begin with; orders count from 0.
    #[arg(long, value_name = "ORDER", conflicts_with = "last")]
    from: Option<u64>,
    /// How many messages to begin with; --last 0 --follow prints only what is added.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    last: u64,
    /// Print whole entries: {"order": …, "id": …, "message": …}.
    #[arg(long, conflicts_with = "raw")]
    full: bool,
    /// Print messages that are strings without their quotes and escapes.
    #[arg(long)]
    raw: bool,
}

/// Why one connection is over.
enum Over {
    /// It ended or broke off: it is made again.
    Lost,
    /// There is nothing that another one could change.
    Failed(Failure),
}

impl Tail {
    /// Prints the messages.
    ///
    /// # Errors
    /// The node cannot be reached at the beginning, refuses, or the log was cut.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        if let Some(node) = self.node.take() {
            self.target.url = node;
        }
        let mut client = self.target.client()?;
        let from = match self.from {
            Some(from) => from,
            None => client::length(&mut client).await?.saturating_sub(self.last),
        };
        if !self.follow {
            return Read::from(self.target, from, self.full, self.raw).run().await;
        }
        let mut out = output::data();
        let failure = self.follow(client, History::from(from), &mut out).await;
        out.flush()?;
        Err(failure)
    }

    /// Follows the log over one connection after the other.
    async fn follow(&self, mut client: Client, mut history: History, out: &mut Data) -> Failure {
        let (mut backoff, mut random) = (Backoff::default(), fastrand::Rng::new());
        let mut feed = match connect(&mut client, &mut history).await {
            Ok(feed) => feed,
            Err(failure) => return failure,
        };
        loop {
            match self.print_all(feed, &mut history, out).await {
                Over::Failed(failure) => return failure,
                Over::Lost => output::say(format_args!(
                    "replog: the connection to {} ended; trying again",
                    self.target.url
                )),
            }
            feed = loop {
                sleep(backoff.next_delay(&mut random)).await;
                // On a connection of its own: the old one may hang.
                client = match self.target.client() {
                    Ok(client) => client,
                    Err(failure) => return failure,
                };
                match connect(&mut client, &mut history).await {
                    Ok(feed) => break feed,
                    Err(failure) if !failure.may_pass() => return failure,
                    Err(_) => {}
                }
            };
            backoff.reset();
            output::say(format_args!("replog: connected again; goes on at order {}", history.next_order()));
        }
    }

    /// Prints what one connection brings.
    async fn print_all(&self, mut feed: Feed, history: &mut History, out: &mut Data) -> Over {
        loop {
            let next = match feed.next().now_or_never() {
                Some(next) => next,
                // Nothing more has come: it is time to show what has.
                None => match out.flush() {
                    Ok(()) => feed.next().await,
                    Err(error) => return Over::Failed(error.into()),
                },
            };
            match next.map(|news| self.print(news, history, out)) {
                None => return Over::Lost,
                Some(Err(failure)) => return Over::Failed(failure),
                Some(Ok(())) => {}
            }
        }
    }

    fn print(&self, news: News, history: &mut History, out: &mut Data) -> Result<(), Failure> {
        let News::Entry(line) = news else { return Err(history.cut()) };
        if let Some(entry) = history.admit(&line)? {
            output::write_value(out, self.raw, if self.full { line.as_bytes() } else { entry.message_json })?;
        }
        Ok(())
    }
}

async fn connect(client: &mut Client, history: &mut History) -> Result<Feed, Failure> {
    let (path, seen) = history.resume();
    let answer = client::checked(client.follow(&path, seen).await?).await?;
    history.enter(answer.headers())?;
    Ok(feed::of(answer.into_body()))
}
