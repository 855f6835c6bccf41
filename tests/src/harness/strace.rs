//! System calls that fail, take long, or are the last ones of their process, by strace.

use std::{
    env,
    ffi::OsString,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Process, SOON, wait_until};

/// System calls and what is to become of one of them.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Their names, with commas between.
    pub calls: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// Which one, counted from 1 in each thread. Those after it are well again: whoever tries again gets what he wants,
    /// and has broken his word.
    pub nth: usize,
}

/// What becomes of a system call.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// It ends with the error of this name.
    Error(&'static str),
    /// It is put off by so many microseconds, and so is every later one.
    Delay(u32),
    /// The process is killed instead.
    Kill,
}

/// Faults of a process. Dropping them ends them, unless the process has ended.
#[derive(Debug)]
pub struct Faults {
    trace: PathBuf,
    tracer: Option<Child>,
}

/// Lets a call fail from the next start of the process on, until [`Faults::end`].
///
/// # Panics
/// strace is not installed.
pub fn inject(process: &mut Process, fault: Fault) -> Faults {
    let trace = trace_of(process);
    // -D: strace is the node's grandchild, so that the node is ours to kill and to wait for.
    let args = ["-D".into(), "--seccomp-bpf".into()].into_iter().chain(fault.args(&trace));
    process.run_under(installed(), args.collect());
    Faults { trace, tracer: None }
}

/// Lets a call of the running process fail, from now on.
///
/// # Panics
/// strace is not installed, or may not trace the process.
pub async fn strike(process: &Process, fault: Fault) -> Faults {
    let trace = trace_of(process);
    attach(process, fault.args(&trace), trace).await
}

async fn attach(process: &Process, args: Vec<OsString>, trace: PathBuf) -> Faults {
    let pid = process.id().to_string();
    let mut tracer = Command::new(installed())
        .args(args)
        .args(["-p", &pid])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace can be started");
    wait_until("strace traces the process", SOON, async || {
        // Under load the fault may have done its work before anybody looks.
        if is_alive(&mut tracer) || has_struck(&trace) {
            return is_traced(&pid) || has_struck(&trace);
        }
        panic!("strace gave up: {}", words_of(&mut tracer));
    })
    .await;
    Faults { trace, tracer: Some(tracer) }
}

/// Lets calls of the running process stand still, from now on: who makes one does not come back from it as long as the
/// answer is kept.
///
/// # Panics
/// strace is not installed, or may not trace the process.
pub async fn stall(process: &Process, calls: &str) -> Faults {
    let trace = trace_of(process);
    // Microseconds: longer than any test.
    attach(process, injection(calls, "delay_enter=3600000000", &trace), trace).await
}

/// What the threads of a running process read of its files, from now on.
#[derive(Debug)]
pub struct Watch {
    faults: Faults,
    main_thread: u32,
}

/// Watches the reads of files of the running process.
///
/// # Panics
/// strace is not installed, or may not trace the process.
pub async fn watch(process: &Process) -> Watch {
    let trace = trace_of(process);
    let mut args: Vec<OsString> = ["-f", "-qq", "-y", "-e", READS, "-o"].map(OsString::from).into();
    args.push(trace.as_os_str().to_owned());
    Watch { faults: attach(process, args, trace).await, main_thread: process.id() }
}

/// All calls that read a file.
const READS: &str = "trace=read,readv,pread64,preadv,preadv2";

impl Watch {
    /// Reads of files of this directory so far: by the thread in which the node works, and by others.
    ///
    /// # Panics
    /// There is no trace.
    pub fn reads(&self, directory: &Path) -> (Vec<String>, usize) {
        let trace = fs::read_to_string(&self.faults.trace).expect("strace writes what it sees");
        let main_thread = self.main_thread.to_string();
        let in_directory = format!("<{}/", directory.display());
        let reads = trace.lines().filter(|line| line.contains(&in_directory));
        let (main, others): (Vec<&str>, Vec<&str>) =
            reads.partition(|line| line.split_whitespace().next() == Some(&main_thread));
        (main.into_iter().map(str::to_owned).collect(), others.len())
    }
}

