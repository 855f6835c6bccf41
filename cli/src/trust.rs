//! Whom an `https` URL may lead to.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, OnceLock},
};

use replog_shared::byte_order_mark;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, CertificateError, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use crate::failure::Failure;

/// The authorities that are trusted: those of a file, or by default those of this system. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Trust(Arc<OnceLock<Arc<ClientConfig>>>);

impl Trust {
    /// The authorities of a PEM file, and no others.
    ///
    /// # Errors
    /// It cannot be read, or holds none.
    pub(crate) fn of_file(path: &Path) -> Result<Trust, Failure> {
        let wrong = |what: String| Failure::Usage(format!("--ca {}: {what}", path.display()));
        let text = fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        // The parser would pass over a certificate behind such a mark as over a comment.
        let read = CertificateDer::pem_slice_iter(byte_order_mark::skip_bytes(&text));
        // What the parser says may repeat a line of a file that is no certificate.
        let certificates = read.collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|_| wrong("holds no PEM certificate".to_owned()))?;
        let mut roots = RootCertStore::empty();
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(wrong("holds no PEM certificate".to_owned()));
        }
        let config = config(roots).map_err(|error| wrong(error.to_string()))?;
        Ok(Trust(Arc::new(config.into())))
    }

    /// Makes a handshake with a server that proves to be `host`.
    ///
    /// # Errors
    /// It does not, or the connection breaks.
    pub(crate) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(self.config()?);
        connector.connect(name, stream).await.map_err(with_advice)
    }

    fn config(&self) -> io::Result<Arc<ClientConfig>> {
        if let Some(config) = self.0.get() {
            return Ok(Arc::clone(config));
        }
        let mut roots = RootCertStore::empty();
        // What cannot be read of them is missing where it is needed, and said then.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = config(roots).map_err(io::Error::other)?;
        Ok(Arc::clone(self.0.get_or_init(|| config)))
    }
}

fn config(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// Adds what to do about an authority that is not known here.
fn with_advice(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => io::Error::other(
            "its certificate is from an authority that is not trusted here: name it with --ca",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_authority_is_refused() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        for path in [empty.path(), Path::new("/nonexistent")] {
            let error = Trust::of_file(path).err().unwrap().to_string();
            assert!(error.starts_with(&format!("--ca {}: ", path.display())), "{error}");
        }
    }

    #[test]
    fn a_byte_order_mark_hides_no_authority() {
        let authority = rcgen::generate_simple_self_signed(vec!["node".to_owned()]).unwrap().cert.pem();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("\u{feff}{authority}")).unwrap();
        assert!(Trust::of_file(file.path()).is_ok());
    }
}
