//! How nodes are reached: by whom, as far as they ask, and over TLS where the URL says so.

use std::{convert::Infallible, fmt, fs, io, path::PathBuf, str::FromStr};

use clap::Args;
use http::HeaderValue;
use replog_shared::byte_order_mark;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::{failure::Failure, node_url::NodeUrl, trust::Trust};

/// A connection to a node, in the clear or inside of TLS.
pub(crate) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// What a command tells a node of itself, and whom it takes for one.
#[derive(Args)]
pub(crate) struct ReachArgs {
    /// The token that the node asks for. Others on this machine can see arguments: better set the variable, or give a
    /// file.
    #[arg(long, env = "REPLOG_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<Secret>,
    /// A file with the token that the node asks for; goes before --token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// For https: trust the authority of these PEM certificates instead of the system's.
    #[arg(long, env = "REPLOG_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A text that no output shows.
#[derive(Clone)]
struct Secret(String);

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Secret(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl ReachArgs {
    /// What was given, checked.
    ///
    /// # Errors
    /// A file cannot be read, or what should be a token cannot be one. The token itself is not shown.
    pub(crate) fn check(&self) -> Result<Reach, Failure> {
        let token = match (&self.token_file, &self.token) {
            (Some(path), _) => {
                let text = fs::read_to_string(path);
                let unread = |error| {
                    Failure::Usage(format!("--token-file {}: cannot be read: {error}", path.display()))
                };
                Some((text.map_err(unread)?, "--token-file"))
            }
            (None, Some(Secret(token))) => Some((token.clone(), "--token")),
            (None, None) => None,
        };
        let token = token.as_ref().map(|(token, flag)| (byte_order_mark::skip(token).trim(), flag));
        let authorization = token.map(|(token, flag)| bearer(token, flag)).transpose()?;
        let trust = self.ca.as_deref().map(Trust::of_file).transpose()?.unwrap_or_default();
        Ok(Reach { authorization, trust })
    }
}

/// The value of the header that shows a token.
fn bearer(token: &str, flag: &str) -> Result<HeaderValue, Failure> {
    let is_word = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let header = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| is_word);
    let mut header = header.ok_or_else(|| Failure::Usage(format!("{flag}: a token is one word")))?;
    header.set_sensitive(true);
    Ok(header)
}

/// How nodes are reached. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Reach {
    authorization: Option<HeaderValue>,
    trust: Trust,
}

impl Reach {
    /// The value of the header `Authorization`, if a token was given.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Opens a connection to a node.
    ///
    /// # Errors
    /// There is none, or over `https` the node does not prove to be the one of the URL.
    pub(crate) async fn connect(&self, url: &NodeUrl) -> io::Result<Stream> {
        let stream = TcpStream::connect((url.host(), url.port())).await?;
        stream.set_nodelay(true)?;
        if url.is_secure() {
            self.trust.connect(url.host(), stream).await.map(Either::Right)
        } else {
            Ok(Either::Left(stream))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn check(token: Option<&str>, token_file: Option<PathBuf>) -> Result<Option<HeaderValue>, String> {
        let args = ReachArgs { token: token.map(|token| token.parse().unwrap()), token_file, ca: None };
        args.check().map(|reach| reach.authorization).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_token_comes_from_the_file_before_anything_else() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all("\u{feff}of-the-file\r\n".as_bytes()).unwrap();
        let path = Some(file.path().to_owned());
        assert_eq!(check(Some("given"), path).unwrap().unwrap(), "Bearer of-the-file");
        assert_eq!(check(Some("given"), None).unwrap().unwrap(), "Bearer given");
        assert_eq!(check(None, None), Ok(None));
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_shown() {
        for bad in ["s3cret s3cret", "s3cret\r\nx: y", "", "s3crét"] {
            let error = check(Some(bad), None).unwrap_err();
            assert!(error.contains("--token") && !error.contains("s3cr"), "{error}");
        }
        assert!(check(None, Some("/nonexistent".into())).unwrap_err().contains("/nonexistent"));
    }

    #[test]
    fn no_output_shows_it() {
        let header = check(Some("s3cret"), None).unwrap().unwrap();
        let secret: Secret = "s3cret".parse().unwrap();
        assert!(!format!("{header:?}{secret:?}").contains("s3cret"));
    }
}
