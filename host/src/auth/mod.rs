//! Who may do what over HTTP: bearer tokens with scopes.
//!
//! - [`Scope`] is what a token may be for; each route names the one that it needs.
//! - [`Token`] is the secret, which a client holds and no node ever stores; [`TokenHash`] is what a node knows of it.
//! - [`Tokens`] are those of the file that the operator gives, read again when asked.
//! - [`Gate`] stands before the routes: no token, no entry.

mod file;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod limits;
mod scope;
mod token;
mod tokens;

pub use file::{TokenEntry, TokenLineError};
pub use gate::Gate;
pub use scope::{Scope, Scopes, UnknownScope};
pub use token::{Token, TokenHash};
pub use tokens::{Tokens, TokensError};
