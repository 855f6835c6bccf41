//! Where the servers are and who we are to them, checked before anything connects.

use std::fs;
use std::path::{Path, PathBuf};

use async_nats::rustls::crypto::{CryptoProvider, ring};
use async_nats::{ConnectOptions, ServerAddr};
use replog_shared::byte_order_mark;

use super::cause::Terms;
use super::url::NatsUrl;

/// How a NATS server is reached. Secrets come from files, so that no process list or log shows them.
///
/// At most one login: credentials, an nkey, or a user with a password. A client certificate may come on top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsOptions {
    /// Servers of one cluster, as [`NatsUrl`] takes them; at least one. Which one is used is left to chance.
    pub urls: Vec<String>,
    /// The name by which the server lists this client, for who watches it.
    pub name: String,
    /// A `.creds` file: a user's JWT and its nkey seed.
    pub credentials_file: Option<PathBuf>,
    /// A file with the seed of a user's nkey (`SU…`).
    pub nkey_file: Option<PathBuf>,
    /// A user; needs `password_file`.
    pub user: Option<String>,
    /// A file with the password of `user`; a line break at its end does not count.
    pub password_file: Option<PathBuf>,
    /// PEM certificates to trust instead of the system's. Requires TLS.
    pub tls_ca_file: Option<PathBuf>,
    /// The client's PEM certificate; needs `tls_key_file`. Requires TLS.
    pub tls_cert_file: Option<PathBuf>,
    /// The PEM key of `tls_cert_file`.
    pub tls_key_file: Option<PathBuf>,
}

/// All that is wrong with the options, in sentences for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct NatsSetupError {
    /// One sentence each; never empty, never a secret.
    pub problems: Vec<String>,
}

impl NatsSetupError {
    pub(super) fn one(problem: String) -> Self {
        Self { problems: vec![problem] }
    }
}

/// Options that were checked: what async-nats needs.
pub(super) struct ReadyOptions {
    pub(super) servers: Vec<ServerAddr>,
    pub(super) options: ConnectOptions,
    pub(super) terms: Terms,
}

impl NatsOptions {
    /// Servers without a login, under this client name.
    pub fn new(urls: impl IntoIterator<Item = impl Into<String>>, name: impl Into<String>) -> Self {
        Self { urls: urls.into_iter().map(Into::into).collect(), name: name.into(), ..Self::default() }
    }

    /// All that is wrong, in sentences; reads the files. Empty when [`NatsBus::connect`] would take the
    /// options.
    ///
    /// [`NatsBus::connect`]: super::NatsBus::connect
    pub fn problems(&self) -> Vec<String> {
        self.check().err().map_or_else(Vec::new, |error| error.problems)
    }

    pub(super) fn check(&self) -> Result<ReadyOptions, NatsSetupError> {
        let mut problems = Vec::new();
        let servers = self.servers(&mut problems);
        self.check_combinations(&mut problems);
        let options = self.login(&mut problems);
        let options = self.tls(options, &mut problems);
        if problems.is_empty() {
            let terms = self.terms();
            Ok(ReadyOptions { servers, options, terms })
        } else {
            Err(NatsSetupError { problems })
        }
    }

    const fn terms(&self) -> Terms {
        Terms {
            own_ca: self.tls_ca_file.is_some(),
            own_certificate: self.tls_cert_file.is_some(),
            login: self.credentials_file.is_some() || self.nkey_file.is_some() || self.user.is_some(),
        }
    }

    fn servers(&self, problems: &mut Vec<String>) -> Vec<ServerAddr> {
        if self.urls.is_empty() {
            problems.push("no NATS URL is given".to_owned());
        }
        let parsed = self.urls.iter().map(|url| url.parse::<NatsUrl>());
        parsed
            .filter_map(|url| url.map_err(|error| problems.push(error.to_string())).ok())
            .map(|url| url.0)
            .collect()
    }

    fn check_combinations(&self, problems: &mut Vec<String>) {
        let given = [self.credentials_file.is_some(), self.nkey_file.is_some(), self.user.is_some()];
        if given.into_iter().filter(|given| *given).count() > 1 {
            problems.push("give one NATS login only: credentials, an nkey, or a user".to_owned());
        }
        if self.user.is_some() != self.password_file.is_some() {
            problems.push("a NATS user and a password file need each other".to_owned());
        }
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            problems.push("a NATS client certificate and its key need each other".to_owned());
        }
    }

    fn login(&self, problems: &mut Vec<String>) -> ConnectOptions {
        let login = if let Some(path) = &self.credentials_file {
            credentials(path)
        } else if let Some(path) = &self.nkey_file {
            nkey(path)
        } else if let (Some(user), Some(path)) = (&self.user, &self.password_file) {
            password(user, path)
        } else {
            Ok(ConnectOptions::new())
        };
        login.unwrap_or_else(|problem| {
            problems.push(problem);
            ConnectOptions::new()
        })
    }

    fn tls(&self, mut options: ConnectOptions, problems: &mut Vec<String>) -> ConnectOptions {
        use_ring_for_tls();
        if let Some(ca) = &self.tls_ca_file {
            problems.extend(pem_problem(ca, "CERTIFICATE"));
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert_file, &self.tls_key_file) {
            problems.extend(pem_problem(cert, "CERTIFICATE"));
            problems.extend(pem_problem(key, "PRIVATE KEY"));
            options = options.add_client_certificate(cert.clone(), key.clone()).require_tls(true);
        }
        options
    }
}

