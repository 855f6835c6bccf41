//! Who the bus is to the server.

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use replog_host::bus::{Bus, NatsBus, NatsOptions, Refused};
use serde_json::{Value, json};

use crate::certificates::with_tls;
use crate::server::NatsServer;
use crate::support::{asking, connecting, denied, options, packet, to, up, wait_until};

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

/// A token that the server reads as it was signed by `by`, in the form of NATS.
fn jwt(by: &KeyPair, of: &KeyPair, nats: &Value) -> String {
    let claims = json!({"jti": of.public_key(), "iat": 1_700_000_000, "iss": by.public_key(), "name": "replog",
        "sub": of.public_key(), "nats": nats});
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let text = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(&claims));
    let signature = by.sign(text.as_bytes()).expect("a key that signs");
    format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// A server of an operator, and the credentials of a user in its one account.
fn with_operator() -> (String, String) {
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1});
    let operator_jwt = jwt(&operator, &operator, &json!({"type": "operator", "version": 2}));
    let account_claims = json!({"type": "account", "version": 2, "limits": limits});
    let account_jwt = jwt(&operator, &account, &account_claims);
    let user_claims = json!({"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1,
        "payload": -1});
    let user_jwt = jwt(&account, &user, &user_claims);
    let account_key = account.public_key();
    let config = format!(
        "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {account_key}: {account_jwt} }}"
    );
    let seed = user.seed().expect("it was made here");
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    (config, credentials)
}

#[tokio::test]
async fn a_credentials_file_logs_in_and_that_of_another_operator_does_not() {
    let (config, credentials) = with_operator();
    let server = NatsServer::start_with(|_| config).await;
    let of = |name: &str, content: &str| NatsOptions {
        credentials_file: Some(server.file(name, content)),
        ..options(&server)
    };
    up(&mut connecting(of("user.creds", &credentials), &[], "master").await).await;
    let (_, foreign) = with_operator();
    let mut stranger = connecting(of("foreign.creds", &foreign), &[], "master").await;
    let what = denied(&mut stranger).await;
    assert!(what.contains("authorization violation"), "{what}");
}

/// Waits until the server has logged this, and checks that the bus was never up.
async fn turned_away(server: &NatsServer, bus: &mut impl Bus, said: &str) {
    wait_until(said, || server.log().contains(said).then_some(())).await;
    assert_eq!(bus.send(to("a", "x")), Err(Refused::NotConnected));
}

#[tokio::test]
async fn a_server_proves_itself_by_a_certificate_of_the_given_ca() {
    let server = with_tls(false).await;
    let trusting = |ca| NatsOptions { tls_ca_file: Some(server.path(ca)), ..options(&server) };
    up(&mut connecting(trusting("ca.pem"), &[], "master").await).await;
    let mut distrusting = connecting(trusting("stranger.pem"), &[], "master").await;
    turned_away(&server, &mut distrusting, "TLS handshake error").await;
}

#[tokio::test]
async fn both_sides_prove_themselves_with_certificates() {
    let server = with_tls(true).await;
    let file = |name| Some(server.path(name));
    let trusting = NatsOptions { tls_ca_file: file("ca.pem"), ..options(&server) };
    let proving = NatsOptions {
        tls_cert_file: file("client.pem"),
        tls_key_file: file("client.key"),
        ..trusting.clone()
    };
    up(&mut connecting(proving, &[], "master").await).await;
    let mut unproven = connecting(trusting, &[], "master").await;
    turned_away(&server, &mut unproven, "TLS handshake error").await;
}
