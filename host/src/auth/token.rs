//! A secret, and what a node may know of it.

use std::fmt;

use data_encoding::HEXLOWER;
use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};
use subtle::{Choice, ConstantTimeEq as _};

/// By this a secret that lies about is recognised, by people and by programs that search for such.
const PREFIX: &str = "replog_";

/// How a hash is written.
const HASH_PREFIX: &str = "sha256:";

/// A bearer token: 256 random bits. Its text is told to its holder once and kept nowhere.
pub struct Token(String);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn random() -> Result<Token, ring::error::Unspecified> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret)?;
        Ok(Token(format!("{PREFIX}{}", HEXLOWER.encode(&secret))))
    }

    /// The secret, for its holder alone.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// What a node may know of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The SHA-256 of a token's text.
///
/// A slow hash, as passwords need, would win nothing: nobody can try 2²⁵⁶ tokens, however quick each try is. It would
/// cost every request, and let anybody who sends wrong tokens occupy the node.
///
/// Kept in words: a request is compared with every hash there is, and 4 words take an eighth of the time of 32 bytes.
#[derive(Clone, Copy)]
pub struct TokenHash([u64; 4]);

impl TokenHash {
    /// Of a token as a client sent it.
    pub fn of(token: &[u8]) -> TokenHash {
        TokenHash::of_bytes(digest::digest(&digest::SHA256, token).as_ref())
    }

    /// As [`TokenHash::to_string`] writes it; none if it is anything else.
    ///
    /// [`TokenHash::to_string`]: ToString::to_string
    pub fn parse(text: &str) -> Option<TokenHash> {
        let hash = HEXLOWER.decode(text.strip_prefix(HASH_PREFIX)?.as_bytes()).ok()?;
        (hash.len() == size_of::<TokenHash>()).then(|| TokenHash::of_bytes(&hash))
    }

    /// Of 32 bytes.
    fn of_bytes(bytes: &[u8]) -> TokenHash {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        TokenHash(words)
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    pub fn is(&self, other: &TokenHash) -> Choice {
        let differences = self.0.iter().zip(&other.0).map(|(one, other)| one ^ other);
        differences.fold(0, |all, difference| all | difference).ct_eq(&0)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HASH_PREFIX}")?;
        self.0.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

/// Without the hash: where a log shows one, a weak secret of somebody's own making could be guessed.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(one.secret().len(), PREFIX.len() + 64);
        let written = TokenHash::parse(&one.hash().to_string()).unwrap();
        assert!(bool::from(written.is(&one.hash())));
        assert!(!bool::from(written.is(&other.hash())));
        assert!(!format!("{one:?}{:?}", one.hash()).contains(&one.hash().to_string()[7..]));
    }

    /// So that anybody can check a line: `printf %s TOKEN | sha256sum`.
    #[test]
    fn the_hash_is_the_sha256_of_the_text() {
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::of(b"abc").to_string(), abc);
    }

    #[test]
    fn anything_else_is_no_hash() {
        let hash = TokenHash::of(b"x").to_string();
        assert!(TokenHash::parse(&hash).is_some());
        let short = &hash[..hash.len() - 2];
        for bad in ["", "sha256:", &hash[7..], short, &(hash.clone() + "00"), &hash.to_uppercase(), "sha1:00"]
        {
            assert!(TokenHash::parse(bad).is_none(), "{bad}");
        }
    }
}
