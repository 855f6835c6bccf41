//! What one who follows is given: every entry once, in order, and where it ends.

use crate::support::{Server, patient};

const EVENT_2: &str =
    "id: 1.0/2\ndata: {\"order\":2,\"epoch\":\"1.0\",\"at\":7,\"id\":\"id2\",\"message\":\"x\"}\n\n";
const LINE_0: &str = "{\"order\":0,\"epoch\":\"1.0\",\"at\":7,\"id\":\"id0\",\"message\":\"x\"}\n";

#[tokio::test]
async fn what_is_there_comes_first_and_then_each_entry_that_is_shown() {
    let mut server = Server::start(patient()).await;
    server.append(2, 1);
    let mut client = server.follow("/tail", "").await;
    client.until("id: 1.0/1\n").await;
    assert!(client.text.contains("content-type: text/event-stream\r\n"), "{}", client.text);
    assert!(client.text.contains("id: 1.0/0\n") && !client.text.contains("id: 1.0/2\n"));
    server.append(1, 1);
    client.until(EVENT_2).await;
}

#[tokio::test]
async fn from_says_where_to_begin_and_the_last_event_id_knows_better() {
    let mut server = Server::start(patient()).await;
    server.append(3, 1);
    for (path, headers) in [
        ("/tail?from=2", ""),
        ("/tail?from=0", "last-event-id: 1\r\n"),
        ("/tail?from=2", "last-event-id:\r\n"),
    ] {
        let mut client = server.follow(path, headers).await;
        assert!(!client.until(EVENT_2).await.contains("id: 1.0/1\n"), "{path} {headers}");
    }
    let mut client = server.follow("/tail?from=end", "accept: application/x-ndjson\r\n").await;
    client.until("\r\n\r\n").await;
    server.append(1, 1);
    assert!(!client.until("\"order\":3,").await.contains("\"order\":2,"));
}

#[tokio::test]
async fn lines_are_sent_to_those_who_ask_for_them() {
    let mut server = Server::start(patient()).await;
    server.append(1, 1);
    let mut client = server.follow("/tail", "accept: application/x-ndjson\r\n").await;
    client.until(LINE_0).await;
    assert!(client.text.contains("content-type: application/x-ndjson\r\n") && !client.text.contains("data:"));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let server = Server::start(patient()).await;
    for (path, headers, status) in [
        ("/tail?from=-1", "", "400"),
        ("/tail?form=1", "", "400"),
        ("/tail?from=1&from=1", "", "400"),
        ("/tail", "last-event-id: 1, 2\r\n", "400"),
        ("/tail", "last-event-id: 1\r\nlast-event-id: 1\r\n", "400"),
        ("/tail", "last-event-id: +1\r\n", "400"),
        ("/tail", "last-event-id: 1/2\r\n", "400"),
        ("/tail?from=1.0/2", "", "400"),
        ("/tail", "accept: application/json\r\n", "406"),
    ] {
        let mut client = server.follow(path, headers).await;
        client.until(&format!("\"status\":{status},")).await;
    }
}

#[tokio::test]
async fn an_entry_larger_than_a_piece_comes_whole() {
    let mut server = Server::start(patient()).await;
    server.append(1, 100_000);
    server.append(1, 1);
    let mut client = server.follow("/tail", "").await;
    client.until("id: 1.0/1\n").await;
    assert!(client.text.contains(&format!("\"{}\"}}\n\nid: 1.0/1\n", "x".repeat(100_000))));
}

#[tokio::test]
async fn a_cut_is_the_last_event_and_takes_the_order_back() {
    let mut server = Server::start(patient()).await;
    server.append(2, 1);
    let mut client = server.follow("/tail", "").await;
    client.until("id: 1.0/1\n").await;
    server.cut();
    server.append(1, 1);
    let (text, ended) = client.rest().await;
    assert!(text.contains("\n\nid:\nevent: cut\ndata: {") && ended, "{text}");
    assert!(!text.contains("id: 1.0/2\n"), "{text}");
}

#[tokio::test]
async fn lines_break_off_at_a_cut() {
    let mut server = Server::start(patient()).await;
    server.append(1, 1);
    let mut client = server.follow("/tail", "accept: application/x-ndjson\r\n").await;
    client.until(LINE_0).await;
    server.cut();
    let (text, ended) = client.rest().await;
    assert!(!ended, "{text}");
}

#[tokio::test]
async fn an_id_of_an_entry_that_is_there_is_resumed_behind() {
    let mut server = Server::start(patient()).await;
    server.append(3, 1);
    for id in ["1.0/1", "1"] {
        let mut client = server.follow("/tail", &format!("last-event-id: {id}\r\n")).await;
        let text = client.until(EVENT_2).await;
        assert!(!text.contains("id: 1.0/1\n") && !text.contains("cut"), "{text}");
    }
}

