//! `replog completions`: what a shell needs to complete the command line.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{Cli, failure::Failure, output};

/// Print the completions of a shell.
///
/// For bash: replog completions bash > ~/.local/share/bash-completion/completions/replog
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "replog", &mut script);
        let mut out = output::data();
        out.write_all(&script)?;
        Ok(out.flush()?)
    }
}
