//! The tokens that a node knows.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    TokenHash, TokenLineError,
    file::{self, TokenEntry},
    limits::MAX_TOKEN_BYTES,
};

/// The tokens of a file. Clones share them: what one reads anew, all have.
#[derive(Clone)]
pub struct Tokens(Arc<Shared>);

struct Shared {
    path: PathBuf,
    entries: RwLock<Entries>,
}

type Entries = Arc<[Arc<TokenEntry>]>;

/// Why a tokens file cannot be used. Never shows what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It is not there, or may not be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line of it is wrong.
    #[error("{}, line {line}: {error}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        error: TokenLineError,
    },
    /// No token: nobody could use the node.
    #[error("{} holds no token: `replog token new` makes one, and the line for this file", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Tokens {
    /// Those of the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, a line is wrong, or it holds none.
    pub fn load(path: &Path) -> Result<Tokens, TokensError> {
        let entries = RwLock::new(read(path)?);
        Ok(Tokens(Arc::new(Shared { path: path.to_owned(), entries })))
    }

    /// Reads the file again; how many tokens there are now.
    ///
    /// # Errors
    /// As for [`Tokens::load`]; then the tokens stay what they were.
    pub fn reload(&self) -> Result<usize, TokensError> {
        let entries = read(&self.0.path)?;
        let count = entries.len();
        *self.0.entries.write().unwrap_or_else(PoisonError::into_inner) = entries;
        Ok(count)
    }

    /// The entry of a token that a client sent; none if it is not known. All are looked at in any case: how long it
    /// takes does not tell which one fits.
    pub fn find(&self, token: &[u8]) -> Option<Arc<TokenEntry>> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let hash = TokenHash::of(token);
        let entries = Arc::clone(&self.0.entries.read().unwrap_or_else(PoisonError::into_inner));
        let mut found = None;
        for entry in &*entries {
            if bool::from(entry.hash.is(&hash)) {
                found = Some(entry);
            }
        }
        found.map(Arc::clone)
    }
}

fn read(path: &Path) -> Result<Entries, TokensError> {
    let path = path.to_owned();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return Err(TokensError::Unreadable { path, error }),
    };
    match file::parse(&text) {
        Ok(entries) if entries.is_empty() => Err(TokensError::Empty { path }),
        Ok(entries) => Ok(entries.into_iter().map(Arc::new).collect()),
        Err((line, error)) => Err(TokensError::Line { path, line, error }),
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Scope, Token};

    fn entry(name: &str, scopes: &str, token: &Token) -> String {
        format!("{name} {scopes} {}\n", token.hash())
    }

    #[test]
    fn a_token_is_found_with_its_name_and_scopes() {
        let (one, two) = (Token::random().unwrap(), Token::random().unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), entry("one", "read", &one) + &entry("two", "append,admin", &two)).unwrap();
        let tokens = Tokens::load(file.path()).unwrap();
        let found = tokens.find(two.secret().as_bytes()).unwrap();
        assert_eq!((found.name.as_str(), found.scopes.contains(Scope::Admin)), ("two", true));
        assert_eq!(tokens.find(one.secret().as_bytes()).unwrap().name, "one");
        for unknown in ["", "replog_", &one.secret()[1..], &one.hash().to_string(), &"x".repeat(100_000)] {
            assert!(tokens.find(unknown.as_bytes()).is_none(), "{unknown}");
        }
    }

    #[test]
    fn a_bad_file_is_told_by_its_line_and_the_old_tokens_stay() {
        let (old, new) = (Token::random().unwrap(), Token::random().unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), entry("old", "read", &old)).unwrap();
        let tokens = Tokens::load(file.path()).unwrap();
        for bad in ["", "# nothing\n", "one two three\n", &format!("new read {}\n", new.secret())] {
            fs::write(file.path(), bad).unwrap();
            let error = tokens.reload().unwrap_err().to_string();
            assert!(error.contains(&*file.path().to_string_lossy()), "{error}");
            assert!(bad.is_empty() || bad.starts_with('#') || error.contains("line 1"), "{error}");
            assert!(!error.contains(new.secret()), "{error}");
            assert!(tokens.find(old.secret().as_bytes()).is_some());
        }
        fs::write(file.path(), entry("new", "read", &new)).unwrap();
        assert_eq!(tokens.reload().unwrap(), 1);
        assert!(tokens.find(old.secret().as_bytes()).is_none());
        assert!(tokens.find(new.secret().as_bytes()).is_some());
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let error = Tokens::load(Path::new("/nonexistent/tokens")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/tokens cannot be read"), "{error}");
    }
}
