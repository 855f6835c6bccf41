//! The `replog-secondary` program.

use std::process::ExitCode;

use replog_host::{config::parse, runtime, telemetry};
use replog_secondary::{Config, app, config::Args};

/// The configuration is wrong: nothing was opened.
const EXIT_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let config = match Config::try_from(parse::<Args>()) {
        Ok(config) => config,
        Err(error) => return telemetry::fail(&error, EXIT_CONFIG),
    };
    telemetry::init(config.log_json);
    match runtime::block_on(app::run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => telemetry::fail(&format!("{error:#}"), 1),
    }
}
