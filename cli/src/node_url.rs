//! The address of a node.

use std::{fmt, str::FromStr};

use http::{
    Uri,
    uri::{PathAndQuery, Scheme},
};

/// The port of an `http` URL that names none.
const HTTP_PORT: u16 = 80;

/// The port of an `https` URL that names none.
const HTTPS_PORT: u16 = 443;

/// An `http` or `https` URL, checked once. `127.0.0.1:5000` without the scheme is understood too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeUrl {
    /// `https`.
    secure: bool,
    authority: String,
    host: String,
    port: u16,
    /// What comes before each path: empty, or for example `/logs/main`. Never ends with a slash.
    base: String,
    query: Option<String>,
}

/// Why a text is no address of a node.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NodeUrlError {
    #[error("not a URL: {0}")]
    NotAUrl(String),
    #[error("only http and https are spoken, not {0}")]
    Scheme(String),
    #[error("a user name or password in the URL is not supported")]
    UserInfo,
}

impl NodeUrl {
    /// Whether TLS is spoken.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host to connect to, an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What the `Host` header says.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The request target of `path` (with its query) on this node.
    pub(crate) fn target(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The request target of the URL itself, as given.
    pub(crate) fn own_target(&self) -> String {
        let path = if self.base.is_empty() { "/" } else { &self.base };
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}

impl FromStr for NodeUrl {
    type Err = NodeUrlError;

    fn from_str(text: &str) -> Result<Self, NodeUrlError> {
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = whole.parse().map_err(|error| NodeUrlError::NotAUrl(format!("{error}")))?;
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            scheme => return Err(NodeUrlError::Scheme(scheme.map(ToString::to_string).unwrap_or_default())),
        };
        let authority = uri.authority().ok_or_else(|| NodeUrlError::NotAUrl("no host".to_owned()))?;
        if authority.as_str().contains('@') {
            return Err(NodeUrlError::UserInfo);
        }
        Ok(Self {
            secure,
            authority: authority.to_string(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if secure { HTTPS_PORT } else { HTTP_PORT }),
            base: uri.path().trim_end_matches('/').to_owned(),
            query: uri.path_and_query().and_then(PathAndQuery::query).map(str::to_owned),
        })
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { Scheme::HTTPS } else { Scheme::HTTP };
        write!(f, "{scheme}://{}{}", self.authority, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> NodeUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_scheme_may_be_left_out_and_the_port_too() {
        assert_eq!(url("127.0.0.1:5000"), url("http://127.0.0.1:5000/"));
        assert_eq!(url("http://master").port(), 80);
        assert_eq!((url("https://master").port(), url("https://master").is_secure()), (443, true));
        assert_eq!(url("https://master/a").to_string(), "https://master/a");
        assert_eq!((url("[::1]:5000").host(), url("[::1]:5000").authority()), ("::1", "[::1]:5000"));
    }

    #[test]
    fn paths_are_put_behind_the_base() {
        assert_eq!(url("http://a:1").target("/messages?from=3"), "/messages?from=3");
        assert_eq!(url("http://a:1/logs/main/").target("/health"), "/logs/main/health");
        assert_eq!(url("http://a:1").own_target(), "/");
        assert_eq!(url("http://a:1/readyz?x=1").own_target(), "/readyz?x=1");
    }

    #[test]
    fn what_cannot_be_spoken_is_refused() {
        let refused = |text: &str| text.parse::<NodeUrl>().unwrap_err();
        assert_eq!(refused("ftp://a"), NodeUrlError::Scheme("ftp".to_owned()));
        assert_eq!(refused("http://me:secret@a"), NodeUrlError::UserInfo);
        assert!(matches!(refused("http://"), NodeUrlError::NotAUrl(_)));
        assert!(matches!(refused("a b"), NodeUrlError::NotAUrl(_)));
    }
}
