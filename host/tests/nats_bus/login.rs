//! Who the bus is to the server.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use replog_host::bus::{Bus, NatsBus, NatsOptions};

use crate::server::NatsServer;
use crate::support::{asking, connecting, denied, options, packet, up};

const USER: &str = "authorization { user: replog, password: right }";

fn with_password(server: &NatsServer, password: &str) -> NatsOptions {
    NatsOptions {
        user: Some("replog".to_owned()),
        password_file: Some(server.file("password", password)),
        ..options(server)
    }
}

#[tokio::test]
async fn a_user_logs_in_with_the_password_of_a_file() {
    let server = NatsServer::start_with(|_| USER.to_owned()).await;
    up(&mut connecting(with_password(&server, "right\n"), &[], "master").await).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_tried_until_the_server_takes_it() {
    let mut server = NatsServer::start_with(|_| USER.to_owned()).await;
    let mut bus = connecting(with_password(&server, "wrong"), &[], "master").await;
    for _ in 0..2 {
        let what = denied(&mut bus).await;
        assert!(what.contains("authorization violation"), "{what}");
    }
    server.start_again_with("authorization { user: replog, password: wrong }").await;
    up(&mut bus).await;
}

/// The pair that the documentation of nats-server uses; it opens nothing.
#[tokio::test]
async fn an_nkey_logs_in() {
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const USER: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let server =
        NatsServer::start_with(|_| format!("authorization {{ users: [ {{ nkey: {USER} }} ] }}")).await;
    let nkey_file = Some(server.file("user.nk", &format!("{SEED}\n")));
    up(&mut connecting(NatsOptions { nkey_file, ..options(&server) }, &[], "master").await).await;
}

#[tokio::test]
async fn a_login_inside_the_url_is_refused_before_anything_connects() {
    let options = NatsOptions::new(["nats://replog:right@localhost"], "test");
    let error = NatsBus::connect(options, Vec::new(), "inbox.master".to_owned()).await.err().unwrap();
    assert_eq!(error.problems.len(), 1);
    assert!(error.to_string().contains("has a login in it"), "{error}");
}

#[tokio::test]
async fn a_subject_that_nats_cannot_carry_is_refused_before_anything_connects() {
    let options = NatsOptions::new(["nats://localhost"], "test");
    let refused = NatsBus::connect(options, vec!["a..b".to_owned()], "inbox.master".to_owned()).await;
    assert!(refused.err().unwrap().to_string().contains("a..b"));
}

#[tokio::test]
async fn the_server_lists_the_client_under_its_name() {
    const ACCOUNTS: &str = "accounts {
        APP: { users: [ { user: app, password: app } ] }
        SYS: { users: [ { user: replog, password: right } ] }
    }
    system_account: SYS
    no_auth_user: app";
    let server = NatsServer::start_with(|_| ACCOUNTS.to_owned()).await;
    let named = NatsOptions::new([server.url()], "replog main secondary1");
    let mut bus = connecting(named, &[], "secondary1").await;
    up(&mut bus).await;
    let mut system = connecting(with_password(&server, "right"), &[], "system").await;
    up(&mut system).await;
    system.send(asking("$SYS.REQ.SERVER.PING.CONNZ", "inbox.system.connections", "")).unwrap();
    let connections = packet(&mut system).await.payload;
    assert!(std::str::from_utf8(&connections).unwrap().contains("replog main secondary1"));
}

/// A CA, and certificates of a server and a client that it signed, as files.
fn write_certificates(directory: &Path) {
    let key = || KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, key()).expect("a CA");
    let write = |name: &str, pem: String| fs::write(directory.join(name), pem).expect("a file");
    write("ca.pem", ca.pem());
    for name in ["server", "client"] {
        let key = key();
        let names = vec!["127.0.0.1".to_owned()];
        let certificate =
            CertificateParams::new(names).expect("a name").signed_by(&key, &ca).expect("signed");
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

fn mutual_tls(directory: &Path) -> String {
    write_certificates(directory);
    let file = |name| directory.join(name);
    format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    )
}

#[tokio::test]
async fn both_sides_prove_themselves_with_certificates() {
    let server = NatsServer::start_with(mutual_tls).await;
    let file = |name| Some(server.path(name));
    let trusting = NatsOptions { tls_ca_file: file("ca.pem"), ..options(&server) };
    let proving = NatsOptions {
        tls_cert_file: file("client.pem"),
        tls_key_file: file("client.key"),
        ..trusting.clone()
    };
    up(&mut connecting(proving, &[], "master").await).await;
}
