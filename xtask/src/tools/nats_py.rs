//! nats-py, the NATS client for Python: a second library that appends over NATS, written by others.

use std::path::PathBuf;

use super::python;

const NAME: &str = "nats-py";

/// It needs no other package.
const REQUIREMENTS: &str = "nats-py==2.15.0 \
     --hash=sha256:9f8d36aa52a9926a88b8f1d70cf1fdce0ad387941479b500ee9ab3e51073cefd\n";

/// The Python that has it; none if it was not fetched.
pub(crate) fn find() -> Option<PathBuf> {
    python::find(NAME, REQUIREMENTS).map(|folder| folder.join("bin/python"))
}

/// Fetches it unless it is there. Says so where that is not possible: what needs it is skipped then.
pub(super) fn fetch() {
    match python::venv(NAME, REQUIREMENTS) {
        Ok(folder) => println!("nats-py is in {}", folder.display()),
        Err(error) => println!(
            "SKIPPED: nats-py cannot be had, so that nothing is appended by a second NATS library: {error:#}; it needs \
             Python with venv (Debian: `apt-get install python3-venv`) and PyPI"
        ),
    }
}
