//! promtool: what Prometheus makes of the rules under `deploy/prometheus`.

use anyhow::Result;

use crate::{process::Program, test::summary::Report, tools::promtool};

/// Checks the configuration with its rules, and runs the tests of the alerts; says so where there is no promtool.
///
/// # Errors
/// A rule is wrong, or an alert does not do what its test says.
pub(super) fn check() -> Result<Report> {
    let Some(promtool) = promtool::find() else {
        println!("SKIPPED: the rules under deploy/prometheus are not checked, as there is no promtool");
        return Ok(Report { tests: None, note: Some("SKIPPED: no promtool".to_owned()) });
    };
    let run = |words: [&str; 3]| Program::new(&promtool).args(words).run();
    run(["check", "config", "deploy/prometheus/prometheus.yml"])?;
    run(["test", "rules", "deploy/prometheus/alerts.test.yml"])?;
    Ok(Report::default())
}
