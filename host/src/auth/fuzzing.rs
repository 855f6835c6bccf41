//! Doors for the fuzz targets: the tokens file as text.

use super::{TokenEntry, TokenLineError, file};

/// The entries of a tokens file.
///
/// # Errors
/// The number of a line, counted from 1, and what is wrong with it.
pub fn tokens_file(text: &str) -> Result<Vec<TokenEntry>, (usize, TokenLineError)> {
    file::parse(text)
}
