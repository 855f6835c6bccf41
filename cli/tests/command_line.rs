//! The commands as a script sees them: what is on standard output, and which exit code.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod fake_node;

use std::{
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
};

use fake_node::FakeNode;
use serde_json::{Value, json};

/// What a command left behind.
struct Run {
    code: i32,
    out: String,
    err: String,
}

fn replog(url: &str, arguments: &[&str]) -> Run {
    replog_with_input(url, arguments, "")
}

fn replog_with_input(url: &str, arguments: &[&str], input: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replog"));
    command.args(arguments).env("REPLOG_URL", url);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// An address at which nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn append_prints_order_and_nodes() {
    let node = FakeNode::start(&[]);
    let run = replog(&node.url(), &["append", "Msg0", "Msg1", "--w", "2"]);
    assert_eq!((run.code, run.out.as_str()), (0, "0\tmaster,secondary1\n1\tmaster,secondary1\n"));
    assert_eq!(run.err, "");
    assert_eq!(node.messages(), ["Msg0", "Msg1"]);
}

#[test]
fn append_takes_json_and_lines_of_the_input() {
    let node = FakeNode::start(&[]);
    assert_eq!(replog_with_input(&node.url(), &["append"], "one\n\nthree").code, 0);
    assert_eq!(replog_with_input(&node.url(), &["append", "--json-message", "-"], "{\"a\": 1}\n").code, 0);
    assert_eq!(node.messages(), [json!("one"), json!(""), json!("three"), json!({"a": 1})]);
}

#[test]
fn append_passes_over_a_byte_order_mark_before_its_input() {
    let node = FakeNode::start(&[]);
    let run = replog_with_input(&node.url(), &["append", "-"], "\u{feff}Msg0\n\u{feff}Msg1\n");
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert_eq!(node.messages(), ["Msg0", "\u{feff}Msg1"], "further on it is a character like others");
    let run = replog_with_input(&node.url(), &["append", "--json-message"], "\u{feff}\"Msg2\"\n");
    assert_eq!((run.code, run.err.as_str()), (0, ""));
}

#[test]
fn append_stops_at_a_bad_line_and_names_it() {
    let node = FakeNode::start(&[]);
    let run = replog_with_input(&node.url(), &["append", "--json-message"], "1\n{\n3\n");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("message 2 is not JSON"), "{}", run.err);
    assert_eq!(node.messages(), [1]);
}

#[test]
fn append_with_json_prints_the_answer_whatever_it_is() {
    let node = FakeNode::start(&[]);
    let good = replog(&node.url(), &["append", "--json", "--id", "mine", "x"]);
    let answer: Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!((good.code, &answer["message_id"]), (0, &json!("mine")));
    let bad = replog(&node.url(), &["append", "--json", "--w", "9", "x"]);
    let answer: Value = serde_json::from_str(&bad.out).unwrap();
    assert_eq!((bad.code, &answer["applied"]), (1, &json!(false)));
}

#[test]
fn append_again_with_the_same_id_is_a_success_that_says_so() {
    let node = FakeNode::start(&[]);
    replog(&node.url(), &["append", "--id", "mine", "x"]);
    let again = replog(&node.url(), &["append", "--id", "mine", "x"]);
    assert_eq!((again.code, again.out.as_str()), (0, "0\tmaster,secondary1\n"));
    assert!(again.err.contains("was in the log before"), "{}", again.err);
    assert_eq!(replog(&node.url(), &["append", "--id", "mine", "y"]).code, 1);
}

#[test]
fn append_expects_one_order_after_the_other() {
    let node = FakeNode::start(&[json!("Msg0")]);
    assert_eq!(replog(&node.url(), &["append", "--expect-order", "1", "Msg1", "Msg2"]).code, 0);
    let late = replog(&node.url(), &["append", "--expect-order", "1", "Msg3"]);
    assert_eq!((late.code, late.out.as_str()), (1, ""));
    assert!(late.err.contains("the next order is 3"), "{}", late.err);
}

