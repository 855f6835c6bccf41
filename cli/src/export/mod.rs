//! `replog export`: the log into a file, one entry a line.

mod target;

use std::{io::Write as _, path::PathBuf};

use clap::Args;
use http_body_util::BodyExt as _;
use indicatif::ProgressBar;

use self::target::ExportFile;
use crate::{
    Target,
    bulk::{self, Patience},
    client::{self, Client},
    failure::Failure,
    format::grouped,
    history::History,
    output,
};

/// Write the log to a file, one entry a line: {"order": …, "epoch": …, "at": …, "id": …, "message": …}.
///
/// Any node can be asked. "replog import" reads such a file. With --resume it goes on behind the last entry of the file,
/// which must be the same in the log. If the log is emptied or cut by a promotion meanwhile, it stops with exit code 1.
#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    target: Target,
    /// The file; "-": standard output.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// The order to begin with; orders count from 0.
    #[arg(long, value_name = "ORDER", default_value_t = 0, conflicts_with = "resume")]
    from: u64,
    /// Add to the file what the log has behind its last entry. A line that is not whole is cut off.
    #[arg(long)]
    resume: bool,
}

impl Export {
    /// Writes all entries that are shown.
    ///
    /// # Errors
    /// The node cannot be reached, or is no longer reached for a while; the file cannot be written or is not what it
    /// should be; the log was cut. What was written until then is whole.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let to_output = self.file.as_os_str() == "-";
        if to_output && self.resume {
            return Err(Failure::Usage("--resume goes with a file".to_owned()));
        }
        let (mut out, mut history): (Box<dyn std::io::Write>, _) = if to_output {
            (Box::new(output::data()), History::from(self.from))
        } else {
            let opened = ExportFile::open(&self.file, self.resume)?;
            let history = opened.last.map_or_else(|| Ok(History::from(self.from)), History::behind);
            (Box::new(opened.out), history?)
        };
        let mut client = self.target.client()?;
        let bar = bulk::bar(Some(client::length(&mut client).await?), "per_sec");
        let began = history.next_order();
        let exported = self.write_all(&mut client, &mut history, &mut out, &bar).await;
        out.flush()?;
        bar.finish_and_clear();
        exported?;
        output::say(format_args!("replog: {} entries written", grouped(history.next_order() - began)));
        Ok(())
    }

    /// Asks until one answer has come whole.
    async fn write_all(
        &self,
        client: &mut Client,
        history: &mut History,
        out: &mut dyn std::io::Write,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let mut patience = Patience::new();
        loop {
            let before = history.next_order();
            match self.write_answer(client, history, out, bar).await {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    if history.next_order() > before {
                        patience.renew();
                    }
                    patience.bear(failure).await?;
                    *client = self.target.client()?;
                }
            }
        }
    }

    async fn write_answer(
        &self,
        client: &mut Client,
        history: &mut History,
        out: &mut dyn std::io::Write,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let answer = client::checked(client.get_lines(&history.full_messages()).await?).await?;
        history.enter(answer.headers())?;
        let (mut body, mut rest, mut proven) = (answer.into_body(), Vec::new(), history.is_new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::Unknown(format!("the answer broke off: {error}")))?;
            rest.extend_from_slice(frame.data_ref().map_or(&[], |bytes| bytes));
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            for line in rest[..whole].split_inclusive(|byte| *byte == b'\n') {
                let text = String::from_utf8_lossy(line);
                if history.admit(text.trim_end_matches('\n'))?.is_some() {
                    out.write_all(line)?;
                }
                proven = true;
            }
            rest.drain(..whole);
            bar.set_position(history.next_order());
        }
        // The last entry was asked for once more, and is not there.
        if proven { Ok(()) } else { Err(history.missing()) }
    }
}
