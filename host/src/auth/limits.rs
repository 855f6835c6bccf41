//! Every maximum of the tokens, with its reason.

/// Tokens in one file. Each request is compared with all of them, in a time that does not tell which one fits: with
/// this many that takes about a microsecond, where an append takes ten and more.
pub(super) const MAX_TOKENS: usize = 64;

/// Bytes of a token that a client sends. Ours have 71; a longer one is not hashed.
pub(super) const MAX_TOKEN_BYTES: usize = 256;

/// Characters of a token's name: it stands in log lines and answers.
pub(super) const MAX_NAME_CHARACTERS: usize = 64;
