//! The words that descriptions are made of.

use std::{collections::BTreeSet, fs, path::Path};

use replog_host::openapi::problems::ALL;

/// The codes in the README's table of errors, each with its status.
fn listed() -> BTreeSet<(u16, String)> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"));
    let readme = readme.expect("there is a README");
    let (_, errors) = readme.split_once("### Errors").expect("it has a section on errors");
    let (errors, _) = errors.split_once("\n### ").expect("another section follows");
    let cells = errors.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let rows = cells.filter_map(|cells| Some((cells.get(1)?.parse().ok()?, (*cells.get(2)?).to_owned())));
    rows.flat_map(|(status, codes): (u16, String)| {
        let words: Vec<String> = codes.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let is_code = |word: &String| word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
        words.into_iter().filter(is_code).map(move |code| (status, code))
    })
    .collect()
}

#[test]
fn the_readme_and_the_descriptions_know_the_same_codes() {
    let described: BTreeSet<(u16, String)> =
        ALL.iter().map(|known| (known.status, known.code.to_owned())).collect();
    assert_eq!(described.len(), ALL.len(), "no code stands there twice");
    assert_eq!(listed(), described);
}
