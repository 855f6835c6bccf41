//! System calls that fail, by strace.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use super::Process;

/// A process whose system calls fail as `fault` says, from its next start on.
#[derive(Debug)]
pub struct Faults {
    trace: PathBuf,
}

/// Lets the `nth` call of `call`, counted in each thread, fail with `error` in the process, from its next start on.
///
/// # Panics
/// strace is not installed.
pub fn inject(process: &mut Process, call: &str, error: &str, nth: usize) -> Faults {
    let trace = process.log_path().with_extension(format!("{call}-{nth}.strace"));
    let (only, fault) = (format!("trace={call}"), format!("inject={call}:error={error}:when={nth}"));
    // -D: strace is the node's grandchild, so that the node is ours to kill and to wait for.
    let args = ["-D", "-f", "-qq", "--seccomp-bpf", "-e", &only, "-e", &fault, "-o"].map(OsString::from);
    process.run_under(installed(), args.into_iter().chain([trace.clone().into()]).collect());
    Faults { trace }
}

impl Faults {
    /// Ends them: the process runs by itself again, from its next start on.
    ///
    /// # Panics
    /// None was injected: the test proves nothing.
    pub fn end(self, process: &mut Process) {
        process.run_alone();
        let trace = fs::read_to_string(&self.trace).unwrap_or_default();
        assert!(
            trace.contains("(INJECTED)"),
            "strace injected nothing: may this process trace others? {trace}"
        );
    }
}

/// Where strace is.
fn installed() -> PathBuf {
    let folders = env::var_os("PATH").unwrap_or_default();
    let found =
        env::split_paths(&folders).map(|folder| folder.join("strace")).find(|path| Path::is_file(path));
    found.expect("strace is not installed: `apt-get install strace`")
}
