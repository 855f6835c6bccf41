//! What the tests of some binaries need and not every machine allows. Such tests are never passed over in silence: they
//! are left out here, which is told and counted. Run by hand on such a machine, they fail and say what they need.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{
    process,
    process::Program,
    tools::{nats_py, python_clients, schemathesis},
    workspace,
};

/// Tests of one binary that this machine cannot run.
pub(super) struct Skipped {
    /// The binary.
    pub(super) binary: &'static str,
    /// What the machine lacks.
    pub(super) why: anyhow::Error,
}

/// A question to the machine: an error is a no, and says why.
type Probe = fn() -> Result<()>;

/// Binaries with processes, and what they need.
const NEEDS: [(&str, Probe); 12] = [
    ("process_console", has_browser),
    ("process_console_states", has_browser),
    ("process_docs", has_browser),
    ("process_dying_starts", may_trace),
    ("process_full_disk", may_mount),
    ("process_nats_py", has_nats_py),
    ("process_openapi_generator", has_openapi_generator),
    ("process_python_clients", has_python_clients),
    ("process_schemathesis", has_schemathesis),
    ("process_cold_reads", may_trace),
    ("process_slow_disk", may_trace),
    ("process_sync_errors", may_trace),
];

/// What cannot be run here.
pub(super) fn skipped() -> Vec<Skipped> {
    let skipped = |(binary, probe): (&'static str, Probe)| Some(Skipped { binary, why: probe().err()? });
    NEEDS.into_iter().filter_map(skipped).collect()
}

/// Errors of system calls are injected by strace into processes that run already.
fn may_trace() -> Result<()> {
    process::find("strace").context("strace is not installed (Debian: `apt-get install strace`)")?;
    let attach = "sleep 1 & strace -qq -e trace=none -p $!";
    Program::new("sh").args(["-c", attach]).read().map(drop).context("strace may not trace other processes")
}

/// The console and the page of the API are tested in Chromium, by its driver; pkill ends what both leave behind.
fn has_browser() -> Result<()> {
    let needed = ["chromium", "chromedriver", "pkill"].map(process::find);
    let missing = "Chromium is not installed (Debian: `apt-get install chromium chromium-driver procps`)";
    needed.iter().all(Option::is_some).then_some(()).context(missing)
}

/// Appends over NATS are tried by nats-py, too.
fn has_nats_py() -> Result<()> {
    nats_py::find().map(drop).context("nats-py cannot be had: see the step tools")
}

/// The description of the API is held against nodes by schemathesis.
fn has_schemathesis() -> Result<()> {
    schemathesis::find().map(drop).context("schemathesis cannot be had: see the step tools")
}

/// The log is followed by httpx-sse, and a client is made of the description of the API by openapi-python-client.
fn has_python_clients() -> Result<()> {
    python_clients::find().map(drop).context("the clients in Python cannot be had: see the step tools")
}

/// Another client is made by OpenAPI Generator, which needs Java.
fn has_openapi_generator() -> Result<()> {
    has_python_clients()?;
    let missing = "Java is not installed (Debian: `apt-get install default-jre-headless`)";
    process::find("java").map(drop).context(missing)
}

/// A small disk is a file system in memory.
fn may_mount() -> Result<()> {
    let place = workspace::target().join("mount-probe");
    fs::create_dir_all(&place)?;
    let mount = Program::new("mount").args(["-t", "tmpfs", "-o", "size=4096", "replog-probe"]).arg(&place);
    mount.read().context("this user may not mount a file system")?;
    Program::new("umount").arg(&place).run()
}
