//! What tests are told about the machine, by environment variables.
//!
//! | variable | value |
//! | --- | --- |
//! | `NATS_SERVER_BIN` | path of the nats-server to start |
//! | `PROMTOOL_BIN` | path of promtool, where there is one |
//! | `NATS_PY_PYTHON` | path of a Python that has nats-py, where there is one |
//! | `SCHEMATHESIS_BIN` | path of schemathesis, where there is one |
//! | `PYTHON_CLIENTS_BIN` | folder of a Python with httpx-sse and generators of clients, where there is one |
//! | `REPLOG_BIN_DIR` | folder of the static `replog-master`, `replog-secondary` and `replog` |
//! | `REPLOG_NODE_IMAGE` | image with the three of them in its root folder; its entry point is `/replog` |
//! | `REPLOG_NATS_IMAGE` | image of which the entry point is nats-server |

use std::ffi::OsString;

use anyhow::Result;

use crate::{
    images, programs, tools,
    tools::{nats_py, promtool, python_clients, schemathesis},
};

/// The variables, by name.
///
/// # Errors
/// There is no nats-server, or no rustc.
pub(crate) fn variables() -> Result<Vec<(&'static str, OsString)>> {
    let promtool = promtool::find().map(|path| ("PROMTOOL_BIN", path.into()));
    let nats_py = nats_py::find().map(|path| ("NATS_PY_PYTHON", path.into()));
    let schemathesis = schemathesis::find().map(|path| ("SCHEMATHESIS_BIN", path.into()));
    let python_clients = python_clients::find().map(|path| ("PYTHON_CLIENTS_BIN", path.into()));
    let needed = [
        ("NATS_SERVER_BIN", tools::nats_server()?.into()),
        ("REPLOG_BIN_DIR", programs::folder()?.into()),
        ("REPLOG_NODE_IMAGE", images::NODE_IMAGE.into()),
        ("REPLOG_NATS_IMAGE", images::NATS_IMAGE.into()),
    ];
    Ok(needed.into_iter().chain(promtool).chain(nats_py).chain(schemathesis).chain(python_clients).collect())
}
