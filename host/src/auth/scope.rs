//! What a token may be for.

use std::{fmt, str::FromStr};

/// What a route needs its caller's token to be for. None of them includes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To add messages to the log.
    Append,
    /// To see the log and how the nodes are.
    Read,
    /// To do what the operator does: empty the log, inject faults.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 3] = [Scope::Append, Scope::Read, Scope::Admin];

    /// As it stands in a tokens file.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Append => "append",
            Scope::Read => "read",
            Scope::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Scopes of one token, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u8);

/// A text that is no list of scopes. Shows nothing of it: in a line whose words are mixed up it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the scopes must be one or more of append, read and admin, separated by commas without spaces")]
pub struct UnknownScope;

impl Scopes {
    /// Whether this scope is one of them.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let scope = |name: &str| Scope::ALL.into_iter().find(|scope| scope.name() == name);
        let bits = text.split(',').map(|name| scope(name).map(Scope::bit));
        let all = bits.reduce(|all, bit| Some(all? | bit?)).flatten();
        all.map(Scopes).ok_or(UnknownScope)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Scope::ALL.into_iter().filter(|scope| self.contains(*scope)).map(Scope::name);
        f.write_str(&names.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_a_list_of_known_names() {
        let scopes: Scopes = "read,append".parse().unwrap();
        assert!(scopes.contains(Scope::Append) && scopes.contains(Scope::Read));
        assert!(!scopes.contains(Scope::Admin));
        assert_eq!(scopes.to_string(), "append,read");
        for bad in ["", ",", "read,", "Read", "all", "read, append", "read;append"] {
            assert_eq!(bad.parse::<Scopes>(), Err(UnknownScope), "{bad:?}");
        }
    }

    #[test]
    fn no_scope_includes_another() {
        for scope in Scope::ALL {
            let own: Scopes = scope.name().parse().unwrap();
            let contained = Scope::ALL.into_iter().filter(|other| own.contains(*other));
            assert_eq!(contained.collect::<Vec<_>>(), [scope]);
        }
    }
}