impl Fault {
    fn args(self, trace: &Path) -> Vec<OsString> {
        let Fault { calls, fate, nth } = self;
        let what = match fate {
            Fate::Error(name) => format!("error={name}:when={nth}"),
            Fate::Delay(micros) => format!("delay_enter={micros}:when={nth}+"),
            Fate::Kill => format!("signal=KILL:when={nth}"),
        };
        injection(calls, &what, trace)
    }
}

fn injection(calls: &str, what: &str, trace: &Path) -> Vec<OsString> {
    let (only, fault) = (format!("trace={calls}"), format!("inject={calls}:{what}"));
    let mut args: Vec<OsString> = ["-f", "-qq", "-e", &only, "-e", &fault, "-o"].map(OsString::from).into();
    args.push(trace.as_os_str().to_owned());
    args
}

impl Faults {
    /// Whether a call that one was injected into has come back, or ended its process.
    pub fn have_struck(&self) -> bool {
        has_struck(&self.trace)
    }

    /// Ends those that [`inject`]ed a call which does not come back: it comes back now. The process runs by itself again,
    /// from its next start on.
    ///
    /// # Panics
    /// Nobody traces the process: the test proves nothing.
    pub fn lift(self, process: &mut Process) {
        process.run_alone();
        let tracer = tracer_of(process.id()).and_then(Pid::from_raw);
        kill_process(tracer.expect("strace traces the process"), Signal::KILL).expect("strace can be killed");
    }

    /// Ends them once the process has ended: it runs by itself again, from its next start on.
    ///
    /// # Panics
    /// None was injected: the test proves nothing.
    pub fn end(self, process: &mut Process) {
        process.run_alone();
        assert!(has_struck(&self.trace), "the run is invalid: strace injected nothing");
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        if let Some(tracer) = &mut self.tracer {
            // It may have ended with the process that it traced.
            let _may_have_ended = tracer.kill();
            let _may_have_ended = tracer.wait();
        }
    }
}

/// A file of its own for each fault of a process.
fn trace_of(process: &Process) -> PathBuf {
    process.log_path().with_extension(format!("{:016x}.strace", fastrand::u64(..)))
}

fn has_struck(trace: &Path) -> bool {
    let signs = ["(INJECTED)", "(DELAYED)", "killed by SIGKILL"];
    fs::read_to_string(trace).is_ok_and(|trace| signs.iter().any(|sign| trace.contains(sign)))
}

fn is_alive(child: &mut Child) -> bool {
    child.try_wait().is_ok_and(|status| status.is_none())
}

fn words_of(child: &mut Child) -> String {
    let mut words = String::new();
    let _says_nothing = child.stderr.as_mut().map(|stderr| stderr.read_to_string(&mut words));
    words
}

/// Whether all threads of a process have a tracer.
fn is_traced(pid: &str) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let mut status = threads.map(|thread| Some(fs::read_to_string(thread.ok()?.path().join("status")).ok()));
    status.all(|status| status.flatten().is_some_and(|status| !status.contains("TracerPid:\t0\n")))
}

/// Who traces a thread of a process: its first one may have ended.
fn tracer_of(pid: u32) -> Option<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let tracer =
        |status: String| status.lines().find_map(|line| line.strip_prefix("TracerPid:\t")?.parse().ok());
    let tracers =
        threads.flatten().filter_map(|thread| tracer(fs::read_to_string(thread.path().join("status")).ok()?));
    tracers.into_iter().find(|tracer| *tracer != 0)
}

/// Where strace is.
fn installed() -> PathBuf {
    let folders = env::var_os("PATH").unwrap_or_default();
    let found =
        env::split_paths(&folders).map(|folder| folder.join("strace")).find(|path| Path::is_file(path));
    found.expect("strace is not installed: `apt-get install strace`")
}
