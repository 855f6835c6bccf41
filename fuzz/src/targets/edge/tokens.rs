//! The tokens file.

use replog_host::auth::fuzzing::tokens_file;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let entries = match tokens_file(text) {
        Ok(entries) => entries,
        Err((line, error)) => {
            assert!((1..=text.lines().count()).contains(&line));
            return is_no_secret(&error.to_string(), text.lines().nth(line - 1).unwrap_or_default());
        }
    };
    assert!(entries.len() <= text.lines().count());
    let written: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    let again = tokens_file(&written).expect("what was written reads back");
    let again: String = again.iter().map(|entry| format!("{entry}\n")).collect();
    assert_eq!(again, written);
    let mut names: Vec<_> = entries.iter().map(|entry| &entry.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), entries.len(), "each token has a name of its own");
}

/// What is wrong with a line is told without its longer words: one of them may be a secret.
fn is_no_secret(error: &str, line: &str) {
    let told = |word: &&str| word.len() >= 16 && error.contains(*word);
    assert_eq!(line.split_whitespace().find(told), None, "{error}");
}
