//! The server's limit for one payload: over it the server would close the connection, for ever again.

use replog_host::bus::{Bus, Refused};

use crate::server::NatsServer;
use crate::support::{connected, down, packet, to, up};

#[tokio::test]
async fn a_packet_over_the_servers_limit_is_refused_and_one_at_the_limit_arrives() {
    let server = NatsServer::start_with(|_| "max_payload: 1000".to_owned()).await;
    let mut bus = connected(&server, &["a"], "master").await;
    assert_eq!(bus.send(to("a", vec![0; 1001])), Err(Refused::TooLarge { limit: 1000 }));
    assert_eq!(bus.send(to("a", vec![0; 1000])), Ok(()));
    assert_eq!(packet(&mut bus).await.payload.len(), 1000);
}

#[tokio::test]
async fn the_limit_is_read_again_after_each_connect() {
    let mut server = NatsServer::start_with(|_| "max_payload: 1000".to_owned()).await;
    let mut bus = connected(&server, &["a"], "master").await;
    for limit in [500, 5000] {
        server.start_again_with(&format!("max_payload: {limit}")).await;
        down(&mut bus).await;
        assert_eq!(up(&mut bus).await, limit);
        assert_eq!(bus.send(to("a", vec![0; limit + 1])), Err(Refused::TooLarge { limit }));
        assert_eq!(bus.send(to("a", vec![0; limit])), Ok(()));
        assert_eq!(packet(&mut bus).await.payload.len(), limit);
    }
}
