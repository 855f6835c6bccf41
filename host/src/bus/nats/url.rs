//! Addresses of NATS servers, as an operator writes them.

use std::fmt;
use std::str::FromStr;

use async_nats::ServerAddr;

/// The address of one NATS server: `[nats://|tls://]HOST[:PORT]`, port 4222 unless given.
///
/// A URL with a user, a password or a token in it is refused: the client library would silently connect
/// without them (nats.rs issue 1623).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsUrl(pub(super) ServerAddr);

/// Why an address was refused. Shows no part of the URL that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NatsUrlError {
    /// It does not parse.
    #[error("a NATS URL is not of the form nats://HOST:PORT: {0}")]
    Malformed(String),
    /// It holds a user, a password or a token.
    #[error(
        "the NATS URL of {host} has a login in it: take it out and give a credentials, nkey or password file"
    )]
    HasLogin {
        /// The server it is about.
        host: String,
    },
    /// Neither `nats` nor `tls`.
    #[error("the NATS URL of {host} has the scheme {scheme:?}: only nats:// and tls:// are supported")]
    Scheme {
        /// The server it is about.
        host: String,
        /// The scheme it has.
        scheme: String,
    },
    /// No host, or more than host and port.
    #[error("the NATS URL {0} needs a host, may have a port, and nothing else")]
    NotAnAddress(String),
}

impl FromStr for NatsUrl {
    type Err = NatsUrlError;

    fn from_str(text: &str) -> Result<Self, NatsUrlError> {
        let address: ServerAddr = text
            .trim()
            .parse()
            .map_err(|error: std::io::Error| NatsUrlError::Malformed(error.to_string()))?;
        let host = address.host().to_owned();
        if address.username().is_some() || address.password().is_some() {
            return Err(NatsUrlError::HasLogin { host });
        }
        if !matches!(address.scheme(), "nats" | "tls") {
            return Err(NatsUrlError::Scheme { host, scheme: address.scheme().to_owned() });
        }
        let url = address.clone().into_inner();
        let only_an_address =
            matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if host.is_empty() || !only_an_address {
            return Err(NatsUrlError::NotAnAddress(text.to_owned()));
        }
        Ok(Self(address))
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_url_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<NatsUrl, NatsUrlError> {
        text.parse()
    }

    #[test]
    fn addresses_are_taken_with_and_without_scheme_and_port() {
        for good in
            ["localhost", "nats:4222", "nats://10.0.0.1", "tls://nats.example.com:4443", "nats://[::1]:4222"]
        {
            assert!(url(good).is_ok(), "{good}");
        }
        assert_eq!(url("nats://a:1").unwrap().to_string(), "nats://a:1");
    }

    #[test]
    fn a_login_inside_a_url_is_refused_and_not_shown() {
        for bad in
            ["nats://user:s3cret@nats:4222", "nats://s3cret@nats", "user:s3cret@nats", "nats://:s3cret@nats"]
        {
            let error = url(bad).unwrap_err();
            assert!(matches!(error, NatsUrlError::HasLogin { .. }), "{bad}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "nats://",
            "http://nats",
            "ws://nats",
            "nats://nats:99999",
            "nats://nats/log",
            "nats://nats?a=b",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
