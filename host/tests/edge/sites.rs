//! Changes that a browser asks for on behalf of another site's page.

use serde_json::json;

use crate::support::{Server, patient};

fn post(path: &str, lines: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:5000\r\nContent-Length: {}\r\n{lines}\r\n{body}",
        body.len()
    )
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[tokio::test]
async fn another_sites_page_changes_nothing_whatever_it_sends() {
    let server = Server::start(patient()).await;
    for site in ["Origin: https://other.example\r\n", "Sec-Fetch-Site: cross-site\r\n", "Origin: null\r\n"] {
        for (content_type, body) in [
            ("", ""),
            (FORM, "a=1"),
            ("Content-Type: text/plain\r\n", "x"),
            ("Content-Type: application/json\r\n", "{}"),
        ] {
            let answer = server.ask(post("/ignore", &format!("{site}{content_type}"), body)).await;
            assert_eq!(answer.problem(403, "cross_site")["applied"], json!(false));
        }
        let answer = server.ask(post("/nothing", site, "")).await;
        answer.problem(403, "cross_site");
    }
}

#[tokio::test]
async fn a_refused_request_leaves_the_connection_to_the_next() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(post("/ignore", "Sec-Fetch-Site: cross-site\r\n", "")).await;
    client.answer().await.problem(403, "cross_site");
    client.send(post("/ignore", "Sec-Fetch-Site: same-origin\r\n", "")).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn the_nodes_own_page_and_other_clients_notice_nothing() {
    let server = Server::start(patient()).await;
    let own = "Origin: http://127.0.0.1:5000\r\n";
    for lines in ["", own, &format!("{own}Sec-Fetch-Site: same-origin\r\n")] {
        assert_eq!(server.ask(post("/ignore", lines, "")).await.status, 200, "{lines}");
    }
    let read = "GET /page HTTP/1.1\r\nHost: a\r\nOrigin: https://other.example\r\nSec-Fetch-Site: cross-site\r\n\r\n";
    let answer = server.ask(read).await;
    assert_eq!(answer.status, 200);
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!(allowed, None, "a browser does not show it to that page");
}
