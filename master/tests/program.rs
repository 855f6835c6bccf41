//! The program as an operator starts it, as far as its configuration.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{net::TcpListener, process::Command};

/// What it says of a configuration that it does not take, and its exit code.
fn refusal(flags: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replog-master"));
    let output = command.args(flags).env_clear().envs(variables.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let empty = [
        "REPLOG_ALLOW_CLEAN",
        "REPLOG_LISTEN",
        "REPLOG_NAME",
        "REPLOG_HEARTBEAT_INTERVAL_MS",
        "REPLOG_ADVERTISE_URL",
        "NATS_URL",
        "NATS_CREDS",
        "REPLOG_DURABILITY",
    ];
    let variables = empty.map(|name| (name, ""));
    // Only the directory that the default durability needs is left to complain about.
    let (code, said) = refusal(&[], &variables);
    assert!(
        code == Some(2) && said.contains("1 problem") && said.contains("--data-dir: is missing"),
        "{said}"
    );
}

#[test]
fn variables_and_flags_are_refused_together() {
    let variables = [("REPLOG_ALLOW_CLEAN", "perhaps"), ("REPLOG_MAX_CONNECTIONS", "0"), ("NATS_USER", "me")];
    let (code, said) = refusal(&["--durability", "memory", "--recovery-wait-ms", "x"], &variables);
    assert_eq!(code, Some(2), "{said}");
    for flag in ["--allow-clean:", "--max-connections:", "--nats-user:", "--recovery-wait-ms:", "4 problem"] {
        assert!(said.contains(flag), "{flag} in {said}");
    }
}

#[test]
fn a_directory_that_level_memory_does_not_use_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    // It ends by itself, as it gets no port.
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    let with = |durability| {
        let dir = dir.path().join(durability).to_string_lossy().into_owned();
        let flags = ["--durability", durability, "--data-dir", &dir, "--listen", &address];
        let (code, said) = refusal(&flags, &[]);
        assert!(code == Some(1) && said.contains("cannot listen on"), "{said}");
        said.contains("--durability memory keeps nothing in --data-dir") && said.contains(&dir)
    };
    assert!(with("memory"));
    assert!(!with("os"));
}
