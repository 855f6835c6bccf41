//! The description of the API as it is committed.

use std::{env, fs, path::Path};

/// `docs/openapi/secondary.json` is what the code says. `REPLOG_RENEW=1` writes it.
#[test]
fn the_committed_description_is_the_codes_own() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi/secondary.json");
    let described = format!("{:#}\n", replog_secondary::openapi());
    if env::var_os("REPLOG_RENEW").is_some() {
        fs::write(&path, &described).expect("it can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == described,
        "docs/openapi/secondary.json is not what the code says: renew it by `REPLOG_RENEW=1 cargo nextest run -E \
         'binary(openapi)'`, and look at the difference"
    );
}
