//! `replog-secondary`: a replica of a replog log, on NATS.

mod telemetry;

use std::process::ExitCode;

use clap::Parser;
use replog_secondary::config::Args;

/// The exit code for a command line that cannot be used, as clap's own.
const EXIT_USAGE: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let format = args.log_format;
    let config = match args.check() {
        Ok(config) => config,
        Err(error) => {
            telemetry::complain(&error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    telemetry::init(format);
    match replog_secondary::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
