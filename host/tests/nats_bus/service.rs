//! A service against a real nats-server, asked by a client of the library.

use std::{collections::BTreeMap, time::Duration};

use async_nats::{Client, HeaderMap, Message, RequestErrorKind};
use bytes::Bytes;
use replog_host::bus::{Answer, NatsService, Refusal, Request, ServiceTerms};
use tokio::time::{sleep, timeout};

use crate::{server::NatsServer, support::options};
use replog_shared::Code;

const SUBJECT: &str = "replog.main.append";
const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// A service that is open, of this id.
async fn open(server: &NatsServer, id: &str) -> NatsService {
    let terms = ServiceTerms {
        name: "replog-main".to_owned(),
        id: id.to_owned(),
        version: "1.0.0",
        description: String::new(),
        metadata: BTreeMap::new(),
        endpoint: "append",
        subject: SUBJECT.to_owned(),
    };
    let mut service = NatsService::connect(options(server), terms).await.expect("good options");
    service.open().await;
    service
}

/// A client, once the service is there to be asked. The service has to be driven meanwhile.
async fn client_of(server: &NatsServer, service: &mut NatsService, id: &str) -> Client {
    let client = async_nats::connect(server.url()).await.expect("the server is there");
    let is_there = async {
        while client.request(format!("$SRV.PING.replog-main.{id}"), Bytes::new()).await.is_err() {
            sleep(POLL).await;
        }
    };
    tokio::select! {
        there = timeout(DEADLINE, is_there) => there.expect("the service is there"),
        _ = service.next() => panic!("nobody has asked yet"),
    }
    client
}

async fn next(service: &mut NatsService) -> Request {
    timeout(DEADLINE, service.next()).await.expect("a request")
}

async fn send(client: &Client, headers: HeaderMap, body: &'static str) {
    let inbox = client.new_inbox();
    let sent = client.publish_with_reply_and_headers(SUBJECT, inbox, headers, body.into());
    sent.await.expect("it is connected");
}

/// An answer to `body`, given by one turn of the service.
async fn served(client: &Client, service: &mut NatsService, answer: Answer) -> Message {
    let serve = async {
        let request = next(service).await;
        service.answer(request.asker, answer);
        service.next().await
    };
    tokio::select! {
        message = client.request(SUBJECT, Bytes::new()) => message.expect("an answer"),
        _ = serve => panic!("nobody asked twice"),
    }
}

#[tokio::test]
async fn a_trace_is_taken_from_its_header_and_none_from_two_or_a_wrong_one() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let server = NatsServer::start().await;
    let mut service = open(&server, "a").await;
    let client = client_of(&server, &mut service, "a").await;
    for (headers, is_taken) in [
        (&[][..], false),
        (&[("traceparent", TRACE)], true),
        (&[("Traceparent", TRACE)], true),
        (&[("traceparent", TRACE), ("traceparent", TRACE)], false),
        (&[("traceparent", TRACE), ("Traceparent", TRACE)], false),
        (&[("traceparent", "00-4bf92f-1-01")], false),
        (&[("tracestate", TRACE)], false),
    ] {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.append(*name, *value));
        send(&client, map, "x").await;
        let request = next(&mut service).await;
        assert_eq!(
            request.trace.map(|trace| trace.to_string()).as_deref(),
            is_taken.then_some(TRACE),
            "{headers:?}"
        );
        assert_eq!(request.body, "x");
    }
}

#[tokio::test]
async fn what_headers_say_of_a_refusal() {
    let server = NatsServer::start().await;
    let mut service = open(&server, "a").await;
    let client = client_of(&server, &mut service, "a").await;
    let fine = served(&client, &mut service, Answer { body: "{}".into(), refusal: None }).await;
    assert_eq!((fine.payload, fine.headers), (Bytes::from("{}"), None));

    let refusal = Refusal { code: Code::Overloaded, retry_after: Some("1".to_owned()) };
    let refused = served(&client, &mut service, Answer { body: "{}".into(), refusal: Some(refusal) }).await;
    let headers = refused.headers.expect("there are headers");
    for (name, value) in
        [("Nats-Service-Error", "overloaded"), ("Nats-Service-Error-Code", "503"), ("Retry-After", "1")]
    {
        assert_eq!(headers.get(name).map(|value| value.as_str()), Some(value), "{name}");
    }
}

