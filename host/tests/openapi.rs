//! The list of codes as clients read it.

use std::{env, fmt::Write as _, fs, path::Path};

use replog_shared::Code;

const HEAD: &str = "| status | `code` | again | why |\n| --- | --- | --- | --- |\n";

/// The table of errors: one row a code.
fn table() -> String {
    let mut table = HEAD.to_owned();
    for code in Code::ALL {
        let again = if code.is_retryable() { "later" } else { "–" };
        writeln!(table, "| {} | `{code}` | {again} | {} |", code.status(), code.why())
            .expect("a string takes all");
    }
    table
}

/// The README's table of errors is made of the list of codes. `REPLOG_RENEW=1` writes it.
#[test]
fn the_readme_has_every_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(&path).expect("there is a README");
    let at = readme.find(HEAD).expect("it has a table of errors");
    let end = readme[at..].find("\n\n").expect("something follows the table") + at + 1;
    let renewed = [&readme[..at], &table(), &readme[end..]].concat();
    if env::var_os("REPLOG_RENEW").is_some() {
        fs::write(&path, &renewed).expect("it can be written");
    }
    let committed = fs::read_to_string(&path).expect("there is a README");
    assert!(
        committed == renewed,
        "the table of errors in the README is not the list of codes: renew it by `REPLOG_RENEW=1 cargo nextest run -E \
         'binary(openapi)'`"
    );
}