#[test]
fn append_that_is_not_met_in_time_says_where_the_entry_is() {
    let node = FakeNode::start(&[json!("Msg0")]);
    let run = replog(&node.url(), &["append", "--w", "3", "--timeout-ms", "1", "Msg1"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("in the log at order 1"), "{}", run.err);
}

#[test]
fn append_whose_answer_is_lost_says_how_to_send_it_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hangs_up = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read(&mut [0; 1_000]).unwrap()
    });
    let run = replog(&url, &["append", "--id", "mine", "x"]);
    assert!(hangs_up.join().unwrap() > 0);
    assert_eq!((run.code, run.out.as_str()), (5, ""));
    assert!(run.err.contains("--id mine"), "{}", run.err);
}

/// `replog append` of the numbers 1 to 20,000: more lines than a pipe holds, with this standard output.
fn append_20000(node: &FakeNode, arguments: &[&str], out: Stdio) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replog"));
    command.args(["append", "-w", "1", "--url", &node.url()]).args(arguments);
    command.stdin(Stdio::piped()).stdout(out).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // The command may leave before it has read all.
    thread::spawn(move || (1..=20_000).try_for_each(|number| writeln!(input, "{number}")));
    child
}

/// Asserts the exit code of an append that stopped, and that it tells the truth about how far it came.
fn assert_appended_in_part(child: Child, node: &FakeNode) {
    let output = child.wait_with_output().unwrap();
    let (err, appended) = (String::from_utf8(output.stderr).unwrap(), node.messages().len());
    assert_eq!(output.status.code(), Some(6), "{err}");
    assert!((1..20_000).contains(&appended), "{appended}");
    let told = format!("{appended} messages appended, the last at order {}", appended - 1);
    assert!(err.contains(&told), "{appended} are in the log, but: {err}");
}

#[test]
fn append_whose_reader_leaves_says_how_many_are_in_the_log() {
    for arguments in [&[][..], &["--json"]] {
        let node = FakeNode::start(&[]);
        let mut child = append_20000(&node, arguments, Stdio::piped());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        assert_appended_in_part(child, &node);
    }
}

#[test]
fn append_into_a_full_disk_says_how_many_are_in_the_log() {
    let node = FakeNode::start(&[]);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_appended_in_part(append_20000(&node, &[], full.into()), &node);
}

#[test]
fn a_refusal_counts_more_than_that_it_cannot_be_shown() {
    let node = FakeNode::start(&[]);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_replog"));
    command.args(["append", "--json", "-w", "9", "x", "--url", &node.url()]);
    assert_eq!(command.stdout(full).stderr(Stdio::null()).status().unwrap().code(), Some(1));
}

#[test]
fn a_node_that_says_nothing_does_not_hold_up_a_command_with_a_time_out() {
    // Takes connections, as any listening socket does, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let append = replog(&url, &["append", "--id", "mine", "--timeout-ms", "1", "x"]);
    assert_eq!((append.code, append.out.as_str()), (5, ""));
    assert!(append.err.contains("does not answer") && append.err.contains("--id mine"), "{}", append.err);
    assert_eq!(replog(&url, &["read", "--min-order", "0", "--timeout-ms", "1"]).code, 4);
}

