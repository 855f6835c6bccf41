//! `replog append`: messages into the log, each answered with its order.

use std::{io, time::Duration, vec};

use bytes::Bytes;
use clap::Args;
use http::StatusCode;
use replog_shared::byte_order_mark;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use uuid::Uuid;

use crate::{
    Target,
    client::{self, Client, within},
    failure::{Failure, followed_by},
    output,
};

/// Append messages, in the order given, and print where each one is.
///
/// Prints one line a message: its order, a tab, and the nodes that hold it. The command gives each message
/// an id, so that one whose answer got lost can be sent again (--id) and is still in the log only once.
/// It stops at the first message that is not answered well, and when its output cannot be written: then with exit
/// code 6, and how many messages are in the log.
#[derive(Args)]
pub(crate) struct Append {
    #[command(flatten)]
    target: Target,
    /// The messages, each a string; none or "-": one from each line of standard input.
    #[arg(value_name = "MESSAGE")]
    messages: Vec<String>,
    /// The messages are JSON values, not strings.
    #[arg(long)]
    json_message: bool,
    /// How many nodes must hold a message before it is answered, master included; all unless given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    w: Option<u16>,
    /// The message's identity: the same id with the same message is appended only once.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How long to wait for --w before giving up with exit code 3, or 5 if the node says nothing; without it, as
    /// long as it takes.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Append only if the message gets this order; each further one, the next.
    #[arg(long, value_name = "ORDER")]
    expect_order: Option<u64>,
    /// Print the node's answers as they came, one JSON document a line.
    #[arg(long)]
    json: bool,
}

/// The body of `POST /messages`.
#[derive(Serialize)]
struct Request<'a> {
    message: &'a RawValue,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect_order: Option<u64>,
}

/// What is read of its answer.
#[derive(Deserialize)]
struct Appended {
    order: u64,
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default)]
    duplicate: bool,
}

impl Append {
    /// Appends all messages.
    ///
    /// # Errors
    /// The first message that is malformed, refused, not answered in time or not answered at all, or whose
    /// answer cannot be printed; those before it are in the log, those after it are not sent.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        let mut messages = Messages::new(std::mem::take(&mut self.messages));
        if self.id.is_some() && !messages.is_one() {
            return Err(Failure::Usage("--id goes with exactly one message argument".to_owned()));
        }
        let mut client = self.target.client()?;
        let mut index = 0;
        while let Some(text) = messages.next().await? {
            let message = self
                .message(&text)
                .map_err(|reason| Failure::Usage(format!("message {} is not JSON: {reason}", index + 1)))?;
            let answer = self.append(&mut client, &message, index).await?;
            index += 1;
            self.print(&answer).map_err(|error| Failure::Output {
                error,
                appended: index,
                order: answer.appended.order,
            })?;
        }
        Ok(())
    }

    fn message(&self, text: &str) -> Result<Box<RawValue>, serde_json::Error> {
        if self.json_message { RawValue::from_string(text.to_owned()) } else { to_raw_value(text) }
    }

    /// Appends the message that is the `index`th of this command.
    async fn append(&self, client: &mut Client, message: &RawValue, index: u64) -> Result<Answer, Failure> {
        let id = self.id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
        let request = Request {
            message,
            id: &id,
            w: self.w,
            timeout_ms: self.timeout_ms,
            expect_order: self.expect_order.map(|order| order.saturating_add(index)),
        };
        let body = serde_json::to_vec(&request).map_err(|error| Failure::Usage(error.to_string()))?;
        client.connect_first().await?;
        let timeout = self.timeout_ms.map(Duration::from_millis);
        let asked = within(timeout, async {
            let answer = client.post("/messages", body).await?;
            Ok((answer.status(), client::whole(answer.into_body()).await?))
        });
        let silent = || Err(Failure::Unknown(format!("{} does not answer", self.target.url)));
        let judged = asked.await.unwrap_or_else(silent).and_then(|(status, body)| self.judge(status, body));
        judged.map_err(|failure| with_advice(failure, &id))
    }

    /// What the node's answer says.
    fn judge(&self, status: StatusCode, body: Bytes) -> Result<Answer, Failure> {
        if !status.is_success() {
            if self.json {
                // What the answer says matters more than that it cannot be shown.
                drop(print_json(&body));
            }
            return Err(Failure::of_append(status, &body));
        }
        let appended = serde_json::from_slice(&body)
            .map_err(|error| Failure::Unknown(format!("an answer that is none: {error}")))?;
        Ok(Answer { appended, body })
    }

    fn print(&self, Answer { appended, body }: &Answer) -> io::Result<()> {
        if appended.duplicate {
            output::say(format_args!("replog: this id was in the log before, at order {}", appended.order));
        }
        if self.json {
            return print_json(body);
        }
        output::data_line(format_args!("{}\t{}", appended.order, appended.nodes.join(",")))
    }
}

