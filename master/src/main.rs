//! The `replog-master` program.

use std::process::ExitCode;

use replog_host::config::parse;
use replog_master::{Config, app, config::Args};

/// The configuration is wrong: nothing was opened.
const EXIT_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let config = match Config::try_from(parse::<Args>()) {
        Ok(config) => config,
        Err(error) => return replog_host::telemetry::fail(&error, EXIT_CONFIG),
    };
    replog_host::telemetry::init(config.log_json);
    match replog_host::runtime::block_on(app::run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => replog_host::telemetry::fail(&format!("{error:#}"), 1),
    }
}
