//! `replog import`: a file of messages into the log.

mod lines;

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use http::StatusCode;
use indicatif::ProgressBar;
use serde::Deserialize;

use self::lines::{Item, Items};
use crate::{
    Target,
    bulk::{self, Patience},
    client::{self, Client, within},
    failure::Failure,
    format::grouped,
    output,
};

/// Bytes of one request, at most: a part of what a node takes, so that a bar moves.
const MAX_REQUEST_BYTES: usize = 2 * 1024 * 1024;

/// Characters of a file's name in its ids.
const MAX_PREFIX_CHARS: usize = 80;

/// Append the lines of a file, in order and in batches.
///
/// A line is {"message": …, "id": …}, as "replog export" writes it, or with --bare any JSON value. A line without an id
/// gets one from the file's name, its number and all lines up to it: started again with the same file, after whatever
/// went wrong, the command appends what is missing and nothing twice.
#[derive(Args)]
pub(crate) struct Import {
    #[command(flatten)]
    target: Target,
    /// The file; "-": standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Each line is a message, not an object with one.
    #[arg(long)]
    bare: bool,
    /// Begin the ids of lines without one with this, and not with the file's name.
    #[arg(long, value_name = "TEXT")]
    id_prefix: Option<String>,
    /// How many nodes must hold a batch before the next is sent, master included; all unless given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    w: Option<u16>,
    /// How long to wait for --w before giving up with exit code 3; without it, as long as it takes.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Messages in one batch.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
}

/// What is read of a node's answer.
#[derive(Deserialize)]
struct Appended {
    count: u64,
    #[serde(default)]
    duplicate: bool,
}

/// What has been done.
#[derive(Default)]
struct Done {
    messages: u64,
    /// … that were in the log before.
    duplicates: u64,
}

impl Import {
    /// Appends all lines.
    ///
    /// # Errors
    /// A line that is no message, or a batch that is refused or not answered; those before it are in the log.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (input, size) = self.open()?;
        let prefix = self.id_prefix.clone().or_else(|| self.name());
        if prefix.as_ref().is_some_and(|prefix| prefix.chars().count() > MAX_PREFIX_CHARS) {
            return Err(Failure::Usage(format!(
                "give an --id-prefix of at most {MAX_PREFIX_CHARS} characters"
            )));
        }
        let mut items = Items::new(input, self.bare, prefix);
        let bar = bulk::bar(size, if size.is_some() { "bytes_per_sec" } else { "bytes" });
        let mut done = Done::default();
        let imported = self.send_all(&mut items, &mut done, &bar).await;
        bar.finish_and_clear();
        let Done { messages, duplicates } = &done;
        output::say(format_args!(
            "replog: {} messages are in the log, {} of them were there before",
            grouped(*messages),
            grouped(*duplicates)
        ));
        imported
    }

    fn open(&self) -> Result<(Box<dyn BufRead>, Option<u64>), Failure> {
        if self.file.as_os_str() == "-" {
            return Ok((Box::new(io::stdin().lock()), None));
        }
        let opened = File::open(&self.file).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) =
            opened.map_err(|error| Failure::Usage(format!("{}: {error}", self.file.display())))?;
        Ok((Box::new(BufReader::new(file)), Some(size)))
    }

    /// The file's name, by which its lines are told from those of other files.
    fn name(&self) -> Option<String> {
        let name = self.file.file_name()?.to_string_lossy().into_owned();
        (name != "-").then_some(name)
    }

    async fn send_all<R: BufRead>(
        &self,
        items: &mut Items<R>,
        done: &mut Done,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let mut client = self.target.client()?;
        client.connect_first().await?;
        let mut kept = None;
        loop {
            let batch = self.next_batch(items, &mut kept)?;
            if batch.is_empty() {
                return Ok(());
            }
            self.send(&mut client, &batch, done).await?;
            bar.set_position(items.bytes);
            bar.set_message(format!("{} messages", grouped(done.messages)));
        }
    }

    /// The next items; `kept` is the one that did not fit into the batch before.
    fn next_batch<R: BufRead>(
        &self,
        items: &mut Items<R>,
        kept: &mut Option<Item>,
    ) -> Result<Vec<Item>, Failure> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < self.batch as usize {
            let next = match kept.take() {
                Some(item) => Some(item),
                None => items.next()?,
            };
            let Some(item) = next else { break };
            bytes += item.json.len() + 1;
            if bytes > MAX_REQUEST_BYTES && !batch.is_empty() {
                *kept = Some(item);
                break;
            }
            batch.push(item);
        }
        Ok(batch)
    }

    /// Appends a batch. If a part of it is in the log already, from batches that were cut otherwise, one message
    /// after the other.
    async fn send(&self, client: &mut Client, batch: &[Item], done: &mut Done) -> Result<(), Failure> {
        match self.try_send(client, batch).await {
            Ok(appended) => done.add(&appended),
            Err(Failure::Refused { status: StatusCode::CONFLICT, .. }) if batch.len() > 1 => {
                for item in batch {
                    let one = std::slice::from_ref(item);
                    let appended = self.try_send(client, one).await;
                    done.add(&appended.map_err(|failure| of_file(failure, one))?);
                }
            }
            Err(failure) => return Err(of_file(failure, batch)),
        }
        Ok(())
    }

    /// Sends the same again until it is answered: its ids see to it that it is appended once.
    async fn try_send(&self, client: &mut Client, batch: &[Item]) -> Result<Appended, Failure> {
        let mut patience = Patience::new();
        loop {
            match self.ask(client, batch).await {
                Ok(appended) => return Ok(appended),
                Err(failure) => patience.bear(failure).await?,
            }
        }
    }

    async fn ask(&self, client: &mut Client, batch: &[Item]) -> Result<Appended, Failure> {
        let mut body = Vec::new();
        for item in batch {
            body.extend_from_slice(&item.json);
            body.push(b'\n');
        }
        let timeout = self.timeout_ms.map(Duration::from_millis);
        let asked = within(timeout, async {
            let answer = client.post_lines(&self.path(), body).await?;
            Ok((answer.status(), client::whole(answer.into_body()).await?))
        });
        let silent = || Err(Failure::Unknown(format!("{} does not answer", self.target.url)));
        let (status, body) = asked.await.unwrap_or_else(silent)?;
        if !status.is_success() {
            return Err(Failure::of_append(status, &body));
        }
        serde_json::from_slice(&body)
            .map_err(|error| Failure::Unknown(format!("an answer that is none: {error}")))
    }

    fn path(&self) -> String {
        let w = self.w.map(|w| format!("w={w}"));
        let timeout = self.timeout_ms.map(|ms| format!("timeout_ms={ms}"));
        let query: Vec<String> = w.into_iter().chain(timeout).collect();
        format!("/messages/batch?{}", query.join("&"))
    }
}

/// A refusal of a line of a batch, as that of the line of the file.
fn of_file(failure: Failure, batch: &[Item]) -> Failure {
    failure.at_lines(|line| batch.get(line - 1).map(|item| item.number))
}

impl Done {
    fn add(&mut self, appended: &Appended) {
        self.messages += appended.count;
        self.duplicates += if appended.duplicate { appended.count } else { 0 };
    }
}