#[test]
fn wrong_usage_is_found_before_anything_is_sent() {
    let url = nowhere();
    for wrong in [
        &["append", "--id", "a", "x", "y"][..],
        &["append", "--id", "a"],
        &["append", "--w", "0", "x"],
        &["append", "--url", "ftp://a", "x"],
        &["append", "--token", "two words", "x"],
        &["append", "--token-file", "/nonexistent", "x"],
        &["append", "--ca", "/nonexistent", "x"],
        &["token", "new", "--name", "a b", "--scopes", "read"],
        &["token", "new", "--name", "a", "--scopes", "all"],
        &["read", "--timeout-ms", "1"],
        &["read", "--full", "--raw"],
        &["bench", "--size", "9000000"],
        &["probe"],
        &["no-such-command"],
    ] {
        assert_eq!(replog(&url, wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replog"));
    let run = command.args(["read", "--help"]).env("REPLOG_URL", "").output().unwrap();
    let help = String::from_utf8(run.stdout).unwrap();
    assert!(help.contains("default: http://127.0.0.1:5000") && !help.contains("REPLOG_URL"), "{help}");
}

#[test]
fn nobody_there_has_an_exit_code_of_its_own() {
    let url = nowhere();
    let probe = ["probe", &url];
    for command in [&["append", "x"][..], &["read"], &["status"], &["bench"], &probe] {
        let run = replog(&url, command);
        assert_eq!((run.code, run.out.as_str()), (4, ""), "{command:?}");
        assert!(run.err.contains("cannot reach"), "{}", run.err);
    }
}

/// Strings, objects and brackets in strings, more than two pages of them.
fn seven() -> Vec<Value> {
    vec![json!("a"), json!({"b": [1, 2]}), json!("],["), json!(null), json!("q\"\n"), json!([]), json!("g")]
}

#[test]
fn read_prints_one_message_a_line_across_pages() {
    let node = FakeNode::start(&seven());
    let run = replog(&node.url(), &["read"]);
    let lines: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert_eq!(lines, seven());
}

#[test]
fn read_shows_a_part_whole_entries_or_bare_strings() {
    let node = FakeNode::start(&seven());
    let read = |arguments: &[&str]| replog(&node.url(), &[&["read"], arguments].concat()).out;
    assert_eq!(read(&["--from", "2", "--limit", "5"]).lines().count(), 5);
    assert_eq!(read(&["--from", "7"]), "");
    assert_eq!(read(&["--raw", "--limit", "3"]), "a\n{\"b\":[1,2]}\n],[\n");
    let full: Value = serde_json::from_str(&read(&["--full", "--from", "6"])).unwrap();
    assert_eq!(full, json!({"order": 6, "id": "id6", "message": "g"}));
}

#[test]
fn read_waits_for_an_order_and_gives_up_in_time() {
    let node = FakeNode::start(&seven());
    let shown = replog(&node.url(), &["read", "--min-order", "6", "--from", "6"]);
    assert_eq!((shown.code, shown.out.as_str()), (0, "\"g\"\n"));
    let late = replog(&node.url(), &["read", "--min-order", "7", "--timeout-ms", "1"]);
    assert_eq!((late.code, late.out.as_str()), (3, ""));
}

/// A node that answers each request, on a connection of its own, with the next of these pages.
fn paging_node(pages: &'static [(&'static str, &'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (log_id, epoch, body) in pages {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1_000]).unwrap() > 0);
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nconnection: close\r\nreplog-log-id: {log_id}\r\nreplog-epoch: {epoch}\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    url
}

#[test]
fn read_never_mixes_two_histories() {
    const FIRST: (&str, &str, &str) = ("a", "1.0", r#"{"messages": [1,2]}"#);
    const END: (&str, &str, &str) = ("a", "1.0", r#"{"messages": []}"#);
    let steady = replog(&paging_node(&[FIRST, ("a", "1.0", r#"{"messages": [3]}"#), END]), &["read"]);
    assert_eq!((steady.code, steady.out.as_str()), (0, "1\n2\n3\n"));
    for pages in [
        &[FIRST, ("a", "1.0\r\nreplog-epoch-owner: s1", r#"{"messages": ["other"]}"#)],
        &[FIRST, ("a", "1.1", r#"{"messages": ["other"]}"#)],
        &[FIRST, ("b", "1.0", r#"{"messages": ["other"]}"#)],
        &[FIRST, ("a", "1.1", r#"{"messages": []}"#)],
    ] {
        let cleaned = replog(&paging_node(pages), &["read"]);
        assert_eq!((cleaned.code, cleaned.out.as_str()), (1, "1\n2\n"));
        assert!(
            cleaned.err.contains("before order 2") && cleaned.err.contains("read it again"),
            "{}",
            cleaned.err
        );
    }
}

#[test]
fn read_into_a_closed_pipe_ends_quietly() {
    let node = FakeNode::start(&vec![json!("x".repeat(100_000)); 20]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_replog"));
    command.args(["read", "--url", &node.url()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn status_shows_the_secondaries_and_fails_when_one_is_down() {
    let node = FakeNode::start(&seven());
    let table = replog(&node.url(), &["status"]);
    assert_eq!(table.code, 1);
    let row: Vec<_> = table.out.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(row, ["secondary2", "unhealthy", "0", "7"]);
    assert!(table.err.contains("is degraded"), "{}", table.err);
    let json = replog(&node.url(), &["status", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap()["length"], 7);
}

#[test]
fn status_asks_all_nodes_even_if_the_first_is_gone() {
    let node = FakeNode::start(&[]);
    let run = replog("http://unused", &["status", &nowhere(), &node.url()]);
    assert_eq!(run.code, 4);
    assert!(run.out.contains("master  degraded"), "{}", run.out);
}

#[test]
fn probe_is_silent_and_true_to_the_status() {
    let node = FakeNode::start(&[]);
    let live = replog("http://unused", &["probe", &format!("{}/livez", node.url())]);
    assert_eq!((live.code, live.out.as_str(), live.err.as_str()), (0, "", ""));
    assert_eq!(replog("http://unused", &["probe", &format!("{}/readyz", node.url())]).code, 1);
}

#[test]
fn bench_measures_exactly_the_count_and_reports_it() {
    let node = FakeNode::start(&[]);
    let command = ["bench", "--clients", "2", "--warmup-seconds", "0", "--count", "50", "--json"];
    let run = replog(&node.url(), &command);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert_eq!((&report["requests"], &report["messages"]), (&json!(50), &json!(50)));
    assert_eq!(node.messages(), vec![json!("x".repeat(100)); 50]);
}

#[test]
fn bench_sends_batches() {
    let node = FakeNode::start(&[]);
    let command =
        ["bench", "--clients", "1", "--warmup-seconds", "0", "--count", "3", "--batch", "7", "--json"];
    let report: Value = serde_json::from_str(&replog(&node.url(), &command).out).unwrap();
    assert_eq!((&report["requests"], &report["messages"]), (&json!(3), &json!(21)));
    assert_eq!(node.messages().len(), 21);
}

#[test]
fn bench_counts_what_is_refused_and_fails() {
    let node = FakeNode::start(&[]);
    let command = ["bench", "--clients", "1", "--warmup-seconds", "0", "--count", "5", "--w", "9"];
    let run = replog(&node.url(), &command);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("400: 5"), "{}", run.out);
}

#[test]
fn completions_know_the_commands() {
    let run = replog("http://unused", &["completions", "bash"]);
    assert_eq!(run.code, 0);
    assert!(run.out.contains("append") && run.out.contains("bench"));
}

#[test]
fn verify_names_the_first_order_that_differs() {
    let messages: Vec<Value> = (0..10).map(Value::from).collect();
    let mut changed = messages.clone();
    changed[7] = json!("other");
    let (one, equal) = (FakeNode::start(&messages), FakeNode::start(&messages));
    let (behind, other) = (FakeNode::start(&messages[..4]), FakeNode::start(&changed));
    let verify = |nodes: &[&FakeNode]| {
        let urls: Vec<String> = nodes.iter().map(|node| node.url()).collect();
        let arguments: Vec<&str> = std::iter::once("verify").chain(urls.iter().map(String::as_str)).collect();
        replog("http://127.0.0.1:1", &arguments)
    };
    let well = verify(&[&one, &equal, &behind]);
    assert_eq!(well.code, 0, "{}", well.err);
    assert!(well.out.contains("  equal  ") && well.out.contains("  prefix  "), "{}", well.out);
    let ill = verify(&[&one, &other]);
    assert_eq!(ill.code, 1);
    assert!(ill.out.contains("differs at order 7") && ill.err.contains("at order 7"), "{}", ill.err);
}

#[test]
fn verify_of_no_data_directory_is_wrong_usage_and_creates_none() {
    let run = replog(&nowhere(), &["verify", "--data-dir", "/nowhere/at/all"]);
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(!std::path::Path::new("/nowhere").exists());
}

#[test]
fn dev_says_how_many_connections_its_nodes_take_where_few_files_may_be_open() {
    // It ends by itself, as its first secondary gets no port.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = (taken.local_addr().unwrap().port() - 1).to_string();
    let dev = |files: &str| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("ulimit -n {files} && exec \"$@\""), "sh"]);
        command.args([env!("CARGO_BIN_EXE_replog"), "dev", "--port", &port]).env("PATH", "");
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains("cannot listen"), "{said}");
        said
    };
    let said = dev("300");
    assert!(said.contains("each node takes 50 connections") && said.contains("ulimit -n"), "{said}");
    assert!(!said.contains("--max-connections"), "it has no such flag: {said}");
}