/// rustls panics at the first handshake if the build holds two providers and none was chosen.
fn use_ring_for_tls() {
    if CryptoProvider::get_default().is_none() {
        let _another_thread_was_first = ring::default_provider().install_default();
    }
}

/// The text of a file, without a byte order mark before it.
fn read(path: &Path) -> Result<String, String> {
    let text = read_whole(path)?;
    Ok(byte_order_mark::skip(&text).to_owned())
}

fn read_whole(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn credentials(path: &Path) -> Result<ConnectOptions, String> {
    ConnectOptions::with_credentials(&read(path)?)
        .map_err(|error| format!("{} is not a NATS credentials file: {error}", path.display()))
}

fn nkey(path: &Path) -> Result<ConnectOptions, String> {
    let content = read(path)?;
    let seed = content.lines().map(str::trim).find(|line| is_user_seed(line));
    seed.map(|seed| ConnectOptions::with_nkey(seed.to_owned()))
        .ok_or_else(|| format!("{} holds no seed of a user's nkey (SU…)", path.display()))
}

/// The look of one; its checksum is checked by the client when it logs in.
fn is_user_seed(line: &str) -> bool {
    let base32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    line.len() == 58 && line.starts_with("SU") && line.bytes().all(base32)
}

fn password(user: &str, path: &Path) -> Result<ConnectOptions, String> {
    let content = read(path)?;
    let password = content.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(format!("{} holds no password", path.display()));
    }
    Ok(ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()))
}

/// What is wrong with a PEM file. The client, which reads it itself, would only ever say "TLS error", again and again; and
/// it passes over what stands behind a byte order mark as over a comment.
fn pem_problem(path: &Path, label: &str) -> Option<String> {
    match read_whole(path) {
        Err(problem) => Some(problem),
        Ok(pem) if byte_order_mark::skip(&pem).len() < pem.len() => Some(format!(
            "{} begins with a byte order mark (EF BB BF), which PEM has not: write it without one",
            path.display()
        )),
        Ok(pem) if pem.contains("-----BEGIN ") && pem.contains(&format!("{label}-----")) => None,
        Ok(_) => Some(format!("{} holds no PEM {}", path.display(), label.to_lowercase())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> NatsOptions {
        NatsOptions::new(["nats://localhost"], "test")
    }

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let options = NatsOptions {
            urls: vec!["ws://a".into(), "nats://u:p@b".into()],
            user: Some("me".into()),
            nkey_file: Some("/nonexistent/nkey".into()),
            tls_cert_file: Some("/nonexistent/cert".into()),
            ..NatsOptions::default()
        };
        let problems = options.problems();
        assert_eq!(problems.len(), 6, "{problems:#?}");
        assert_eq!(NatsOptions::default().problems(), ["no NATS URL is given"]);
        assert_eq!(local().problems(), Vec::<String>::new());
    }

    #[test]
    fn files_that_hold_something_else_are_named() {
        let wrong = file("hello\n");
        let path = Some(wrong.path().to_owned());
        let (cert, key) = (path.clone(), path.clone());
        for options in [
            NatsOptions { credentials_file: path.clone(), ..local() },
            NatsOptions { nkey_file: path.clone(), ..local() },
            NatsOptions { tls_ca_file: path.clone(), ..local() },
            NatsOptions { tls_cert_file: cert, tls_key_file: key, ..local() },
        ] {
            let problems = options.problems();
            assert!(!problems.is_empty(), "{options:?}");
            assert!(
                problems.iter().all(|text| text.contains(wrong.path().to_str().unwrap())),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn an_empty_password_is_refused() {
        for nothing in ["\n", "\u{feff}\r\n"] {
            let empty = file(nothing);
            let password_file = Some(empty.path().to_owned());
            let options = NatsOptions { user: Some("me".into()), password_file, ..local() };
            assert_eq!(options.problems().len(), 1, "{nothing:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_where_lines_are_read_and_named_before_pem() {
        let seed = nkeys::KeyPair::new_user().seed().unwrap();
        let marked = file(&format!("\u{feff}{seed}\n"));
        let options = NatsOptions { nkey_file: Some(marked.path().to_owned()), ..local() };
        assert_eq!(options.problems(), Vec::<String>::new());
        let marked = file("\u{feff}-----BEGIN CERTIFICATE-----\n");
        let options = NatsOptions { tls_ca_file: Some(marked.path().to_owned()), ..local() };
        let problems = options.problems();
        assert!(problems.len() == 1 && problems[0].contains("byte order mark (EF BB BF)"), "{problems:?}");
    }
}
