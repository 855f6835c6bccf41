//! Tokens: which route asks for which, how they are made and withdrawn, and how clients show them.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use replog_tests::harness::{Client, Cluster, Options, SOON, programs, wait_until};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Each route of both nodes that asks for something, and the scope that it asks for.
const GUARDED: [(&str, &str, &str); 9] = [
    ("POST", "/messages", "append"),
    ("POST", "/messages/batch", "append"),
    ("GET", "/messages", "read"),
    ("GET", "/full_messages", "read"),
    ("GET", "/messages/0", "read"),
    ("GET", "/health", "read"),
    ("POST", "/clean", "admin"),
    ("GET", "/faults", "admin"),
    ("PUT", "/faults", "admin"),
];

/// A token as `replog token new` makes it, and its line.
struct Made {
    token: String,
    line: String,
}

/// The command with these arguments and no variables of its environment but these.
fn replog(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(programs::node("replog"));
    command.args(args).env_clear().envs(variables.iter().copied());
    command.output().expect("the command can be started")
}

fn made(name: &str, scopes: &str) -> Made {
    let output = replog(&["token", "new", "--name", name, "--scopes", scopes, "--json"], &[]);
    let made: Value = serde_json::from_slice(&output.stdout).expect("the command prints JSON");
    let text = |member: &str| made[member].as_str().expect("it is a text").to_owned();
    Made { token: text("token"), line: text("line") + "\n" }
}

/// A master and one secondary that know the tokens of one file.
struct Locked {
    cluster: Cluster,
    folder: TempDir,
}