#[tokio::test]
async fn closing_gives_what_was_on_its_way_and_then_nobody_is_there() {
    const SENT: usize = 200;
    let server = NatsServer::start().await;
    let mut service = open(&server, "a").await;
    let client = client_of(&server, &mut service, "a").await;
    for _ in 0..SENT {
        send(&client, HeaderMap::new(), "x").await;
    }
    // Once the server has answered, it has passed on all that came before.
    let asked = client.request("nobody.is.there", Bytes::new()).await;
    assert_eq!(asked.expect_err("nobody is there").kind(), RequestErrorKind::NoResponders);
    let left = timeout(DEADLINE, service.close()).await.expect("it closes");
    assert_eq!(left.len(), SENT);
    let asked = client.request(SUBJECT, Bytes::new()).await;
    assert_eq!(asked.expect_err("nobody is there").kind(), RequestErrorKind::NoResponders);
    service.open().await;
    let client = client_of(&server, &mut service, "a").await;
    served(&client, &mut service, Answer { body: "again".into(), refusal: None }).await;
}

#[tokio::test]
async fn it_is_there_again_when_the_server_is() {
    let mut server = NatsServer::start().await;
    let mut service = open(&server, "a").await;
    client_of(&server, &mut service, "a").await;
    server.kill();
    server.start_again().await;
    let client = client_of(&server, &mut service, "a").await;
    served(&client, &mut service, Answer { body: "again".into(), refusal: None }).await;
}

#[tokio::test]
async fn every_open_service_hears_a_request() {
    let server = NatsServer::start().await;
    let (mut one, mut other) = (open(&server, "a").await, open(&server, "b").await);
    let client = client_of(&server, &mut one, "a").await;
    client_of(&server, &mut other, "b").await;
    send(&client, HeaderMap::new(), "x").await;
    assert_eq!(
        (next(&mut one).await.body, next(&mut other).await.body),
        (Bytes::from("x"), Bytes::from("x"))
    );
}

/// Everyone may listen to all but this.
fn all_but(subjects: &str) -> String {
    format!(
        "accounts {{ A: {{ users: [ {{ user: any, password: any, permissions: {{ subscribe: {{ deny: \
         {subjects:?} }} }} }} ] }} }}\nno_auth_user: any"
    )
}

/// Drives a service that nobody asks until this holds of what it is denied.
async fn driven(service: &mut NatsService, what: &str, holds: impl Fn(Option<&str>) -> bool) {
    let denied = service.denied();
    let held = async {
        while !holds(denied.borrow().as_deref()) {
            sleep(POLL).await;
        }
    };
    tokio::select! {
        held = timeout(DEADLINE, held) => held.unwrap_or_else(|_| panic!("in vain: {what}")),
        _ = service.next() => panic!("nobody has asked"),
    }
}

#[tokio::test]
async fn what_the_last_connection_was_denied_is_forgotten_over_the_next_one() {
    let mut server = NatsServer::start_with(|_| all_but(SUBJECT)).await;
    let mut service = open(&server, "a").await;
    driven(&mut service, "it is denied", |denied| denied.is_some_and(|what| what.contains(SUBJECT))).await;
    server.start_again_with(&all_but("other")).await;
    driven(&mut service, "nothing is denied", |denied| denied.is_none()).await;
    let client = client_of(&server, &mut service, "a").await;
    served(&client, &mut service, Answer { body: "yes".into(), refusal: None }).await;
}

#[tokio::test]
async fn what_was_denied_is_listened_to_again_when_it_is_allowed() {
    let mut server = NatsServer::start_with(|_| all_but("other")).await;
    let mut service = open(&server, "a").await;
    let denied = service.denied();
    let client = client_of(&server, &mut service, "a").await;
    served(&client, &mut service, Answer { body: "yes".into(), refusal: None }).await;
    server.reload_with(&all_but(SUBJECT)).await;
    driven(&mut service, "it is denied", |denied| denied.is_some_and(|what| what.contains(SUBJECT))).await;
    server.reload_with(&all_but("other")).await;
    let asks = async {
        while client.request(SUBJECT, Bytes::new()).await.is_err() {
            sleep(POLL).await;
        }
    };
    let serves = async {
        loop {
            let Request { asker, .. } = service.next().await;
            service.answer(asker, Answer { body: "again".into(), refusal: None });
        }
    };
    let allowed = async {
        while denied.borrow().is_some() {
            sleep(POLL).await;
        }
    };
    tokio::select! {
        told = timeout(DEADLINE, async { asks.await; allowed.await }) => told.expect("it is served again"),
        () = serves => {}
    }
}
