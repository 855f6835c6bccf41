//! Where the programs are that the tests run.

use std::{
    env,
    path::{Path, PathBuf},
};

/// A program of this project: from the folder in `REPLOG_BIN_DIR`, else as cargo built it beside this test.
///
/// # Panics
/// It is not there; the message says what to run.
pub fn node(name: &str) -> PathBuf {
    let folder = env::var_os("REPLOG_BIN_DIR").map_or_else(profile_folder, PathBuf::from);
    let program = folder.join(name);
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build -p replog-master -p replog-secondary -p replog-cli`",
        program.display()
    );
    program
}

/// The command of this project.
///
/// # Panics
/// As [`node`].
pub fn replog() -> PathBuf {
    node("replog")
}

/// The nats-server: the one that `NATS_SERVER_BIN` names, else the one that `cargo xtask tools` fetched, else one on
/// `PATH`.
pub fn nats_server() -> PathBuf {
    if let Some(named) = env::var_os("NATS_SERVER_BIN") {
        return named.into();
    }
    let fetched = profile_folder().with_file_name("tools").join("nats-server");
    if fetched.is_file() { fetched } else { "nats-server".into() }
}

/// The Python that has nats-py, which `NATS_PY_PYTHON` names.
///
/// # Panics
/// It names none; the message says what to run.
pub fn nats_py() -> PathBuf {
    let named = env::var_os("NATS_PY_PYTHON");
    named.expect("NATS_PY_PYTHON names a Python with nats-py: run `cargo xtask test --only process`").into()
}

/// The schemathesis: the one that `SCHEMATHESIS_BIN` names, else the one that `cargo xtask tools` fetched.
pub fn schemathesis() -> PathBuf {
    let fetched = || profile_folder().with_file_name("tools").join("schemathesis/bin/schemathesis");
    env::var_os("SCHEMATHESIS_BIN").map_or_else(fetched, PathBuf::from)
}

/// The folder of a Python with httpx-sse and the generators of clients: the one that `PYTHON_CLIENTS_BIN` names, else the
/// one that `cargo xtask tools` fetched.
pub fn python_clients() -> PathBuf {
    let fetched = || profile_folder().with_file_name("tools").join("python-clients/bin");
    env::var_os("PYTHON_CLIENTS_BIN").map_or_else(fetched, PathBuf::from)
}

/// The folder of the profile that this test was built with: tests lie in `target/<profile>/deps`.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own program");
    test.ancestors().nth(2).map_or_else(|| Path::new("target/debug").into(), Path::to_path_buf)
}
