//! What stands before the routes.

use http::{HeaderMap, HeaderValue, header};

use super::{Scope, Tokens};
use crate::edge::Problem;
use replog_shared::{Applied, Code};

/// How the value of `Authorization` begins, in any case of its letters.
const BEARER: &str = "bearer ";

/// Lets requests in whose token has the scope that their route needs.
#[derive(Clone, Debug, Default)]
pub struct Gate(Option<Tokens>);

impl Gate {
    /// No token is asked for: whoever reaches the node may do everything.
    pub const OPEN: Gate = Gate(None);

    /// Only who holds one of these is let in.
    pub const fn guarded_by(tokens: Tokens) -> Gate {
        Gate(Some(tokens))
    }

    /// The tokens that it knows; none if it is open.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.0.as_ref()
    }

    /// Whether a request with these headers may do what needs `scope`.
    ///
    /// # Errors
    /// 401 without a token that is known, 403 with one that lacks the scope.
    pub fn check(&self, headers: &HeaderMap, scope: Scope) -> Result<(), Problem> {
        let Some(tokens) = &self.0 else { return Ok(()) };
        check(tokens, headers, scope).map_err(|problem| match scope {
            // A token that is not taken now may have been when an earlier request came with the same id.
            Scope::Append => problem.applied(Applied::Unknown),
            Scope::Read | Scope::Admin => problem,
        })
    }
}

fn check(tokens: &Tokens, headers: &HeaderMap, scope: Scope) -> Result<(), Problem> {
    let entry = tokens.find(bearer(headers)?).ok_or_else(unknown)?;
    if entry.scopes.contains(scope) { Ok(()) } else { Err(forbidden(&entry.name, scope)) }
}

/// The token of a request.
fn bearer(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (given.next(), given.next());
    let value = first.ok_or_else(missing)?.as_bytes();
    let scheme = value.get(..BEARER.len()).filter(|scheme| scheme.eq_ignore_ascii_case(BEARER.as_bytes()));
    match (scheme, second) {
        (Some(_), None) => Ok(value[BEARER.len()..].trim_ascii()),
        _ => Err(malformed()),
    }
}

fn missing() -> Problem {
    let detail = "This node asks for a token. Send it as `Authorization: Bearer TOKEN`.";
    unauthenticated(detail, "Bearer realm=\"replog\"")
}

fn malformed() -> Problem {
    let detail = "A request has one Authorization header, of the form `Bearer TOKEN`.";
    unauthenticated(detail, "Bearer realm=\"replog\", error=\"invalid_request\"")
}

fn unknown() -> Problem {
    let detail =
        "This token is not known here, or not any more. Whoever runs the node gives out another one.";
    unauthenticated(detail, "Bearer realm=\"replog\", error=\"invalid_token\"")
}

fn unauthenticated(detail: &str, challenge: &'static str) -> Problem {
    let problem = Problem::new(Code::Unauthenticated, detail);
    challenged(problem, HeaderValue::from_static(challenge))
}

fn forbidden(name: &str, scope: Scope) -> Problem {
    let detail = format!("The token {name:?} may not do this: it lacks the scope `{scope}`.");
    let problem = Problem::new(Code::Forbidden, detail).with("scope", scope.name());
    let challenge = match scope {
        Scope::Append => "Bearer realm=\"replog\", error=\"insufficient_scope\", scope=\"append\"",
        Scope::Read => "Bearer realm=\"replog\", error=\"insufficient_scope\", scope=\"read\"",
        Scope::Admin => "Bearer realm=\"replog\", error=\"insufficient_scope\", scope=\"admin\"",
    };
    challenged(problem, HeaderValue::from_static(challenge))
}

/// RFC 6750: what the client shall prove, and what was wrong with its proof.
fn challenged(problem: Problem, challenge: HeaderValue) -> Problem {
    problem.header(header::WWW_AUTHENTICATE, challenge)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::auth::Token;

    fn gate(scopes: &str) -> (Gate, Token) {
        let token = Token::random().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("ci {scopes} {}\n", token.hash())).unwrap();
        (Gate::guarded_by(Tokens::load(file.path()).unwrap()), token)
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let name = header::AUTHORIZATION;
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn refused(gate: &Gate, values: &[&str], scope: Scope) -> Code {
        gate.check(&headers(values), scope).unwrap_err().code()
    }

    #[test]
    fn an_open_gate_asks_for_nothing() {
        assert!(Gate::OPEN.check(&HeaderMap::new(), Scope::Admin).is_ok());
    }

    #[test]
    fn a_token_opens_what_it_has_the_scope_for() {
        let (gate, token) = gate("append,read");
        let bearer = format!("Bearer {}", token.secret());
        let with_spaces = format!("bEARER  {} ", token.secret());
        assert!(gate.check(&headers(&[&bearer]), Scope::Append).is_ok());
        assert!(gate.check(&headers(&[&with_spaces]), Scope::Read).is_ok());
        assert_eq!(refused(&gate, &[&bearer], Scope::Admin), Code::Forbidden);
        let problem = gate.check(&headers(&[&bearer]), Scope::Admin).unwrap_err();
        assert_eq!(problem.member("scope"), Some(&"admin".into()));
    }

    #[test]
    fn everything_else_is_401_and_shows_no_token() {
        let (gate, token) = gate("read");
        let secret = token.secret();
        let bearer = format!("Bearer {secret}");
        for values in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer x"],
            &[secret],
            &[&format!("Basic {secret}")],
            &[&format!("Bearer {secret}x")],
            &[&format!("Bearer {}", token.hash())],
            &[&bearer, &bearer],
        ] {
            assert_eq!(refused(&gate, values, Scope::Read), Code::Unauthenticated, "{values:?}");
            let problem = gate.check(&headers(values), Scope::Read).unwrap_err();
            assert!(!format!("{problem:?}").contains(secret), "{problem:?}");
        }
    }
}
