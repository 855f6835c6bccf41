//! Why NATS cannot be reached: the server, the cause and what to check.

use std::{net::Ipv4Addr, time::Duration};

use replog_host::bus::{Bus, NatsOptions};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, time::timeout};

use crate::certificates::with_tls;
use crate::server::NatsServer;
use crate::support::{connected, connecting, options, up};

/// What the bus says once it has failed to connect. It has to name these.
async fn assert_unreachable(options: NatsOptions, address: &str, words: &[&str]) {
    let mut bus = connecting(options, &["a"], "master").await;
    let says = async {
        loop {
            if let Some(why) = bus.trouble().unreachable {
                return why;
            }
            let _a_look_at_the_connection = timeout(Duration::from_millis(20), bus.next()).await;
        }
    };
    let why = timeout(Duration::from_secs(30), says).await.expect("it says why");
    for word in words.iter().chain([&address, &"check "]) {
        assert!(why.contains(word), "{word:?} is missing: {why}");
    }
}

/// A port that does this with each connection.
async fn port(greeting: &'static [u8]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _it_may_be_gone = connection.write_all(greeting).await;
        }
    });
    address
}

#[tokio::test]
async fn a_port_where_nothing_listens() {
    let mut server = NatsServer::start().await;
    server.kill();
    assert_unreachable(options(&server), &server.address(), &["nothing listens", "refused", "--nats-url"])
        .await;
}

#[tokio::test]
async fn a_port_that_accepts_and_closes() {
    let address = port(b"").await;
    let options = NatsOptions::new([format!("nats://{address}")], "test");
    assert_unreachable(options, &address, &["closes it without a word", "nats-server listens there"]).await;
}

#[tokio::test]
async fn a_port_of_another_program() {
    let address = port(b"SSH-2.0-OpenSSH_9.9\r\n").await;
    let options = NatsOptions::new([format!("nats://{address}")], "test");
    assert_unreachable(options, &address, &["not nats-server"]).await;
}

#[tokio::test]
async fn a_name_that_is_not_resolved() {
    let options = NatsOptions::new(["nats://no-such-host.invalid:4333"], "test");
    assert_unreachable(options, "no-such-host.invalid:4333", &["not resolved", "--nats-url"]).await;
}

#[tokio::test]
async fn a_server_that_takes_no_more_connections() {
    let server = NatsServer::start_with(|_| "max_connections: 1".to_owned()).await;
    let _only_one = connected(&server, &[], "other").await;
    assert_unreachable(options(&server), &server.address(), &["max_connections"]).await;
}

#[tokio::test]
async fn a_server_whose_lines_are_too_short() {
    let server = NatsServer::start_with(|_| "max_control_line: 64".to_owned()).await;
    assert_unreachable(options(&server), &server.address(), &["max_control_line"]).await;
}

#[tokio::test]
async fn a_login_that_is_refused_and_one_that_is_missing() {
    let server =
        NatsServer::start_with(|_| "authorization { user: replog, password: right }".to_owned()).await;
    let wrong = NatsOptions {
        user: Some("replog".to_owned()),
        password_file: Some(server.file("password", "wrong")),
        ..options(&server)
    };
    assert_unreachable(wrong, &server.address(), &["refuses the login", "--nats-password-file"]).await;
    assert_unreachable(options(&server), &server.address(), &["refuses the login", "has no login"]).await;
}

#[tokio::test]
async fn a_server_without_tls_for_a_node_that_wants_it() {
    let with_certificates = with_tls(false).await;
    let ca = Some(with_certificates.path("ca.pem"));
    let plain = NatsServer::start().await;
    let options = NatsOptions { tls_ca_file: ca, ..options(&plain) };
    assert_unreachable(options, &plain.address(), &["unencrypted", "leave out tls://"]).await;
}

#[tokio::test]
async fn a_server_with_tls_for_a_node_that_knows_nothing_of_it() {
    let server = with_tls(false).await;
    assert_unreachable(
        options(&server),
        &server.address(),
        &["it speaks TLS", "give its certificate by --nats-ca"],
    )
    .await;
}

#[tokio::test]
async fn a_certificate_of_another_authority() {
    let server = with_tls(false).await;
    let options = NatsOptions { tls_ca_file: Some(server.path("stranger.pem")), ..options(&server) };
    assert_unreachable(options, &server.address(), &["does not trust", "the file of --nats-ca"]).await;
}

#[tokio::test]
async fn a_certificate_that_a_node_should_show() {
    let server = with_tls(true).await;
    let options = NatsOptions { tls_ca_file: Some(server.path("ca.pem")), ..options(&server) };
    assert_unreachable(options, &server.address(), &["--nats-cert"]).await;
}

#[tokio::test]
async fn a_bus_that_is_up_says_nothing_of_what_was() {
    let mut server = NatsServer::start().await;
    server.kill();
    let mut bus = connecting(options(&server), &["a"], "master").await;
    while bus.trouble().unreachable.is_none() {
        let _a_look_at_the_connection = timeout(Duration::from_millis(20), bus.next()).await;
    }
    server.start_again().await;
    up(&mut bus).await;
    assert_eq!(bus.trouble().unreachable, None);
}
