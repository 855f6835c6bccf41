//! HTTPS: what is inside of TLS is what it is in the clear, and handshakes are at the cost of nobody else.

use std::{fs, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use replog_host::edge::{EdgeLimits, EdgeOptions, ServerTls};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use crate::support::{CHUNKED, Client, SOON, Server, append, get_of, patient, within};

/// The name in every certificate here.
const NAME: &str = "node.test";

/// A server that speaks TLS, and the files of its certificate.
struct Secured {
    server: Server,
    tls: ServerTls,
    folder: TempDir,
}

impl Secured {
    async fn start(limits: EdgeLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_certificate(&folder);
        let tls = ServerTls::load(&folder.path().join("cert.pem"), &folder.path().join("key.pem")).unwrap();
        let options = EdgeOptions { tls: Some(tls.clone()), ..limits.into() };
        Self { server: Server::start(options).await, tls, folder }
    }

    /// A connection whose handshake is made, by a client that trusts the certificate that lies there now.
    async fn connect(&self) -> Client<TlsStream<TcpStream>> {
        let socket = self.server.socket().await;
        Client::over(within("the handshake", self.connector().connect(name(), socket)).await.unwrap())
    }

    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.path().join("cert.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_root_certificates(roots).with_no_client_auth()).into()
    }
}

fn name() -> ServerName<'static> {
    NAME.try_into().unwrap()
}

fn write_certificate(folder: &TempDir) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn requests_inside_of_tls_are_answered_and_checked_as_in_the_clear() {
    let secured = Secured::start(patient()).await;
    let mut client = secured.connect().await;
    client.send(append(r#"{"message": "x", "w": 2}"#)).await;
    assert_eq!(client.answer().await.body, json!({"length": 3, "w": 2}));
    client.send("POST /append HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n").await;
    client.answer().await.problem(400, "invalid_host");

    let mut client = secured.connect().await;
    client.send(CHUNKED.replacen("\r\n", "\r\nContent-Length: 1\r\n", 1)).await;
    client.answer().await.problem(400, "ambiguous_length");

    let mut client = secured.connect().await;
    client.send("no head at all\r\n\r\n").await;
    client.answer().await.problem(400, "invalid_head");
    client.closed().await;
}

#[tokio::test]
async fn a_large_body_inside_of_tls_is_413_and_its_answer_arrives() {
    let secured = Secured::start(EdgeLimits { max_body_bytes: 1_000, ..patient() }).await;
    let mut client = secured.connect().await;
    client.send(append(vec![b' '; 400_000])).await;
    client.answer().await.problem(413, "body_too_large");
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_told_so_and_closed() {
    let secured = Secured::start(patient()).await;
    let mut client = secured.server.connect().await;
    client.send(get_of("/page")).await;
    let answer = client.answer().await;
    answer.problem(400, "tls_required");
    assert_eq!(answer.header("connection"), Some("close"));
    client.closed_well().await;
}

#[tokio::test]
async fn junk_in_a_handshake_closes_that_connection_alone() {
    let secured = Secured::start(patient()).await;
    let mut junk = secured.server.connect().await;
    junk.send([22, 3, 1, 0, 5, 1, 2, 3, 4, 5]).await;
    junk.dropped().await;
    assert_eq!(secured.connect().await.get("/page").await.status, 200);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_its_end_is_closed() {
    let secured = Secured::start(EdgeLimits { header_timeout: SOON, ..patient() }).await;
    // Not a word, and the beginning of one.
    let mut silent = secured.server.connect().await;
    silent.closed().await;
    let mut slow = secured.server.connect().await;
    slow.send([22, 3, 1]).await;
    slow.closed().await;
}

#[tokio::test]
async fn slow_handshakes_keep_neither_open_connections_nor_silent_ones_from_being_served() {
    let limits = EdgeLimits { max_handshakes: 1, ..patient() };
    let secured = Secured::start(limits).await;
    let mut open = secured.connect().await;
    let silent: Vec<_> = [secured.server.connect().await, secured.server.connect().await].into();
    assert_eq!(secured.connect().await.get("/page").await.status, 200, "who is silent takes no place");

    let mut slow = secured.server.connect().await;
    slow.send_piece([22, 3, 1]).await;
    assert_eq!(open.get("/page").await.status, 200);
    // The one place is taken: the next handshake waits for it, and the accept loop does not.
    let socket = secured.server.socket().await;
    let connector = secured.connector();
    let mut waiting = tokio::spawn(async move { connector.connect(name(), socket).await });
    let plain = secured.server.ask(get_of("/page")).await;
    plain.problem(400, "tls_required");
    assert!(tokio::time::timeout(SOON, &mut waiting).await.is_err(), "the limit does not hold");
    drop(slow);
    let stream = within("the place that became free", waiting).await.unwrap().unwrap();
    assert_eq!(Client::over(stream).get("/page").await.status, 200);
    drop(silent);
}

#[tokio::test]
async fn a_new_certificate_holds_for_new_connections_and_open_ones_stay() {
    let secured = Secured::start(patient()).await;
    let mut open = secured.connect().await;
    let old = secured.connector();
    write_certificate(&secured.folder);
    secured.tls.reload().unwrap();
    assert_eq!(secured.connect().await.get("/page").await.status, 200);
    assert!(old.connect(name(), secured.server.socket().await).await.is_err(), "the old one is still shown");
    assert_eq!(open.get("/page").await.status, 200);
}

#[tokio::test]
async fn a_client_that_takes_nothing_from_inside_of_tls_is_closed() {
    let secured = Secured::start(EdgeLimits { answer_silence: SOON, ..patient() }).await;
    let mut client = secured.connect().await;
    client.send(get_of("/endless")).await;
    within("the answer to be given up", secured.server.signals.dropped.notified()).await;
}

/// An answer that fits into the buffers of TLS is not yet with its client.
#[tokio::test]
async fn a_client_that_stops_reading_at_an_answers_end_is_closed_too() {
    let secured = Secured::start(EdgeLimits { answer_silence: SOON, ..patient() }).await;
    let mut client = secured.connect().await;
    while client.try_send(get_of("/large")).await {}
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let secured = Secured::start(patient()).await;
    let mut slow = secured.server.connect().await;
    slow.send_piece([22, 3, 1]).await;
    secured.server.shutdown.cancel();
    secured.server.stopped().await;
}

#[tokio::test]
async fn an_answer_of_http_1_0_that_breaks_off_inside_of_tls_does_not_look_whole() {
    let secured = Secured::start(patient()).await;
    for (path, whole) in [("/streamed", true), ("/broken", false)] {
        let mut client = secured.connect().await;
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n")).await;
        let (answer, closed_well) = client.rest_and_end().await;
        assert_eq!(closed_well, whole, "{path}: {} bytes", answer.len());
    }
}