/// The event that tells of a cut and all of a log of `count` entries in epoch 1.1, in this order.
fn assert_begins_anew(text: &str, count: u64) {
    let (before, log) = text.split_once("id:\nevent: cut\ndata: ").unwrap();
    assert!(!before.contains("id: "), "{text}");
    let ids: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    let expected: Vec<String> = (0..count).map(|order| format!("1.1/{order}")).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn who_resumes_over_a_cut_is_told_so_and_gets_all_of_the_new_log() {
    for is_whole in [true, false] {
        let mut server = Server::showing(patient(), is_whole).await;
        server.append(5, 1);
        server.clean();
        server.append(7, 1);
        for (path, id) in
            [("/tail", "1.0/4"), ("/tail?from=3", "1.0/4"), ("/tail?from=end", "1.0/0"), ("/tail", "1.0/9")]
        {
            let mut client = server.follow(path, &format!("last-event-id: {id}\r\n")).await;
            assert_begins_anew(client.until("id: 1.1/6\n").await, 7);
        }
        // An order alone says nothing of the log that it was seen in.
        let mut client = server.follow("/tail", "last-event-id: 4\r\n").await;
        let text = client.until("id: 1.1/6\n").await;
        assert!(
            text.contains("id: 1.1/5\n") && !text.contains("cut") && !text.contains("id: 1.1/4\n"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn lines_that_resume_over_a_cut_break_off() {
    let mut server = Server::start(patient()).await;
    server.append(5, 1);
    server.clean();
    server.append(7, 1);
    let mut client = server.follow("/tail", "accept: application/x-ndjson\r\nlast-event-id: 1.0/4\r\n").await;
    let (text, ended) = client.rest().await;
    assert!(!ended && !text.contains("order"), "{text}");
}

#[tokio::test]
async fn what_a_secondary_does_not_show_yet_is_waited_for_and_compared() {
    let mut server = Server::showing(patient(), false).await;
    server.append(2, 1);
    let mut same = server.follow("/tail", "last-event-id: 1.0/2\r\n").await;
    let mut other = server.follow("/tail", "last-event-id: 1.1/2\r\n").await;
    same.until("retry: ").await;
    other.until("retry: ").await;
    server.append(2, 1);
    assert!(!same.until("id: 1.0/3\n").await.contains("id: 1.0/2\n"));
    // It was appended in another epoch where this client saw it.
    let text = other.until("id: 1.0/3\n").await;
    assert!(text.contains("event: cut\n") && text.contains("id: 1.0/0\n"), "{text}");
}

/// The bug this prevents: who comes back to a master that takes over the very log that the client has seen was told of a
/// cut, and got every entry again.
#[tokio::test]
async fn an_epoch_that_is_opened_behind_entries_which_are_not_shown_yet_is_no_cut() {
    let mut server = Server::showing(patient(), false).await;
    let mut client = server.follow("/tail", "last-event-id: 1.0/2\r\n").await;
    client.until("retry: ").await;
    server.take_over(4);
    let mut late = server.follow("/tail", "last-event-id: 1.0/2\r\n").await;
    late.until("retry: ").await;
    server.show_all();
    for mut client in [client, late] {
        let text = client.until("id: 1.0/3\n").await;
        assert!(!text.contains("cut") && !text.contains("id: 1.0/2\n"), "{text}");
    }
}

#[tokio::test]
async fn who_has_seen_more_than_there_is_saw_another_history() {
    let mut server = Server::start(patient()).await;
    server.append(2, 1);
    for id in ["2", "1.0/2", "1.7/2"] {
        let mut client = server.follow("/tail", &format!("last-event-id: {id}\r\n")).await;
        let text = client.until("id: 1.0/1\n").await;
        assert!(text.contains("event: cut\n") && text.contains("id: 1.0/0\n"), "{text}");
    }
    let mut client = server.follow("/tail", "last-event-id: 1\r\n").await;
    client.until("retry: ").await;
    server.append(1, 1);
    client.until(EVENT_2).await;
}

#[tokio::test]
async fn no_blank_line_stands_where_there_is_no_event() {
    let mut server = Server::start(patient()).await;
    let mut client = server.follow("/tail", "").await;
    client.until("retry: ").await;
    server.append(2, 1);
    client.until("id: 1.0/1\n").await;
    server.cut();
    let (text, _) = client.rest().await;
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    for event in body.strip_suffix("\n\n").unwrap().split("\n\n") {
        assert!(
            event.lines().any(|line| line.starts_with("data: ")),
            "an event without data: {event:?} in {text}"
        );
    }
}
