//! One program that runs as a process, and everything that can happen to it.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::wait::eventually;

/// A node that is asked to stop has stopped by then.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A program with its arguments: running, stopped, or not started yet. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    /// A program that runs this one, and its own arguments.
    under: Option<(PathBuf, Vec<OsString>)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Not started yet. What it writes is appended to the file `log`, over all its starts.
    pub fn new(name: &str, program: PathBuf, args: Vec<OsString>, log: PathBuf) -> Process {
        Process { name: name.to_owned(), program, args, under: None, log, child: None }
    }

    /// The name under which its log is shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number among the processes of this machine.
    ///
    /// # Panics
    /// It does not run.
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name)).id()
    }

    /// Starts it, for the first time or again.
    ///
    /// # Panics
    /// It runs already, or cannot be started.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log =
            OpenOptions::new().create(true).append(true).open(&self.log).expect("a log file can be opened");
        let mut command = match &self.under {
            None => Command::new(&self.program),
            Some((tool, args)) => {
                let mut command = Command::new(tool);
                command.args(args).arg(&self.program);
                command
            }
        };
        let child = command
            .args(&self.args)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "RUST_LOG"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file can be opened twice"))
            .stderr(log)
            .spawn();
        self.child = Some(
            child.unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.program.display())),
        );
    }

    /// From its next start on, another program runs this one.
    pub fn run_under(&mut self, tool: PathBuf, args: Vec<OsString>) {
        self.under = Some((tool, args));
    }

    /// From its next start on, no other program runs this one.
    pub fn run_alone(&mut self) {
        self.under = None;
    }

    /// SIGKILL: it has no time for anything. Returns when it is gone.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap_or_else(|| panic!("{} does not run", self.name));
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }

    /// SIGTERM: please stop. Returns at once.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGTERM, and waits until it has ended well.
    ///
    /// # Panics
    /// It needs longer than was promised, or fails.
    pub async fn stop(&mut self) {
        self.terminate();
        let status = self.ended(STOP_LIMIT).await;
        assert!(status.success(), "{} was asked to stop and ended with {status}", self.name);
    }

    /// Waits until it has given up by itself, with exit code 1.
    ///
    /// # Panics
    /// It still runs after `limit`, or ends otherwise.
    pub async fn gives_up(&mut self, limit: Duration) {
        let status = self.ended(limit).await;
        assert_eq!(status.code(), Some(1), "{} ended with {status}: {}", self.name, self.log());
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// It still runs after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} has ended", self.name);
        let status = eventually(&what, limit, async || self.exit_status()).await;
        self.child = None;
        status
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("a child can be asked for its end")
    }

    /// SIGSTOP: it holds everything it has, and does nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: it goes on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGHUP: read your files again. Returns at once.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name));
        kill_process(Pid::from_child(child), signal).expect("a child can be sent a signal");
    }

    /// Whether it was started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.is_some() && self.exit_status().is_none()
    }

    /// Whether it has ended and is kept only by a thread in a call that does not come back: strace, as a kernel that waits
    /// for a disk, does not let go of it before.
    ///
    /// # Panics
    /// It was not started, or is gone.
    pub fn has_ended(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("a child has a state");
        status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
    }

    /// Whether one of its threads is within a system call of these numbers.
    ///
    /// # Panics
    /// It does not run.
    pub fn stands_in(&self, calls: &[&str]) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).expect("a child has threads");
        let current =
            threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("syscall")).ok());
        current.into_iter().any(|call| call.split(' ').next().is_some_and(|number| calls.contains(&number)))
    }

    /// Where that stands which it writes.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// All that it has written.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}
