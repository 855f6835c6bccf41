//! What clients in Python are made with: a reader of server-sent events, and two generators of clients from a description
//! in OpenAPI, of which one is a program for Java.

use std::path::PathBuf;

use super::python;

const NAME: &str = "python-clients";

/// The packages and their versions.
const REQUIREMENTS: &str = include_str!("../../../tests/python_clients/requirements.txt");

/// The folder of their programs; none if they were not fetched.
pub(crate) fn find() -> Option<PathBuf> {
    python::find(NAME, REQUIREMENTS).map(|folder| folder.join("bin"))
}

/// Fetches them unless they are there. Says so where that is not possible: what needs them is skipped then.
pub(super) fn fetch() {
    match python::venv(NAME, REQUIREMENTS) {
        Ok(folder) => {
            println!("httpx-sse, openapi-python-client and OpenAPI Generator are in {}", folder.display());
        }
        Err(error) => println!(
            "SKIPPED: httpx-sse and the generators of clients cannot be had, so that no client is made of the \
             descriptions of nodes: {error:#}; they need Python 3.11 or newer with venv (Debian: `apt-get install \
             python3-venv`) and PyPI"
        ),
    }
}
