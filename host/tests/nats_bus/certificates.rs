//! A nats-server that speaks TLS, with certificates of its own.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair as KeyPairOfCertificate};

use crate::server::NatsServer;

/// A CA, and certificates of a server and a client that it signed, as files; beside them another CA.
fn write_certificates(directory: &Path) {
    let key = || KeyPairOfCertificate::generate().expect("a key");
    let ca = || {
        let mut ca = CertificateParams::new(Vec::new()).expect("no names");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(ca, key()).expect("a CA")
    };
    let (ca, stranger) = (ca(), ca());
    let write = |name: &str, pem: String| fs::write(directory.join(name), pem).expect("a file");
    write("ca.pem", ca.pem());
    write("stranger.pem", stranger.pem());
    for name in ["server", "client"] {
        let key = key();
        let names = vec!["127.0.0.1".to_owned()];
        let certificate =
            CertificateParams::new(names).expect("a name").signed_by(&key, &ca).expect("signed");
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

/// A server that speaks TLS, and asks its clients for certificates or not.
pub(crate) async fn with_tls(verify: bool) -> NatsServer {
    NatsServer::start_with(|directory| {
        write_certificates(directory);
        let file = |name| directory.join(name);
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: {verify} }}",
            file("server.pem"),
            file("server.key"),
            file("ca.pem")
        )
    })
    .await
}
