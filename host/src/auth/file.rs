//! The tokens file, line by line.

use std::{fmt, str::FromStr};

use replog_shared::byte_order_mark;

use super::{
    Scopes, TokenHash, UnknownScope,
    limits::{MAX_NAME_CHARACTERS, MAX_TOKENS},
};

/// One line of a tokens file: `NAME SCOPES HASH`, such as `ci append,read sha256:9f86d0…`.
#[derive(Clone, Debug)]
pub struct TokenEntry {
    /// Who holds it, for people: 1 to 64 of the characters `A-Z a-z 0-9 _ . -`.
    pub name: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// What is known of it.
    pub hash: TokenHash,
}

/// What is wrong with a line. Shows nothing of the line: its words may be mixed up, and one of them be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenLineError {
    /// Not three words.
    #[error(
        "needs three words: a name, scopes, and sha256: with the hash, as `replog token new` prints them"
    )]
    Words,
    /// The first word.
    #[error("the first word must be a name of 1 to 64 of the characters A-Z a-z 0-9 _ . -")]
    Name,
    /// The second word.
    #[error("the second word: {0}")]
    Scopes(#[from] UnknownScope),
    /// The third word.
    #[error("the third word must be sha256: and the 64 lower-case hexadecimal digits of a token's hash")]
    Hash,
    /// The name again.
    #[error("has the name of line {0}: each token has a name of its own")]
    NameAgain(usize),
    /// The hash again.
    #[error("is the token of line {0} again")]
    TokenAgain(usize),
    /// One token too many.
    #[error("is one token too many: there may be {MAX_TOKENS}")]
    TooMany,
}

impl TokenEntry {
    /// A line for a token of this name.
    ///
    /// # Errors
    /// The name has other characters, or too many of them.
    pub fn new(name: &str, scopes: Scopes, hash: TokenHash) -> Result<TokenEntry, TokenLineError> {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if name.is_empty() || name.len() > MAX_NAME_CHARACTERS || !name.bytes().all(fine) {
            return Err(TokenLineError::Name);
        }
        Ok(TokenEntry { name: name.to_owned(), scopes, hash })
    }
}

impl FromStr for TokenEntry {
    type Err = TokenLineError;

    fn from_str(line: &str) -> Result<Self, TokenLineError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, scopes, hash] = words[..] else { return Err(TokenLineError::Words) };
        let hash = TokenHash::parse(hash);
        let entry = TokenEntry::new(name, scopes.parse()?, hash.ok_or(TokenLineError::Hash)?)?;
        Ok(entry)
    }
}

impl fmt::Display for TokenEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.scopes, self.hash)
    }
}

/// The entries of a file, or the number of a line and what is wrong with it. From `#` on, a line is a comment. A byte
/// order mark before the first line is passed over.
pub(super) fn parse(text: &str) -> Result<Vec<TokenEntry>, (usize, TokenLineError)> {
    let mut entries: Vec<(usize, TokenEntry)> = Vec::new();
    for (number, line) in (1..).zip(byte_order_mark::skip(text).lines()) {
        let line = line.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            continue;
        }
        let entry = line.parse().map_err(|error| (number, error))?;
        check_among(&entries, &entry).map_err(|error| (number, error))?;
        entries.push((number, entry));
    }
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn check_among(others: &[(usize, TokenEntry)], entry: &TokenEntry) -> Result<(), TokenLineError> {
    if others.len() == MAX_TOKENS {
        return Err(TokenLineError::TooMany);
    }
    for (number, other) in others {
        if other.name == entry.name {
            return Err(TokenLineError::NameAgain(*number));
        }
        if bool::from(other.hash.is(&entry.hash)) {
            return Err(TokenLineError::TokenAgain(*number));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, scopes: &str, secret: &str) -> String {
        format!("{name} {scopes} {}", TokenHash::of(secret.as_bytes()))
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let written = line("ci.eu-1", "append,read", "s");
        let file = format!("# who\n\n  {written}  # until May\n{}\r\n", line("ops", "admin", "t"));
        let entries = parse(&file).unwrap();
        assert_eq!((entries.len(), entries[0].to_string()), (2, written));
    }

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_no_part_of_it() {
        let entries = parse(&format!("\u{feff}{}\n", line("ci", "read", "s"))).unwrap();
        assert_eq!(entries[0].name, "ci");
        assert_eq!(parse("\u{feff}# nobody\n").unwrap().len(), 0);
    }

    #[test]
    fn a_wrong_line_is_named_with_what_is_wrong() {
        let good = line("ci", "read", "s");
        for (bad, error) in [
            ("ci read", TokenLineError::Words),
            (&line("a b", "read", "x"), TokenLineError::Words),
            (&line("a/b", "read", "x"), TokenLineError::Name),
            (&line("a", "write", "x"), UnknownScope.into()),
            ("a read replog_0123", TokenLineError::Hash),
            (&line("ci", "append", "x"), TokenLineError::NameAgain(2)),
            (&line("other", "append", "s"), TokenLineError::TokenAgain(2)),
        ] {
            let found = parse(&format!("# first\n{good}\n{bad}\n")).map(|entries| entries.len());
            assert_eq!(found, Err((3, error)), "{bad}");
        }
    }

    /// Whoever puts the token itself into the file must not find it in the log as well.
    #[test]
    fn what_is_wrong_is_told_without_the_words_of_the_line() {
        for bad in ["s3cret read s3cret", "a s3cret sha256:00", "s3cret", "s3cret! read s3cret"] {
            let (_, error) = parse(bad).unwrap_err();
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn there_is_a_limit() {
        let lines = |count: usize| -> String {
            (0..count).map(|nth| line(&format!("n{nth}"), "read", &nth.to_string()) + "\n").collect()
        };
        assert_eq!(parse(&lines(MAX_TOKENS)).unwrap().len(), MAX_TOKENS);
        let found = parse(&lines(MAX_TOKENS + 1)).map(|entries| entries.len());
        assert_eq!(found, Err((MAX_TOKENS + 1, TokenLineError::TooMany)));
    }
}