/// A good answer, read and as it came.
struct Answer {
    appended: Appended,
    body: Bytes,
}

fn print_json(body: &[u8]) -> io::Result<()> {
    output::data_line(String::from_utf8_lossy(body).trim_ascii())
}

/// Adds what the caller can do about an entry whose `w` or whose fate is open.
fn with_advice(failure: Failure, id: &str) -> Failure {
    match failure {
        Failure::NotInTime(problem) => Failure::NotInTime(Box::new(problem.with_place(id))),
        Failure::Unknown(reason) => {
            Failure::Unknown(followed_by(&reason, format_args!("to send it again, add --id {id}")))
        }
        failure => failure,
    }
}

/// Where the messages come from.
enum Messages {
    Arguments(vec::IntoIter<String>),
    Input { lines: Lines<BufReader<Stdin>>, read: u64 },
}

impl Messages {
    fn new(arguments: Vec<String>) -> Self {
        if arguments.is_empty() || arguments == ["-"] {
            Self::Input { lines: BufReader::new(tokio::io::stdin()).lines(), read: 0 }
        } else {
            Self::Arguments(arguments.into_iter())
        }
    }

    fn is_one(&self) -> bool {
        matches!(self, Self::Arguments(arguments) if arguments.len() == 1)
    }

    /// The next message, `None` after the last.
    async fn next(&mut self) -> Result<Option<String>, Failure> {
        match self {
            Self::Arguments(arguments) => Ok(arguments.next()),
            Self::Input { lines, read } => {
                *read += 1;
                let line = lines.next_line().await;
                let line =
                    line.map_err(|error| Failure::Usage(format!("line {read} of the input: {error}")))?;
                let first = *read == 1;
                Ok(line.map(|line| if first { byte_order_mark::skip(&line).to_owned() } else { line }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        append: Append,
    }

    fn parsed(arguments: &[&str]) -> Append {
        Line::try_parse_from([&["append"], arguments].concat()).unwrap().append
    }

    #[test]
    fn a_message_is_a_string_unless_said_otherwise() {
        assert_eq!(parsed(&[]).message("{\"a\": 1}").unwrap().get(), r#""{\"a\": 1}""#);
        assert_eq!(parsed(&["--json-message"]).message("{\"a\": 1}").unwrap().get(), "{\"a\": 1}");
        assert!(parsed(&["--json-message"]).message("{\"a\": ").is_err());
    }

    #[test]
    fn w_is_a_whole_number_from_one() {
        assert_eq!(parsed(&["-w", "3", "x"]).w, Some(3));
        for bad in ["0", "-1", "1.5", "all"] {
            assert!(Line::try_parse_from(["append", "--w", bad, "x"]).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_given_is_not_sent() {
        let message = to_raw_value("x").unwrap();
        let request = Request { message: &message, id: "i", w: None, timeout_ms: None, expect_order: None };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"message":"x","id":"i"}"#);
    }
}
