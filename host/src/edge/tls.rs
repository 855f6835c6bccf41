//! The server's side of TLS: a certificate and a key, which can be replaced while connections are open.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use replog_shared::byte_order_mark;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// What is spoken inside of TLS; a client that can only speak HTTP/2 is refused in its handshake.
const HTTP_1_1: &[u8] = b"http/1.1";

/// A certificate with its chain, and its key, from PEM files. Clones share them: what one reads anew, all have.
///
/// TLS 1.3 only. Connections that are open keep what they were opened with.
#[derive(Clone)]
pub struct ServerTls(Arc<Shared>);

struct Shared {
    cert_file: PathBuf,
    key_file: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

/// Why a certificate cannot be used. Never shows what stands in a file.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// A file is not there, or may not be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no PEM {what}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// They cannot be used together.
    #[error("{} and {} do not make a server's certificate: {error}", cert.display(), key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        error: rustls::Error,
    },
}

impl ServerTls {
    /// The certificate and chain of one file, and the key of another or of the same.
    ///
    /// # Errors
    /// A file cannot be read, holds something else, or the two do not belong together.
    pub fn load(cert_file: &Path, key_file: &Path) -> Result<ServerTls, ServerTlsError> {
        let config = RwLock::new(config(cert_file, key_file)?);
        Ok(ServerTls(Arc::new(Shared {
            cert_file: cert_file.to_owned(),
            key_file: key_file.to_owned(),
            config,
        })))
    }

    /// Reads both files again: from now on, handshakes are made with what stands there.
    ///
    /// # Errors
    /// As for [`ServerTls::load`]; then handshakes are made as before.
    pub fn reload(&self) -> Result<(), ServerTlsError> {
        let config = config(&self.0.cert_file, &self.0.key_file)?;
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// What makes the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.0.config.read().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerTls({})", self.0.cert_file.display())
    }
}

fn config(cert_file: &Path, key_file: &Path) -> Result<Arc<ServerConfig>, ServerTlsError> {
    let (cert, key) = (cert_file.to_owned(), key_file.to_owned());
    let chain = chain(cert_file)?;
    let private =
        PrivateKeyDer::from_pem_slice(&text(key_file)?).map_err(|_| not_pem(key_file, "private key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| ServerTlsError::Unusable { cert, key, error })?;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServerTlsError> {
    match CertificateDer::pem_slice_iter(&text(path)?).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(not_pem(path, "certificate")),
    }
}

/// A file without a byte order mark before it: the parser would pass over the first certificate as over a comment.
fn text(path: &Path) -> Result<Vec<u8>, ServerTlsError> {
    let read = fs::read(path).map_err(|error| ServerTlsError::Unreadable { path: path.to_owned(), error })?;
    Ok(byte_order_mark::skip_bytes(&read).to_owned())
}

/// What else the parser says may repeat a line of the file, and that file may hold a key.
fn not_pem(path: &Path, what: &'static str) -> ServerTlsError {
    ServerTlsError::NotPem { path: path.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;

    fn write(folder: &TempDir, name: &str) -> (PathBuf, PathBuf) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let path = |end: &str| folder.path().join(format!("{name}.{end}"));
        fs::write(path("pem"), cert.pem()).unwrap();
        fs::write(path("key"), signing_key.serialize_pem()).unwrap();
        (path("pem"), path("key"))
    }

    #[test]
    fn each_wrong_file_is_named_and_none_of_it_shown() {
        let folder = tempfile::tempdir().unwrap();
        let ((cert, key), (_, other_key)) = (write(&folder, "a"), write(&folder, "b"));
        assert!(ServerTls::load(&cert, &key).is_ok());
        let junk = folder.path().join("junk");
        fs::write(&junk, "-----BEGIN PRIVATE KEY----- s3cret").unwrap();
        for (cert, key, blamed) in [
            (Path::new("/nonexistent"), &*key, "/nonexistent cannot be read"),
            (&cert, Path::new("/nonexistent"), "/nonexistent cannot be read"),
            (&key, &key, "a.key holds no PEM certificate"),
            (&cert, &cert, "a.pem holds no PEM private key"),
            (&junk, &key, "junk holds no PEM certificate"),
            (&cert, &junk, "junk holds no PEM private key"),
            (&cert, &other_key, "b.key do not make a server's certificate"),
        ] {
            let error = ServerTls::load(cert, key).unwrap_err().to_string();
            assert!(error.contains(blamed) && !error.contains("s3cret"), "{blamed}: {error}");
        }
    }

    #[test]
    fn a_byte_order_mark_hides_neither_a_certificate_nor_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = write(&folder, "a");
        let (other, _) = write(&folder, "b");
        let chain = [fs::read_to_string(&cert).unwrap(), fs::read_to_string(other).unwrap()].concat();
        fs::write(&cert, format!("\u{feff}{chain}")).unwrap();
        fs::write(&key, format!("\u{feff}{}", fs::read_to_string(&key).unwrap())).unwrap();
        ServerTls::load(&cert, &key).unwrap();
    }

    #[test]
    fn a_wrong_new_file_leaves_the_old_certificate_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = write(&folder, "a");
        let tls = ServerTls::load(&cert, &key).unwrap();
        let now = || Arc::as_ptr(&tls.0.config.read().unwrap());
        let before = now();
        fs::write(&cert, "").unwrap();
        assert!(tls.reload().is_err());
        assert_eq!(now(), before);
        write(&folder, "a");
        tls.reload().unwrap();
        assert_ne!(now(), before);
    }
}
