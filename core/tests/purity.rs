//! What decides, and the words in which it decides, can neither wait, nor read a clock, nor draw chance: the same events
//! give the same effects, in a simulation and on a node.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The crates that are to be pure.
const PURE: [&str; 2] = ["core", "shared"];

/// All crates below them, whoever brings them in, but for those that only compile.
const CRATES: [&str; 17] = [
    "bytes",
    "dyn_clone",
    "fastrand",
    "hashbrown",
    "itoa",
    "memchr",
    "ref_cast",
    "replog_core",
    "replog_shared",
    "schemars",
    "serde",
    "serde_core",
    "serde_json",
    "thiserror",
    "twox_hash",
    "uuid",
    "zmij",
];

/// What is named nowhere outside tests: files, sockets, threads, processes, clocks, chance without a seed.
const IMPURE: [&str; 16] = [
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::process",
    "std::thread::",
    "std::os",
    "Instant",
    "SystemTime",
    "RandomState",
    "now_v7",
    "new_v4",
    "Rng::new()",
    "fastrand::u",
    "println!",
    "async fn",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The sources of a folder that are no tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// The lines of a source before its tests, without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let before_tests = text.split("#[cfg(test)]").next().unwrap();
    let lines = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn no_source_names_what_is_not_pure() {
    let mut count = 0;
    for path in PURE.iter().flat_map(|name| sources(&root().join(name).join("src"))) {
        let code = code(&path);
        for word in IMPURE {
            assert!(!code.contains(word), "{}: {word}", path.display());
        }
        count += 1;
    }
    assert!(count > 50, "only {count} sources were read");
}

#[test]
fn the_crates_below_are_known() {
    let args = ["tree", "--locked", "--offline", "-p", "replog-core", "-e", "normal,no-proc-macro"];
    let tree = Command::new(env!("CARGO"))
        .args(args)
        .args(["--prefix", "none", "--format", "{lib}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let found: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert_eq!(found, CRATES.into(), "can what is new here wait, read a clock or draw chance?");
}
