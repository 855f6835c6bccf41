//! Running other programs: each is shown before it runs, and a failure says what to do about it.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt, io, iter,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::workspace;

/// How often a program with a deadline is looked after.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// One program with its arguments, run in the root of the checkout unless [`Program::folder`] says otherwise.
pub(crate) struct Program {
    command: Command,
}

impl Program {
    /// A program found on `PATH`, or at a path.
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(name);
        command.current_dir(workspace::root()).stdin(Stdio::null());
        Self { command }
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets environment variables.
    pub(crate) fn envs(mut self, variables: &[(&'static str, OsString)]) -> Self {
        self.command.envs(variables.iter().map(|(name, value)| (name, value)));
        self
    }

    /// Runs in another folder.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it in sight.
    ///
    /// # Errors
    /// It is not installed, or ends with anything but success.
    pub(crate) fn run(mut self) -> Result<()> {
        println!("$ {self}");
        let status = self.command.status().map_err(|error| self.not_started(&error))?;
        self.expect_success(status)
    }

    /// Runs it in sight, and ends it when `limit` is over.
    ///
    /// # Errors
    /// As [`Program::run`]; or it took too long.
    pub(crate) fn run_within(mut self, limit: Duration) -> Result<()> {
        println!("$ {self}");
        let deadline = Instant::now() + limit;
        let mut child = self.command.spawn().map_err(|error| self.not_started(&error))?;
        loop {
            if let Some(status) = child.try_wait()? {
                return self.expect_success(status);
            }
            if Instant::now() >= deadline {
                child.kill()?;
                child.wait()?;
                bail!("`{}` did not end within {} s", self.words(), limit.as_secs());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Runs it unseen and returns what it printed on standard output, trimmed.
    ///
    /// # Errors
    /// As [`Program::run`]; the message holds what it said on standard error.
    pub(crate) fn read(mut self) -> Result<String> {
        let Output { status, stdout, stderr } =
            self.command.output().map_err(|error| self.not_started(&error))?;
        self.expect_success(status).with_context(|| String::from_utf8_lossy(&stderr).trim().to_owned())?;
        let text =
            String::from_utf8(stdout).with_context(|| format!("`{}` printed no UTF-8", self.words()))?;
        Ok(text.trim().to_owned())
    }

    /// Runs it unseen: is it there, and does it succeed?
    pub(crate) fn succeeds(mut self) -> bool {
        let quiet = self.command.stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    fn expect_success(&self, status: ExitStatus) -> Result<()> {
        if status.success() { Ok(()) } else { Err(anyhow!("`{}` failed ({status})", self.words())) }
    }

    /// The program and its arguments, as one would type them.
    fn words(&self) -> String {
        let words = iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(quoted).collect::<Vec<_>>().join(" ")
    }

    fn not_started(&self, error: &io::Error) -> anyhow::Error {
        let name = self.command.get_program().to_string_lossy();
        if error.kind() == io::ErrorKind::NotFound {
            anyhow!("{name} is not installed: {}", how_to_install(&name))
        } else {
            anyhow!("{name} cannot be started: {error}")
        }
    }
}

/// The command line, with the variables set for it, as one would type it.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                write!(f, "{}={} ", name.to_string_lossy(), quoted(value))?;
            }
        }
        f.write_str(&self.words())
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn how_to_install(program: &str) -> &'static str {
    match program {
        "docker" => "install Docker Engine (Debian: `apt-get install docker.io`) and start it",
        "python3" => "install Python with pip (Debian: `apt-get install python3 python3-pip`)",
        "debootstrap" => "install it (Debian: `apt-get install debootstrap`)",
        "cargo" | "rustc" | "rustup" => "get Rust by rustup (https://rustup.rs)",
        "tar" => "install it with your system's package manager",
        _ => "put it on PATH",
    }
}

/// The path of a program on `PATH`, if it is there.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Program;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let program = Program::new("cargo").env("RUSTFLAGS", "-C opt").args(["-E", "not it's", ""]);
        assert_eq!(program.to_string(), r"RUSTFLAGS='-C opt' cargo -E 'not it'\''s' ''");
    }

    #[test]
    fn a_missing_program_is_named_with_what_to_install() {
        let error = Program::new("no-such-program").run().unwrap_err().to_string();
        assert_eq!(error, "no-such-program is not installed: put it on PATH");
    }

    #[test]
    fn a_failing_program_is_named_with_its_status() {
        let error = Program::new("false").run().unwrap_err().to_string();
        assert_eq!(error, "`false` failed (exit status: 1)");
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let error = Program::new("sleep").arg("600").run_within(Duration::ZERO).unwrap_err().to_string();
        assert_eq!(error, "`sleep 600` did not end within 0 s");
    }

    #[test]
    fn what_it_prints_can_be_read() {
        assert_eq!(Program::new("echo").arg("one two").read().unwrap(), "one two");
    }
}
