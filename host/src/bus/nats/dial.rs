//! Which server is tried next, and what became of the last try.
//!
//! The client library keeps to itself which server it tries and why that failed: its event says "IO error". It asks
//! before each attempt which server to take, and shows what it has noted of all of them: so we choose, and read the notes
//! of our last choice.

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{ConnectOptions, ReconnectToServer, Server, ServerAddr, ServerInfo};

use super::notices::NoticeSender;

/// An attempt to connect that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The server, as `HOST:PORT`.
    pub(super) server: String,
    /// Why, in the words of the client library.
    pub(super) words: String,
    /// Attempts that have failed since there was a connection, this one included.
    pub(super) attempts: u64,
}

/// The client's attempts to connect. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(super) struct Dial {
    notes: Arc<Mutex<Notes>>,
    notices: NoticeSender,
}

#[derive(Default)]
struct Notes {
    last: Option<Try>,
    /// The servers in the order in which they were last tried.
    tried: Vec<ServerAddr>,
    failed: u64,
}

/// An attempt whose outcome is not known yet.
struct Try {
    server: ServerAddr,
    failed_before: usize,
    connection_before: (String, u64),
}

/// A server as people write it.
pub(super) fn host_and_port(server: &ServerAddr) -> String {
    let (host, port) = (server.host(), server.port());
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl Dial {
    pub(super) fn new(notices: NoticeSender) -> Dial {
        Dial { notes: Arc::default(), notices }
    }

    /// Has the client ask this before each attempt.
    pub(super) fn chooses(&self, options: ConnectOptions) -> ConnectOptions {
        let dial = self.clone();
        options.reconnect_to_server_callback(move |servers, info| dial.next(&servers, &info))
    }

    /// The server of the last attempt: while there is a connection, the one at its other end.
    pub(super) fn server(&self) -> Option<ServerAddr> {
        self.notes().last.as_ref().map(|last| last.server.clone())
    }

    fn next(&self, servers: &[Server], last_info: &ServerInfo) -> Ready<Option<ReconnectToServer>> {
        let mut notes = self.notes();
        if let Some(failure) = notes.failure_of_last(servers, last_info) {
            self.notices.on_unreachable(failure);
        }
        ready(notes.choose(servers, last_info).map(|addr| ReconnectToServer { addr, delay: None }))
    }

    /// A panic elsewhere cannot leave the notes half written, so a poisoned lock is taken as it is.
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn failure_of_last(&mut self, servers: &[Server], last_info: &ServerInfo) -> Option<Failure> {
        let last = self.last.take()?;
        if last.connection_before != connection_of(last_info) {
            self.failed = 0;
            return None;
        }
        self.failed += 1;
        let noted = servers.iter().find(|server| server.addr == last.server);
        let noted = noted.filter(|server| server.failed_attempts != last.failed_before);
        // The client notes nothing of a server whose name is not resolved.
        let words =
            noted.map_or(Some("DNS error"), |server| server.last_error.as_deref()).unwrap_or("failed");
        let words = told_once(words).to_owned();
        Some(Failure { server: host_and_port(&last.server), words, attempts: self.failed })
    }

    /// The one that was not tried for longest; of those that never were, any.
    fn choose(&mut self, servers: &[Server], last_info: &ServerInfo) -> Option<ServerAddr> {
        let rank = |server: &&Server| {
            self.tried.iter().position(|tried| *tried == server.addr).map_or(0, |at| at + 1)
        };
        let oldest = servers.iter().map(|server| rank(&server)).min()?;
        let candidates: Vec<&Server> = servers.iter().filter(|server| rank(server) == oldest).collect();
        let chosen = candidates.get(fastrand::usize(..candidates.len()))?;
        let server = chosen.addr.clone();
        self.tried.retain(|tried| *tried != server && servers.iter().any(|known| known.addr == *tried));
        self.tried.push(server.clone());
        self.last = Some(Try {
            server: server.clone(),
            failed_before: chosen.failed_attempts,
            connection_before: connection_of(last_info),
        });
        Some(server)
    }
}

/// The client's words without the kind of its error, where the error itself says as much.
fn told_once(words: &str) -> &str {
    match words.split_once(": ") {
        Some(("IO error", error)) => error,
        Some((kind, error)) if kind == error => error,
        _ => words,
    }
}

/// Names the last connection there was.
fn connection_of(info: &ServerInfo) -> (String, u64) {
    (info.server_id.clone(), info.client_id)
}

#[cfg(test)]
mod tests {
    use super::super::notices::{self, Notice};
    use super::*;

    fn server(url: &str, failed_attempts: usize, last_error: Option<&str>) -> Server {
        let addr = url.parse().expect("an address");
        let last_error = last_error.map(str::to_owned);
        Server { addr, failed_attempts, did_connect: false, is_discovered: false, last_error }
    }

    fn info(client_id: u64) -> ServerInfo {
        ServerInfo { client_id, ..ServerInfo::default() }
    }

    #[tokio::test]
    async fn a_failed_attempt_is_told_with_its_server_its_cause_and_how_many_failed() {
        let (sender, mut told) = notices::channel();
        let dial = Dial::new(sender);
        let _chosen = dial.next(&[server("a:1", 0, None)], &info(0)).await;
        assert!(told.try_recv().is_err(), "nothing has failed yet");
        for attempts in 1..=2 {
            let failed = server("a:1", attempts, Some("IO error: refused"));
            let _chosen = dial.next(&[failed], &info(0)).await;
            let expected =
                Failure { server: "a:1".to_owned(), words: "refused".to_owned(), attempts: attempts as u64 };
            assert_eq!(told.try_recv(), Ok(Notice::Unreachable(expected)));
        }
    }

    #[tokio::test]
    async fn a_name_that_is_not_resolved_is_known_by_the_lack_of_a_note() {
        let (sender, mut told) = notices::channel();
        let dial = Dial::new(sender);
        let servers = [server("nowhere.example", 0, None)];
        let _chosen = dial.next(&servers, &info(0)).await;
        let _chosen = dial.next(&servers, &info(0)).await;
        let Ok(Notice::Unreachable(failure)) = told.try_recv() else { panic!("nothing was told") };
        assert_eq!((failure.server.as_str(), failure.words.as_str()), ("nowhere.example:4222", "DNS error"));
    }

    #[tokio::test]
    async fn a_connection_that_was_made_and_lost_is_no_failed_attempt() {
        let (sender, mut told) = notices::channel();
        let dial = Dial::new(sender);
        let servers = [server("a:1", 0, None)];
        let _chosen = dial.next(&servers, &info(0)).await;
        let _chosen = dial.next(&servers, &info(7)).await;
        assert!(told.try_recv().is_err());
    }

    #[tokio::test]
    async fn servers_are_tried_in_turn_the_one_just_lost_last() {
        let (sender, _told) = notices::channel();
        let dial = Dial::new(sender);
        let servers = [server("a:1", 9, None), server("b:1", 0, None), server("c:1", 0, None)];
        let mut order = Vec::new();
        for _ in 0..9 {
            let chosen = dial.next(&servers, &info(0)).await.expect("one is chosen");
            assert_eq!(dial.server(), Some(chosen.addr.clone()));
            order.push(host_and_port(&chosen.addr));
        }
        let mut first: Vec<&String> = order[..3].iter().collect();
        first.sort_unstable();
        assert_eq!(first, ["a:1", "b:1", "c:1"]);
        assert_eq!((&order[..3], &order[3..6]), (&order[3..6], &order[6..]));
    }

    #[test]
    fn addresses_are_written_as_people_write_them() {
        let written = |url: &str| host_and_port(&url.parse().expect("an address"));
        assert_eq!(written("nats://a"), "a:4222");
        assert_eq!(written("nats://[::1]:7"), "[::1]:7");
    }
}