impl Locked {
    async fn start(lines: &str) -> Locked {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut cluster = Cluster::idle(Options { secondaries: 1, ..Options::default() }).await;
        let tokens = folder.path().join("tokens");
        fs::write(&tokens, lines).expect("a temporary file can be written");
        let tokens = tokens.to_string_lossy();
        let args = ["--tokens-file", &tokens, "--allow-clean", "--allow-faults"];
        let master_args = [&args[..], &["--secondaries", "secondary1"]].concat();
        cluster.master = cluster.node("master", "replog-master", &master_args);
        cluster.secondaries = vec![cluster.node("secondary1", "replog-secondary", &args)];
        cluster.secondary(1).start().await;
        cluster.master.start().await;
        Locked { cluster, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts these lines into the file, and tells the master.
    fn replace(&self, lines: &str) {
        fs::write(self.file("tokens"), lines).expect("a temporary file can be written");
        self.cluster.master.process.hang_up();
    }

    fn clients(&self) -> [Client; 2] {
        [self.cluster.client(), self.cluster.reader(1)]
    }
}

/// The status and the body of a request that is well-formed, whoever sends it.
async fn ask(client: &Client, method: &str, path: &str) -> (u16, Value) {
    let body = match path {
        "/messages" if method == "POST" => Some(json!({"message": "x", "w": 1})),
        "/messages/batch" => Some(json!({"messages": [{"message": "x"}], "w": 1})),
        "/clean" => Some(json!({"w": 1})),
        "/faults" if method == "PUT" => Some(json!({})),
        _ => None,
    };
    let request = client.request(method.parse::<Method>().expect("a method"), path);
    let request = body.iter().fold(request, |request, body| request.json(body));
    let answer = request.send().await.expect("the node answers");
    let status = answer.status().as_u16();
    let challenged = answer.headers().contains_key("www-authenticate");
    assert_eq!(challenged, status == 401 || (status == 403), "{method} {path}: {status}");
    (status, answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn every_route_asks_for_its_scope_and_probes_ask_for_nothing() {
    let tokens: Vec<(&str, Made)> =
        ["append", "read", "admin"].into_iter().map(|scope| (scope, made(scope, scope))).collect();
    let lines: String = tokens.iter().map(|(_, made)| made.line.as_str()).collect();
    let locked = Locked::start(&lines).await;
    for client in locked.clients() {
        for path in ["/livez", "/readyz"] {
            assert_eq!(client.get(path).await.status, 200);
        }
        for (method, path, needed) in GUARDED {
            let (status, problem) = ask(&client, method, path).await;
            assert_eq!((status, &problem["code"]), (401, &json!("unauthenticated")), "{method} {path}");
            for (scope, made) in &tokens {
                let (status, problem) = ask(&client.with_token(&made.token), method, path).await;
                if *scope == needed {
                    assert!(![401, 403].contains(&status), "{method} {path}: {problem}");
                } else {
                    let expected = (403, &json!("forbidden"), &json!(needed));
                    assert_eq!((status, &problem["code"], &problem["scope"]), expected, "{method} {path}");
                }
            }
        }
    }
    // Whoever was refused has appended nothing: one message and a batch of one came before the clean.
    let reader = locked.cluster.client().with_token(&tokens[1].1.token);
    assert_eq!(reader.messages().await, Some(vec![]));
}

#[tokio::test]
async fn at_a_hangup_tokens_are_withdrawn_and_a_wrong_file_changes_nothing() {
    let (old, new) = (made("old", "read"), made("new", "read,append"));
    let locked = Locked::start(&old.line).await;
    let open = locked.cluster.client();
    let (with_old, with_new) = (open.with_token(&old.token), open.with_token(&new.token));

    locked.replace(&format!("{}new read {}\n", old.line, new.token));
    let said = async || locked.cluster.master.process.log().contains("the new tokens file is not used");
    wait_until("the master says that the file is wrong", SOON, said).await;
    let log = locked.cluster.master.process.log();
    assert!(log.contains("line 2") && !log.contains(&new.token), "{log}");
    assert_eq!(with_old.get("/health").await.status, 200, "the old tokens hold");

    locked.replace(&new.line);
    let withdrawn = async || with_old.get("/health").await.status == 401;
    wait_until("the old token is withdrawn", SOON, withdrawn).await;
    assert_eq!(with_new.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_wrong_file_refuses_the_start_by_line_and_without_the_secret() {
    let made = made("ci", "append");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, format!("# clients\n{}ci append {}\n", made.line, made.token)).expect("it is written");
    for program in ["replog-master", "replog-secondary"] {
        let mut command = Command::new(programs::node(program));
        command.args(["--durability", "memory", "--name", "n", "--tokens-file"]).arg(&tokens).env_clear();
        let output = command.output().expect("the program can be started");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--tokens-file") && said.contains("line 3"), "{said}");
        assert!(!said.contains(&made.token), "{said}");
    }
}

#[tokio::test]
async fn the_command_shows_its_token_and_says_when_it_has_none() {
    let (writer, reader) = (made("writer", "append"), made("reader", "read"));
    let locked = Locked::start(&[writer.line, reader.line].concat()).await;
    let url = locked.cluster.client().url("");
    let writer_file = locked.file("writer.token");
    fs::write(&writer_file, format!("{}\n", writer.token)).expect("a temporary file can be written");
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let output = replog(args, &[variables, &[("REPLOG_URL", url.as_str())]].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };

    let (code, _, said) = run(&["append", "x", "-w", "1"], &[]);
    assert!(code == Some(1) && said.contains("asks for a token"), "{said}");
    let append = ["append", "x", "-w", "1", "--token-file", &writer_file.to_string_lossy()];
    let (code, out, said) = run(&append, &[("REPLOG_TOKEN", &reader.token)]);
    assert!(code == Some(0) && out.starts_with("0\tmaster"), "the file goes before the variable: {said}");
    let with_reader = [("REPLOG_TOKEN", reader.token.as_str())];
    assert_eq!(run(&["read"], &with_reader), (Some(0), "\"x\"\n".to_owned(), String::new()));
    for args in [&["status"][..], &["verify"], &["probe", &format!("{url}/health")]] {
        let (code, out, said) = run(args, &with_reader);
        assert!(code == Some(0), "{args:?}: {out}{said}");
    }
    let (code, _, said) = run(&["append", "x"], &with_reader);
    assert!(code == Some(1) && said.contains("lacks the scope `append`"), "{said}");
    assert!(!said.contains(&reader.token), "{said}");
    let bench = ["bench", "--count", "10", "--clients", "2", "-w", "1", "--token", &writer.token];
    let (code, _, said) = run(&bench, &[]);
    assert_eq!(code, Some(0), "{said}");
}
