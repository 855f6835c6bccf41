//! `replog promote`: show what a promotion would do, ask, and do it.

use std::{
    env,
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::{Command, ExitStatus},
};

use clap::Args;

use crate::{failure::Failure, output};

/// The program that is run.
const MASTER: &str = "replog-master";

/// Make a node the master of its log: shows what would be kept and what given up, asks, then runs replog-master.
///
/// Stop the node first; give the flags that it shall have as a master behind `--`, such as
/// `replog promote -- --name secondary1 --data-dir data/secondary1 --secondaries master,secondary2 --reach 2`.
/// The process goes on as that master.
#[derive(Args)]
pub(crate) struct Promote {
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Flags of replog-master; --promote is added.
    #[arg(last = true, required = true, value_name = "FLAG")]
    flags: Vec<String>,
}

impl Promote {
    /// Runs the dry run, asks, and runs the master until it ends.
    ///
    /// # Errors
    /// The dry run fails, nobody agrees, or the master ends badly.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        succeeded(self.master(&["--promote", "--dry-run"])?)?;
        if !self.yes && !agreed()? {
            return Err(Failure::Bad("not promoted: nothing was changed".to_owned()));
        }
        succeeded(self.master(&["--promote"])?)
    }

    fn master(&self, more: &[&str]) -> Result<ExitStatus, Failure> {
        let program = master_program();
        let status = Command::new(&program).args(&self.flags).args(more).status();
        status.map_err(|error| Failure::Usage(format!("{} cannot be run: {error}", program.display())))
    }
}

/// Beside this program, where both are installed together, or else on PATH.
fn master_program() -> PathBuf {
    let beside = env::current_exe().ok().map(|own| own.with_file_name(MASTER));
    beside.filter(|program| program.is_file()).unwrap_or_else(|| PathBuf::from(MASTER))
}

fn succeeded(status: ExitStatus) -> Result<(), Failure> {
    match status.code() {
        Some(0) => Ok(()),
        Some(2) => Err(Failure::Usage(format!("{MASTER} does not take these flags"))),
        _ => Err(Failure::Bad(format!("{MASTER} ended with {status}"))),
    }
}

/// Only a person at a terminal can agree.
fn agreed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "nobody can be asked here: give --yes to promote without asking".to_owned(),
        ));
    }
    output::say(format_args!("Promote it? The nodes reached will follow no older master any more. [y/N]"));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
