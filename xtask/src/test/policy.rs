//! cargo deny: what may be in the dependency tree.

use std::time::Duration;

use anyhow::Result;

use crate::{process::Program, test::summary::Report};

/// The database of advisories is small: whoever reaches it has it by then.
const DATABASE_LIMIT: Duration = Duration::from_secs(60);

/// Checks licences, banned crates and sources always, advisories if their database can be had; says so if not.
///
/// # Errors
/// A crate breaks a rule of deny.toml.
pub(super) fn check() -> Result<Report> {
    deny(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]).run()?;
    if let Err(error) = deny(["fetch", "db"]).run_within(DATABASE_LIMIT) {
        println!("SKIPPED: advisories are not checked, as their database cannot be had: {error:#}");
        return Ok(Report {
            tests: None,
            note: Some("advisories SKIPPED: no access to their database".into()),
        });
    }
    deny(["check", "--disable-fetch", "advisories"]).run()?;
    Ok(Report::default())
}

fn deny<const N: usize>(args: [&str; N]) -> Program {
    Program::new("cargo").args(["deny", "--locked"]).args(args)
}
